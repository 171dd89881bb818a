// The smallest case that fails the same way.
#include "verify/run/minimise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "tests/case_support.hpp"
#include "tests/catch.hpp"
#include "verify/bugs/bug_catalogue.hpp"
#include "verify/run/failure.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

Result<Smallest> smallest(const std::string& line) {
  const auto one = parse_case(line);
  REQUIRE(one);
  const ConfigFolders configs = test::configs();
  Library library(configs);
  const auto engine = library.engine(one->engine);
  const auto model = library.model(one->model);
  const auto item = prepare(*one, test::configs());
  REQUIRE((engine && model && item));
  return minimise(*item, *engine, **model);
}

/// What a record's case is run with unless it says so itself.
std::string line_of(const std::string& bug, const BugRecord::BugCase& one, bool fused) {
  const std::string rest =
      one.case_line.empty()
          ? fmt::format("R=16 slots=2 adapters=a:r16:alpha32:{0},b:r8:alpha8:{0} tokens=a,b,-,a",
                        fused ? "fused" : "qkv")
          : one.case_line;
  return fmt::format("model={}{} engine={} tp={} {}", one.model,
                     one.layer.empty() ? "" : " layer=" + one.layer, bug, one.tp_size, rest);
}

}  // namespace

TEST_CASE("a published case becomes as small as the smallest that was found by hand",
          "[minimise]") {
  const ConfigFolders configs = test::configs();
  Library library(configs);
  int cases = 0;
  int larger = 0;
  int seen = 0;
  int compared = 0;
  std::string list;
  const auto bugs = list_contracts(test::configs().root, "bugs");
  REQUIRE(bugs);
  for (const std::string& bug : *bugs) {
    const auto record = *library.bug_record(bug);
    const bool fused = library.engine(bug)->contract().takes_fused_adapters();
    for (const BugRecord::BugCase& one : record->cases) {
      if (one.role != "published" ||
          (one.verdict != Verdict::silent && one.verdict != Verdict::crash)) {
        continue;
      }
      const std::string line = line_of(bug, one, fused);
      CAPTURE(line);
      const auto found = smallest(line);
      REQUIRE(found);
      ++cases;
      const auto before = check_laws(*prepare(*parse_case(line), test::configs()));
      const LayerReport& after = found->report;
      CHECK(after.analysis.verdict == one.verdict);
      CHECK(after.findings.front().cause_place == before->findings.front().cause_place);
      CHECK(after.findings.front().law == before->findings.front().law);
      CHECK(after.item.spec.tp_size <= before->item.spec.tp_size);
      CHECK(after.item.geometry->total_rows() <= before->item.geometry->total_rows());
      CHECK(found->tried < 50000);
      CHECK(wrong_alike(failure_of(after, true), failure_of(*before, true)));
      CHECK((claimed(after.item) || !claimed(before->item)));
      if (const Finding& first = after.findings.front();
          one.verdict == Verdict::silent && first.violation && first.delta) {
        const auto& tokens = after.item.spec.tokens;  // one of them meets it
        CHECK(std::find(tokens.begin(), tokens.end(), first.delta->adapter) != tokens.end());
        ++seen;
      }
      // It replays, and is itself the smallest.
      const auto again = smallest(print_case(after.item.spec));
      REQUIRE(again);
      CHECK(print_case(again->report.item.spec) == print_case(after.item.spec));
      for (const BugRecord::BugCase& known : record->cases) {
        if (known.role != "smallest" || known.verdict != one.verdict) {
          continue;
        }
        const auto by_hand = prepare(*parse_case(line_of(bug, known, fused)), test::configs());
        const auto size = [](const PreparedCase& item) {
          return std::tuple(item.spec.tp_size, item.geometry->num_attention_heads,
                            item.geometry->num_key_value_heads);
        };
        // One that fails otherwise, by the fault of another place say, is no smaller one of these.
        const auto hand = failure_of(*check_laws(*by_hand), true);
        const auto wanted = failure_of(*before, true);
        const bool alike = wrong_alike(hand, wanted) && blamed_alike(hand, wanted);
        compared += alike ? 1 : 0;
        if (alike && size(*by_hand) < size(after.item)) {
          ++larger;
          list += fmt::format("\n{}: {} instead of {}", bug, print_case(after.item.spec),
                              print_case(by_hand->spec));
        }
        break;
      }
    }
  }
  CAPTURE(cases, compared, larger, list);
  CHECK(cases > 50);
  CHECK(seen > 10);
  CHECK(compared > 25);
  CHECK(larger <= 2);
}

TEST_CASE("what does not fail cannot be made smaller", "[minimise]") {
  const auto fine = smallest("model=H=8,KV=2,D=4,hidden=16 engine=sglang tp=2 R=4");
  REQUIRE_FALSE(fine);
  CHECK(fine.error().text() == "the case keeps every law: there is nothing to make smaller");
}

TEST_CASE("a model stays where its class has rules of its own", "[minimise]") {
  const auto found = smallest(
      "model=Qwen/Qwen3-Next-80B-A3B-Instruct layer=full_attention engine=sglang tp=2 R=16 "
      "adapters=a:r16:alpha32:qkv,b:r8:alpha8:qkv");
  REQUIRE(found);
  CHECK(found->keeps_model);
  CHECK(found->report.item.spec.adapters.size() <= 1);
  CHECK(found->report.item.spec.tp_size == 1);
}
