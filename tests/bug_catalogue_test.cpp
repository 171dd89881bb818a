// The catalogue: every published bug is caught as published, named afterwards, and missed by no
// suite that says it would see it.
#include "verify/bugs/bug_catalogue.hpp"

#include <fmt/format.h>

#include <set>

#include "tests/support.hpp"
#include "verify/mutants/mutate.hpp"
#include "verify/report/expectation.hpp"
#include "verify/report/finding_text.hpp"
#include "verify/report/suite_report.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

BugCatalogue read_catalogue() {
  auto catalogue = BugCatalogue::read(test::configs());
  if (!catalogue) {
    FAIL(catalogue.error().text());
  }
  return std::move(*catalogue);
}

Suite suite(const test::TemporaryFolder& folder, const std::string& cases) {
  auto read = read_suite(
      folder.write(
          "suite.json",
          fmt::format(R"({{"format": "tplora-suite/1", "name": "s", "cases": [{}]}})", cases)),
      test::configs());
  if (!read) {
    FAIL(read.error().text());
  }
  return std::move(*read);
}

PreparedCase prepared(const std::string& line) {
  const auto one = parse_case(line);
  if (!one) {
    FAIL(one.error().text());
  }
  auto item = prepare(*one, test::configs());
  if (!item) {
    FAIL(item.error().text());
  }
  return std::move(*item);
}

std::string engine_file(const test::TemporaryFolder& folder, const std::string& name,
                        const std::string& extends, const std::string& edits) {
  return folder
      .write(name + ".json",
             fmt::format(R"({{"format": "tplora-contract/1", "extends": "{}", {}}})",
                         (test::configs().root / extends).string(), edits))
      .string();
}

/// Whether the formula written at `cause` is the one at JSON pointer `changed`, or uses the let
/// there, directly or through other lets.
bool depends_on(const Contract& contract, const Place& cause, const std::string& changed) {
  const std::string& pointer = cause.pointer;
  if (pointer.find(changed) != std::string::npos || changed.find(pointer) == 0) {
    return true;
  }
  Contract copy = contract;
  std::set<int> used;
  for (const Formula* formula : formulas_of(copy)) {
    for (const Formula::Used& each : formula->used_symbols()) {
      if (formula->place() == cause) {
        used.insert(each.symbol);
      }
    }
  }
  for (auto let = contract.lets.rbegin(); let != contract.lets.rend(); ++let) {
    for (const Formula::Used& each : let->formula.used_symbols()) {
      if (used.contains(let->symbol)) {
        used.insert(each.symbol);
      }
    }
  }
  return std::any_of(contract.lets.begin(), contract.lets.end(), [&](const Let& let) {
    return used.contains(let.symbol) &&
           let.formula.place().text().find(changed) != std::string::npos;
  });
}

bool rewrites_formula(const Mutant& mutant) {
  Contract copy = mutant.contract;
  const auto all = formulas_of(copy);
  return std::any_of(all.begin(), all.end(), [&](const Formula* formula) {
    return formula->place().text().ends_with(mutant.place);
  });
}

std::set<std::string> blind(const BugCatalogue& bugs, const Suite& suite) {
  std::set<std::string> names;
  for (const BugCatalogue::BlindSpot& spot : bugs.blind_spots(suite.cases)) {
    names.insert(spot.bug);
  }
  return names;
}

}  // namespace

TEST_CASE("every bug has a published, a smallest and an invisible case, and says what is found",
          "[bugs]") {
  const auto names = test::contracts_in("bugs");
  CHECK(names.size() >= 33);
  for (const std::string& name : names) {
    CAPTURE(name);
    const Contract contract = test::contract(name);
    const auto record = read_bug_record(contract.file);
    REQUIRE((record && *record));
    CHECK(!(*record)->title.empty());
    CHECK(!(*record)->links.empty());
    CHECK(!contract.extends.empty());
    std::set<std::string> roles;
    bool shown = false;
    for (const BugRecord::BugCase& published : (*record)->cases) {
      roles.insert(published.role);
      CHECK((published.role != "invisible" || published.verdict == Verdict::consistent));
      CHECK((published.role != "smallest" || published.verdict == Verdict::silent ||
             published.verdict == Verdict::crash));
      const bool wrong =
          published.verdict == Verdict::silent || published.verdict == Verdict::crash;
      CHECK(wrong == !published.finding.empty());
      shown = shown || (published.role == "published" && wrong);
    }
    CHECK(roles == std::set<std::string>{"published", "smallest", "invisible"});
    CHECK(shown);
  }
}

TEST_CASE("a bug record is of its file alone, and each of its fields is read or refused",
          "[bugs]") {
  const auto refusal = [](const std::string& bug) {
    const auto record = parse_bug_record(R"({"bug": )" + bug + "}", "mine.json");
    return record ? "" : record.error().text();
  };
  const std::string head = R"({"title": "t", "links": [], "published": "p", "symptom": "s", )"
                           R"("lesson": "l", "expect": [)";
  const std::string one =
      R"({"role": "smallest", "model": "m", "tp_size": 2, "shape_check": "pass")";
  CHECK(refusal(head + one + R"(, "verdict": "silent"}]})").empty());
  CHECK(refusal(head + one + "}]}") == "mine.json#/bug/expect/0: the key \"verdict\" is missing");
  CHECK(refusal(head + one + R"(, "verdict": "fine"}]})").find("expected one of \"refused\"") !=
        std::string::npos);
  CHECK(refusal("1") == "mine.json#/bug: found 1, expected an object");
  const auto none = parse_bug_record(R"({"extends": "sglang-24420"})", "mine.json");
  REQUIRE(none);
  CHECK_FALSE(*none);
}

TEST_CASE("every published bug comes out as published", "[bugs]") {
  const auto read = read_suite(test::configs().root / "suites/museum.json", test::configs());
  REQUIRE(read);
  const auto outcomes = run_cases(read->cases, {});
  REQUIRE(outcomes);
  for (std::size_t i = 0; i < outcomes->size(); ++i) {
    CAPTURE(print_case(read->cases[i].spec),
            missing_finding((*outcomes)[i], read->cases[i].expect));
    CHECK(as_expected((*outcomes)[i], read->cases[i].expect));
  }
  std::vector<CaseRecord> records;
  for (std::size_t i = 0; i < outcomes->size(); ++i) {
    records.push_back(record_case(read->cases[i], (*outcomes)[i]));
  }
  const std::string table = bugs_text(records);
  for (const std::string& name : test::contracts_in("bugs")) {
    CAPTURE(name);
    CHECK(table.find("\n" + name + " ") != std::string::npos);
  }
  CHECK(table.find("not shown") == std::string::npos);
}

TEST_CASE("an expected finding that nobody makes is a failure", "[bugs]") {
  CaseOutcome outcome;
  outcome.findings.emplace_back();
  outcome.findings.back().cause.what = Failed{"the buffer is too short", {}};
  Expectation expect;
  expect.finding = {"too short"};
  CHECK(missing_finding(outcome, expect).empty());
  expect.finding.emplace_back("too long");
  CHECK(missing_finding(outcome, expect) == "too long");
}

TEST_CASE("a contract that does what a published bug does is told by its name", "[bugs]") {
  const test::TemporaryFolder folder;
  const BugCatalogue bugs = read_catalogue();
  const std::string rest = " tp=4 R=16 adapters=a:r16:alpha32:qkv,b:r8:alpha8:qkv tokens=a,b";
  const std::string model = "model=H=16,KV=2,D=4,hidden=16 engine=";
  // The same mistake in another engine's words: V starts behind what all ranks hold of K.
  const std::string own = engine_file(folder, "own", "engines/sglang.json",
                                      R"("replace": {"/lora_b/copies/2/from": "Q + D*T*n + g0*D",
                     "/lora_b/buffers/B": "D*(2*KV + gate*H)/tp_size"})");
  CHECK(bugs.same_faults(prepared(model + own + rest)) == std::vector<std::string>{"sglang-24420"});
  // Not where nothing is wrong, not for another fault, and a bug does not name itself.
  CHECK(bugs.same_faults(prepared(model + "sglang" + rest)).empty());
  CHECK(bugs.same_faults(prepared(model + "sglang-24420" + rest)).empty());
  const std::string other = engine_file(folder, "other", "engines/sglang.json",
                                        R"("replace": {"/lora_b/copies/2/from": "Q + g0*D"})");
  CHECK(bugs.same_faults(prepared(model + other + rest)).empty());
  // Outside its claims a bug's contract is no published bug: sglang-28199 is about missing modules.
  CHECK(bugs.same_faults(prepared("model=H=8,KV=2,D=16,hidden=64,Dv=8 engine=vllm tp=4 R=16 "
                                  "adapters=a:r16:alpha32:qkv tokens=a,a"))
            .empty());
  // Another crash, another factor, and what the bug's own engine does as well are no bug's.
  const auto edit = [&](const char* name, const char* edits) {
    return engine_file(folder, name, "engines/sglang.json", edits);
  };
  CHECK(bugs.same_faults(
                prepared(model + edit("c", R"("replace": {"/lora_b/buffers/B": "H/7"})") + rest))
            .empty());
  CHECK(bugs.same_faults(
                prepared(model + edit("f", R"("replace": {"/scaling/num": "alpha + 1"})") + rest))
            .empty());
  CHECK(bugs.same_faults(prepared(model + edit("m", R"("replace": {"/scaling/den": "1"})") +
                                  " tp=1 adapters=a:r4:alpha8:qkv tokens=a,-")) ==
        std::vector<std::string>{"mlx-vlm-845"});
  // The buffer of sglang-8940 at tp_size 4, and no other: another fault with the same figure.
  CHECK(
      bugs.same_faults(prepared("model=H=8,KV=2,D=16,hidden=64 engine=" +
                                edit("w", R"("replace": {"/let/width": "(H*gate + 2*KV)*D//2"})") +
                                " tp=4 R=16 adapters=a:r16:alpha32:qkv tokens=a,-"))
          .empty());
  CHECK(
      bugs.same_faults(prepared(model + "vllm tp=2 slots=1 adapters=a:r4:alpha8:qkv steps=load:a@0,"
                                        "rescale:a:alpha16 tokens=a,-"))
          .empty());
}

TEST_CASE("two faults at once are both found and blamed on both formulas", "[bugs]") {
  const test::TemporaryFolder folder;
  const std::string both = engine_file(
      folder, "both", "bugs/sglang-24420.json",
      R"("replace": {"/lora_b/copies/1/from": "Q + (t % KV)*D", "/pool/absent": "keep"})");
  const PreparedCase item = prepared("model=H=16,KV=2,D=4,hidden=16 engine=" + both +
                                     " tp=4 R=16 adapters=a:r16:alpha32:qkv,b:r8:alpha8:qkv "
                                     "tokens=a,b");
  const auto laws = check_laws(item);
  REQUIRE(laws);
  CHECK(laws->analysis.verdict == Verdict::silent);
  std::set<std::string> blamed;
  bool v_lost = false;
  bool k_swapped = false;
  for (const Finding& finding : laws->findings) {
    blamed.insert(finding.cause_place.text());
    v_lost = v_lost || message(finding).find(
                           "v head 0, rows 0-3 of adapter a (slot 0): found "
                           "adapter b's q rows") != std::string::npos;
    k_swapped = k_swapped || message(finding).find(
                                 "k head 0, rows 0-3 of adapter a (slot 0): found adapter "
                                 "a's k rows 4-7 (head 1)") != std::string::npos;
  }
  CHECK(v_lost);
  CHECK(k_swapped);
  CHECK(blamed.count(both + "#/replace/~1lora_b~1copies~11~1from") == 1);
  CHECK(read_catalogue().same_faults(item).empty());
}

TEST_CASE("an uncatalogued wrong contract is blamed on the formula that was changed", "[bugs]") {
  // Every mutant that is silent in one scenario: the changed formula, or a let it defines, must
  // stand among the causes.
  std::int64_t silent = 0;
  std::int64_t blamed = 0;
  for (const char* engine : {"sglang", "vllm", "megatron_bridge", "trtllm_fused"}) {
    const Contract contract = test::contract(engine);
    std::int64_t number = 0;
    for_each_mutant(contract, [&](Mutant&& mutant) {
      // What is dropped, exchanged or another word has no formula to blame.
      if (number++ % 7 != 0 || !rewrites_formula(mutant)) {
        return;
      }
      PreparedCase item = prepared(fmt::format(
          "model=H=8,KV=2,D=2,hidden=16 engine={} tp=2 R=4 adapters=a:r3:alpha6:{},b:r4:alpha4:{} "
          "tokens=a,b",
          engine, contract.takes_fused_adapters() ? "fused" : "qkv",
          contract.takes_fused_adapters() ? "fused" : "qkv"));
      item.contract = std::make_shared<const Contract>(mutant.contract);
      const auto laws = check_laws(item);
      if (!laws || laws->analysis.verdict != Verdict::silent) {
        return;
      }
      ++silent;
      const bool right =
          std::any_of(laws->findings.begin(), laws->findings.end(), [&](const Finding& one) {
            const bool complete =
                !one.violation || (!found_text(one).empty() && !expected_text(one).empty());
            CHECK(complete);
            return depends_on(mutant.contract, one.cause_place, mutant.place);
          });
      blamed += right ? 1 : 0;
    });
  }
  CAPTURE(silent, blamed);
  CHECK(silent > 100);
  CHECK(blamed * 100 > silent * 95);
}

TEST_CASE("a suite is told which faults it could not have seen, and where it could", "[bugs]") {
  const test::TemporaryFolder folder;
  const BugCatalogue bugs = read_catalogue();
  const auto grid = [&](const char* model, const char* tp, const char* rest) {
    return suite(
        folder,
        fmt::format(R"({{"models": ["{}"], "engines": ["sglang"], "tp": [{}], "case": "{}"}})",
                    model, tp, rest));
  };
  const char* plain = "R=16 adapters=a:r16:alpha32:qkv,b:r8:alpha8:qkv tokens=a,b";
  // Without replication the founding bug cannot be seen.
  const Suite narrow = grid("H=16,KV=4,D=8,hidden=64", "1, 2, 4", plain);
  CHECK(blind(bugs, narrow).contains("sglang-24420"));
  CHECK(blind(bugs, narrow).contains("sglang-19974"));  // no gate
  CHECK(blind(bugs, narrow).contains("sglang-8103"));   // one adapter a slot, loaded once
  const Suite wide = grid("H=16,KV=4,D=8,hidden=64,gate=2", "1, 2, 4, 8", plain);
  CHECK_FALSE(blind(bugs, wide).contains("sglang-24420"));
  CHECK_FALSE(blind(bugs, wide).contains("sglang-19974"));
  for (const BugCatalogue::BlindSpot& spot : bugs.blind_spots(narrow.cases)) {
    CAPTURE(spot.bug, spot.nearest);
    const auto near = parse_case(spot.nearest);
    REQUIRE(near);
    if (spot.bug == "sglang-24420") {
      CHECK(near->tp_size == 8);  // twice KV: the nearest that shows it
      CHECK(near->engine == "sglang");
    }
    if (spot.bug == "sglang-8103") {
      CHECK(near->model == "H=1,KV=1,D=1,hidden=16");  // no tp_size shows it: the record's smallest
    }
  }
  CHECK(blind_spots_text(bugs.blind_spots(narrow.cases))
            .find("bugs of these engines that no case here could have shown") != std::string::npos);
  CHECK(blind_spots_text({}).empty());
}
