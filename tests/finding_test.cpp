// What findings say of contracts with one known fault.
#include "verify/explain/finding.hpp"

#include <fmt/format.h>

#include "tests/support.hpp"
#include "verify/report/finding_text.hpp"

using namespace tplora;
using test::geometry;

namespace {

Contract edited(const std::string& engine, const std::string& edits) {
  const test::TemporaryFolder folder;
  auto contract = read_contract(folder.write(
      "edited.json",
      fmt::format(R"({{"extends": "{}", {}}})",
                  (test::configs().root / ("engines/" + engine + ".json")).string(), edits)));
  if (!contract) {
    FAIL(contract.error().text());
  }
  return *contract;
}

/// Dummy query heads at the end of each KV group, whose first KV head is `first_kv`.
Contract padded(const std::string& first_kv) {
  return edited("vllm", fmt::format(R"json("let": {{"n": "T >= KV ? 1 : KV/T",
    "rep": "T >= KV ? T/KV : 1", "g0": "t//rep*n", "G": "H/KV", "P": "ceil_div(G, rep)",
    "i": "t % rep", "h0": "g0*G + min(i*P, G)", "h": "rep == 1 ? n*G : min(P, G - min(i*P, G))"}},
    "checks": [{{"that": "r <= R", "else": "refused", "when": "load", "say": "rank"}}],
    "owns": {{"q_heads": ["h0", "h"], "kv_heads": ["{}", "n"]}},
    "replace": {{"/weight/copies/0/from": "h0*gate*D", "/lora_b/copies/0/from": "h0*gate*D"}})json",
                                    first_kv));
}

/// One adapter of full rank in slot 0.
LayoutCase one_adapter(const QkvGeometry& geometry, std::int64_t tp_size) {
  return {.geometry = geometry,
          .deployment = {.tp_size = tp_size, .max_lora_rank = 4, .slots = 2},
          .adapters = {{.lora_rank = 4, .lora_alpha = 4}},
          .steps = {{PoolStep::Kind::load, 0, 0}}};
}

struct Checked {
  Verdict verdict;
  std::vector<Finding> findings;
};

Checked check(const Contract& contract, const LayoutCase& input) {
  Analyser analyser;
  const Analysis& analysis = analyser.run(contract, input);
  return {analysis.verdict, explain(contract, input, analysis, {"a"})};
}

}  // namespace

// With H/KV = 6 query heads on four ranks, the last of each group is left without any.
TEST_CASE("a rank without query heads owes nothing", "[finding]") {
  const Checked checked = check(padded("g0"), one_adapter(geometry({12, 2, 1}), 8));
  CHECK(checked.verdict == Verdict::consistent);
  CHECK(checked.findings.empty());
  // The same layout with one KV head too far on the ranks that do have query heads.
  const Checked told = check(padded("1 - g0"), one_adapter(geometry({12, 2, 1}), 8));
  CHECK(told.verdict == Verdict::silent);
  REQUIRE_FALSE(told.findings.empty());
  for (const Finding& finding : told.findings) {
    CHECK(finding.tp_rank % 4 < 3);  // ranks 3 and 7 have no query head
  }
}

TEST_CASE("columns behind the output row are no rows of a part", "[finding]") {
  const Contract over =
      edited("sglang", R"("replace": {"/kernel/0/out": "h*gate*D + n*D + n*Dv"})");
  const Checked checked = check(over, one_adapter(geometry({8, 2, 16}), 2));
  CHECK(checked.verdict == Verdict::silent);
  bool told = false;
  for (const Finding& finding : checked.findings) {
    CHECK(finding.part != Part::v);
    if (finding.law == Law::bounds) {
      told = true;
      CHECK_FALSE(finding.part);
      CHECK(finding.first_row == -1);
      CHECK(finding.first_column == 96);  // 4*16 + 16 + 16 columns are the rank's own
      CHECK(finding.last_column == 159);
      CHECK(found_text(finding) == "a delta behind the end of the output row");
      CHECK(finding.cause_place.find("kernel~10~1out") != std::string::npos);
    }
  }
  CHECK(told);
}

TEST_CASE("rows that no column holds are the rank's own", "[finding]") {
  const Contract narrow =
      edited("sglang", R"("replace": {"/weight/copies/0/rows": "h*gate*D - 4"})");
  const Checked checked = check(narrow, one_adapter(geometry({8, 2, 16}), 2));
  CHECK(checked.verdict == Verdict::silent);
  bool told = false;
  for (const Finding& finding : checked.findings) {
    // Four columns too few: the last four rows of v have none.
    if (finding.law == Law::cover && finding.tp_rank == 1 && finding.first_column == 92) {
      told = true;
      CHECK(finding.part == Part::v);
      CHECK(finding.first_head == 1);
      CHECK(finding.first_row == 28);
      CHECK(finding.last_row == 31);
    }
  }
  CHECK(told);
}
