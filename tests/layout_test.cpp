#include <fmt/format.h>

#include <set>
#include <tuple>

#include "tests/support.hpp"
#include "verify/explain/finding.hpp"
#include "verify/explain/provenance.hpp"

using namespace tplora;
using namespace tplora::core;
using test::geometry;

namespace {

/// Slot 0 had a tenant z of full rank, then takes a (r below R unless told otherwise); slot 1
/// takes b.
LayoutCase scenario(const QkvGeometry& g, std::int64_t tp_size, std::int64_t lora_rank,
                    std::int64_t max_lora_rank, bool fused) {
  using Kind = PoolStep::Kind;
  const auto adapter = [&](std::int64_t r) {
    return AdapterShape{
        .lora_rank = r, .lora_alpha = r, .targets = {true, true, true}, .shared_a = fused};
  };
  return {
      .geometry = g,
      .deployment = {.tp_size = tp_size,
                     .dp_size = 1,
                     .max_lora_rank = max_lora_rank,
                     .slots = 2,
                     .tokens = 4},
      .adapters = {adapter(lora_rank), adapter(max_lora_rank), adapter(max_lora_rank)},
      .steps = {{Kind::load, 2, 0}, {Kind::evict, 2, 0}, {Kind::load, 0, 0}, {Kind::load, 1, 1}}};
}

Analysis analyse(const Contract& contract, const LayoutCase& input) {
  return Analyser().run(contract, input);
}

Verdict verdict(const Contract& contract, const QkvGeometry& g, std::int64_t tp_size) {
  const std::int64_t r = 16;
  return analyse(contract, scenario(g, tp_size, r, r, contract.takes_fused_adapters())).verdict;
}

QkvGeometry gated_model() {
  QkvGeometry g = geometry({16, 2, 256, 0, 2});
  g.hidden_size = 2048;
  return g;
}

std::set<Law> laws_of(const Analysis& analysis) {
  std::set<Law> laws;
  for (const Violation& violation : analysis.violations) {
    laws.insert(law_of(violation));
  }
  return laws;
}

Contract edited(const test::TemporaryFolder& folder, const std::string& engine,
                const std::string& edits) {
  const auto file = folder.write(
      "edited.json",
      fmt::format(R"({{"extends": "{}", {}}})",
                  (test::configs().root / ("engines/" + engine + ".json")).string(), edits));
  auto contract = read_contract(file);
  if (!contract) {
    FAIL(contract.error().text());
  }
  return *contract;
}

}  // namespace

TEST_CASE("the published buffer and slice rows come out for every tp_size", "[layout]") {
  struct Row {
    std::int64_t tp_size, buffer, slice;
    Verdict verdict;
    bool shape_check;
  };
  const auto check = [](const char* name, std::initializer_list<Row> rows) {
    const Contract contract = test::contract(name);
    for (const Row& row : rows) {
      CAPTURE(name, row.tp_size);
      const Analysis analysis =
          analyse(contract, scenario(gated_model(), row.tp_size, 16, 16, false));
      CHECK(verdict_name(analysis.verdict) == verdict_name(row.verdict));
      CHECK(analysis.shape_check == row.shape_check);
      for (const RankState& rank : analysis.ranks) {
        CHECK(rank.build.b_rows[0] == row.buffer);
        CHECK(rank.load(0).slice_rows[0] == row.slice);
      }
    }
  };
  check("sglang-24420", {{1, 9216, 9216, Verdict::consistent, true},
                         {2, 4608, 4608, Verdict::consistent, true},
                         {4, 2304, 2304, Verdict::silent, true},
                         {8, 1152, 1280, Verdict::crash, false},
                         {16, 576, 768, Verdict::crash, false}});
  check("sglang", {{1, 9216, 9216, Verdict::consistent, true},
                   {2, 4608, 4608, Verdict::consistent, true},
                   {4, 2560, 2560, Verdict::consistent, true},
                   {8, 1536, 1536, Verdict::consistent, true},
                   {16, 1024, 1024, Verdict::consistent, true}});
}

TEST_CASE("a tp_size that does not divide the heads is refused with check and values", "[layout]") {
  for (const std::int64_t tp_size : {3, 32}) {
    const Analysis analysis =
        analyse(test::contract("sglang"), scenario(gated_model(), tp_size, 16, 16, false));
    CHECK(analysis.verdict == Verdict::refused);
    CHECK(analysis.failures.front().sentence ==
          fmt::format("tp_size must divide num_attention_heads: H % T == 0 fails with H=16, T={}",
                      tp_size));
    CHECK(analysis.failures.front().place.text().ends_with("sglang.json#/checks/0/that"));
  }
}

TEST_CASE("an adapter of a larger lora_rank than the buffer is refused", "[layout]") {
  const Contract contract = test::contract("sglang");
  const Analysis analysis = analyse(contract, scenario(gated_model(), 2, 32, 16, false));
  CHECK(analysis.verdict == Verdict::refused);
  CHECK(analysis.failures.front().sentence.find("r <= R fails with r=32, R=16") !=
        std::string::npos);
}

TEST_CASE("at twice the KV heads the bug reads the next slot's q rows, in V only", "[layout]") {
  const Contract contract = test::contract("sglang-24420");
  const Analysis analysis = analyse(contract, scenario(gated_model(), 4, 16, 16, false));
  std::set<std::int64_t> ranks;
  for (const Violation& violation : analysis.violations) {
    if (const auto* replicas = std::get_if<DisagreeingReplicas>(&violation)) {
      CHECK(replicas->part == Part::v);
      continue;
    }
    REQUIRE(std::holds_alternative<ReadPastSlot>(violation));
    const auto& v = std::get<ReadPastSlot>(violation);
    CHECK(!v.a_rows);
    CHECK(v.due.part == Part::v);
    CHECK(v.due.rows == 256);
    CHECK(v.due.first_row == v.tp_rank / 2 * 256);
    if (v.delta.slot == 0) {
      ranks.insert(v.tp_rank);
      CHECK(v.slot_read == 1);
      CHECK(v.found ==
            Content(LoraBRows{.adapter = 1, .part = Part::q, .first_row = v.tp_rank * 2048}));
    } else {
      CHECK_FALSE(v.slot_read);
      CHECK(v.found == Content(Outside{}));
    }
  }
  CHECK(ranks.size() == 4);
}

TEST_CASE("with an empty neighbour slot the bug's V delta is zero", "[layout]") {
  const Contract contract = test::contract("sglang-24420");
  LayoutCase input = scenario(gated_model(), 4, 16, 16, false);
  input.deployment.slots = 8;
  input.steps = {{PoolStep::Kind::load, 0, 0}};
  const Analysis analysis = analyse(contract, input);
  CHECK(analysis.verdict == Verdict::silent);
  for (const Violation& violation : analysis.violations) {
    REQUIRE(std::holds_alternative<ReadPastSlot>(violation));
    CHECK(std::get<ReadPastSlot>(violation).found == Content(Zeros{}));
    CHECK(std::get<ReadPastSlot>(violation).slot_read == 1);
  }
}

TEST_CASE("a round-robin KV head is caught by pairing, and what it brings is not what is due",
          "[layout]") {
  const test::TemporaryFolder folder;
  const Contract contract =
      edited(folder, "sglang", R"("replace": {"/let/g0": "T > KV ? t % KV : t*n"})");
  const Analysis analysis = analyse(contract, scenario(gated_model(), 4, 16, 16, false));
  CHECK(analysis.verdict == Verdict::silent);
  CHECK(laws_of(analysis) ==
        std::set<Law>{Law::pairing, Law::cover, Law::identity, Law::agreement});
}

TEST_CASE("each law is broken by a contract that breaks only that", "[layout]") {
  const test::TemporaryFolder folder;
  const auto laws = [&](const std::string& edits, std::int64_t r = 8) {
    return laws_of(
        analyse(edited(folder, "sglang", edits), scenario(geometry({8, 4, 16}), 2, r, 16, false)));
  };
  // K rows of the wrong heads, in LoRA-B only.
  CHECK(laws(R"("replace": {"/lora_b/copies/1/from": "Q"})") == std::set<Law>{Law::identity});
  // A is packed at r and read at R: k meets v's rows, v meets rows of an earlier tenant.
  CHECK(laws(R"("replace": {"/kernel/1/a_at": "R", "/kernel/2/a_at": "2*R"})") ==
        std::set<Law>{Law::identity, Law::residue});
  CHECK(laws(R"("replace": {"/kernel/1/a_at": "R", "/kernel/2/a_at": "2*R"})", 16).empty());
  // The kernel contracts over R although only r columns were loaded.
  CHECK(laws(R"("replace": {"/kernel/2/depth": "R"})") == std::set<Law>{Law::residue});
  // One q head owned by nobody.
  CHECK(laws(R"("replace": {"/owns/q_heads/1": "h - 1"})").count(Law::cover) == 1);
  // V's base weight comes from the next head.
  CHECK(laws(R"("replace": {"/weight/copies/2/from": "(KV - n - g0)*Dv"})") ==
        std::set<Law>{Law::cover});
  // One column of K gets no delta.
  CHECK(laws(R"("replace": {"/kernel/1/rows": "n*D - 1"})") == std::set<Law>{Law::identity});
  // V is written past the output row.
  CHECK(laws(R"("replace": {"/kernel/2/rows": "n*D + 1"})") == std::set<Law>{Law::bounds});
}

TEST_CASE("gathered outputs that end before the model's last row break cover", "[layout]") {
  const test::TemporaryFolder folder;
  const Contract contract =
      edited(folder, "megatron_bridge", R"("replace": {"/let/W": "((H + KV)*D + KV*Dv)/T"})");
  const QkvGeometry gated = geometry({8, 4, 16, 0, 2});
  CHECK(laws_of(analyse(contract, scenario(gated, 2, 16, 16, true))).count(Law::cover) == 1);
  CHECK(verdict(contract, geometry({8, 4, 16}), 2) == Verdict::consistent);
}

TEST_CASE("a contract may fix t for all ranks, and is refused for it", "[layout]") {
  const test::TemporaryFolder folder;
  const Contract contract = edited(folder, "sglang", R"("replace": {"/let/t": "T - T"})");
  CHECK(verdict(contract, geometry({8, 4, 16}), 1) == Verdict::consistent);
  CHECK(verdict(contract, geometry({8, 4, 16}), 2) == Verdict::refused);
}

TEST_CASE("a rank without heads needs no replica of a KV head", "[layout]") {
  // ceil(2 / 4) = 1 row to a rank: ranks 2 and 3 stay empty.
  const Contract contract = test::contract("hf_tp_peft");
  CHECK(verdict(contract, geometry({2, 2, 1}), 4) == Verdict::consistent);
}

TEST_CASE("heads of different width for V are wrong or crash, as published", "[layout]") {
  const Contract contract = test::contract("sglang");
  CHECK(verdict(contract, geometry({64, 4, 192, 128}), 4) == Verdict::crash);
  CHECK(verdict(contract, geometry({64, 4, 192, 128}), 1) == Verdict::crash);
  CHECK(verdict(contract, geometry({8, 4, 64, 128}), 1) == Verdict::silent);
}

TEST_CASE("the gathering and the rank-cutting engine keep every law", "[layout]") {
  for (const char* name : {"vllm_fully_sharded", "megatron_bridge"}) {
    const Contract contract = test::contract(name);
    for (const std::int64_t tp_size : {1, 2, 4, 8, 16}) {
      CAPTURE(name, tp_size);
      CHECK(verdict_name(verdict(contract, gated_model(), tp_size)) == "consistent");
    }
  }
}

TEST_CASE("an adapter of a group-interleaved module is cut wrongly where blocks are assumed",
          "[layout]") {
  QkvGeometry g = geometry({8, 4, 16});
  for (const char* name : {"vllm_single_slice", "trtllm_fused"}) {
    const Contract contract = test::contract(name);
    for (const std::int64_t tp_size : {1, 2, 4}) {
      CAPTURE(name, tp_size);
      g.fused_order = RowOrder::blocks;
      CHECK(verdict_name(verdict(contract, g, tp_size)) == "consistent");
      for (const RowOrder order : {RowOrder::per_group, RowOrder::per_head}) {
        g.fused_order = order;
        const Analysis analysis = analyse(contract, scenario(g, tp_size, 16, 16, true));
        CHECK(analysis.verdict == Verdict::silent);
        CHECK(analysis.shape_check);
        CHECK(laws_of(analysis).count(Law::identity) == 1);
      }
    }
  }
  // One KV head: the two orders coincide, and nothing is wrong.
  QkvGeometry mqa = geometry({8, 1, 16});
  mqa.fused_order = RowOrder::per_group;
  CHECK(verdict_name(verdict(test::contract("vllm_single_slice"), mqa, 2)) == "consistent");
  // An engine that makes the fused tensor itself does not care.
  g.fused_order = RowOrder::blocks;
  CHECK(verdict_name(verdict(test::contract("megatron_bridge"), g, 2)) == "consistent");
}

namespace {

/// Every output cell (rank, slot, column) whose delta is not what it must be.
using Cells = std::set<std::tuple<std::int64_t, std::int64_t, std::int64_t>>;

Cells cells_by_laws(const Analysis& analysis) {
  Cells cells;
  for (const Violation& violation : analysis.violations) {
    const Delta* delta = delta_of(violation);
    const DueRows* due = due_of(violation);
    const bool in_a_launch = delta != nullptr && due != nullptr &&
                             !std::holds_alternative<NoDelta>(violation) &&
                             !std::holds_alternative<SecondDelta>(violation);
    for (std::int64_t i = 0; in_a_launch && i < due->rows; ++i) {
      cells.insert({tp_rank_of(violation), delta->slot, due->column + i});
    }
  }
  return cells;
}

Cells cells_by_labels(const Contract& contract, const LayoutCase& input, const Analysis& analysis) {
  Cells cells;
  for (const RankState& rank : analysis.ranks) {
    for (const LiveAdapter& live : analysis.live) {
      for (const Provenance& p :
           trace_delta(contract, input, analysis, rank.build.tp_rank, live, 0, rank.build.width)) {
        for (std::int64_t i = 0; i < p.rows; ++i) {
          cells.insert({rank.build.tp_rank, live.slot, p.column + i});
        }
      }
    }
  }
  return cells;
}

}  // namespace

TEST_CASE("interval laws and labels in flat memory find the same wrong cells", "[layout]") {
  const test::TemporaryFolder folder;
  std::vector<Contract> contracts = {test::contract("sglang"), test::contract("sglang-24420"),
                                     test::contract("vllm_fully_sharded"),
                                     test::contract("megatron_bridge")};
  for (
      const char* edits :
      {R"("replace": {"/kernel/1/a_at": "R"})", R"("replace": {"/kernel/2/depth": "R"})",
       R"("replace": {"/lora_b/copies/1/from": "Q + t"})",
       R"("replace": {"/lora_b/copies/2/from": "Q + K - 1 + g0*D"})",
       R"("replace": {"/kernel/2/b_at": "h*gate*D"})", R"("add": {"/kernel/1/b_stride": "r"})",
       R"("add": {"/kernel/2/b_stride": "R + 1"})",
       R"("replace": {"/lora_b/buffers/B": "h*gate*D + 2*n*D - 1", "/lora_b/copies/0/rows": "h*gate*D - 1"})",
       R"("replace": {"/lora_a/copies/1/at": "0"})"}) {
    contracts.push_back(edited(folder, "sglang", edits));
  }
  std::int64_t planned = 0;
  std::int64_t silent = 0;
  for (const Contract& contract : contracts) {
    for (const std::int64_t H : {1, 2, 3, 4, 6, 8}) {
      for (std::int64_t KV = 1; KV <= H; ++KV) {
        for (const std::int64_t tp_size : {1, 2, 3, 4, 6, 8}) {
          for (const std::int64_t r : {1, 4}) {
            if (H % KV != 0) {
              continue;
            }
            const LayoutCase input = scenario(geometry({H, KV, 3, H % 2 == 0 ? 3 : 4, 1 + KV % 2}),
                                              tp_size, r, 4, contract.takes_fused_adapters());
            const Analysis analysis = analyse(contract, input);
            if (!analysis.failures.empty()) {
              continue;
            }
            ++planned;
            silent += analysis.verdict == Verdict::silent ? 1 : 0;
            CAPTURE(contract.name, H, KV, tp_size, r);
            CHECK(cells_by_laws(analysis) == cells_by_labels(contract, input, analysis));
          }
        }
      }
    }
  }
  CHECK(planned > 500);
  CHECK(silent > 100);
}

TEST_CASE("columns that are moved before attention looks are followed", "[layout]") {
  const test::TemporaryFolder folder;
  const auto verdict = [&](const std::string& copies, const std::string& gather,
                           std::int64_t tp_size) {
    const Contract contract =
        edited(folder, "vllm",
               fmt::format(R"("view": {{"gather": "{}", "order": "blocks", "copies": [{}]}})",
                           gather, copies));
    return Analyser().run(contract, scenario(test::geometry({4, 4, 2}), tp_size, 2, 2, false));
  };
  const std::string as_it_stands = R"({"from": "0", "rows": "3*h*D"})";
  CHECK(verdict(as_it_stands, "none", 2).verdict == Verdict::consistent);
  // K and V change places.
  const std::string swapped = R"({"from": "0", "rows": "h*D"}, {"from": "2*h*D", "rows": "h*D"},
                                 {"from": "h*D", "rows": "h*D"})";
  const Analysis wrong = verdict(swapped, "none", 2);
  CHECK(wrong.verdict == Verdict::silent);
  CHECK(std::any_of(wrong.violations.begin(), wrong.violations.end(), [](const Violation& one) {
    const auto* base = std::get_if<WrongBase>(&one);
    return base != nullptr && base->due.part == Part::k && base->due.column == 8 &&
           base->found == Content(BaseRows{.part = Part::v, .first_row = 0});
  }));
  // All ranks' q, then their k, then their v.
  const std::string sorted = R"({"for": {"c": "3", "p": "T"}, "from": "p*3*h*D + c*h*D",
                                 "rows": "h*D"})";
  for (const std::int64_t tp_size : {1, 2, 4}) {
    CHECK(verdict(sorted, "all", tp_size).verdict == Verdict::consistent);
  }
  CHECK(verdict(R"({"from": "0", "rows": "3*H*D"})", "all", 2).verdict == Verdict::silent);
  // Not each column once: the description is at fault.
  for (const char* copies :
       {R"({"from": "0", "rows": "3*h*D - 1"})", R"({"from": "1", "rows": "3*h*D"})",
        R"({"from": "0", "rows": "3*h*D"}, {"from": "0", "rows": "1"})",
        R"({"from": "0", "rows": "0 - 1"})"}) {
    CAPTURE(copies);
    CHECK(verdict(copies, "none", 2).bad_contract);
  }
  const auto empty = read_contract(folder.write(
      "empty.json", fmt::format(R"({{"extends": "{}", "view": {{"copies": []}}}})",
                                (test::configs().root / "engines/vllm.json").string())));
  REQUIRE_FALSE(empty);
  CHECK(empty.error().text().find("#/view/copies: found [], expected at least one copy") !=
        std::string::npos);
}
