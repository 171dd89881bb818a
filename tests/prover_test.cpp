#include "sim/layout/prover.hpp"

#include <fmt/format.h>

#include <set>

#include "sim/layout/claims.hpp"
#include "sim/layout/proof_points.hpp"
#include "tests/support.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

std::vector<Contract> all_contracts() {
  std::vector<Contract> contracts;
  for (const char* kind : {"engines", "bugs"}) {
    for (const auto& name : test::contracts_in(kind)) {
      contracts.push_back(test::contract(name));
    }
  }
  return contracts;
}

std::set<Law> laws_of(const Analysis& analysis) {
  std::set<Law> laws;
  for (const Violation& violation : analysis.violations) {
    laws.insert(law_of(violation));
  }
  return laws;
}

}  // namespace

TEST_CASE("a sweep finds what the ordinary analysis finds", "[prover]") {
  std::int64_t compared = 0;
  std::int64_t wrong = 0;
  for (const Contract& contract : all_contracts()) {
    Analyser fast(Detail::verdicts);
    for (const std::int64_t H : {1, 2, 3, 4, 6, 8, 12}) {
      for (std::int64_t KV = 1; KV <= H; ++KV) {
        for (std::int64_t tp_size = 1; tp_size <= 12; ++tp_size) {
          for (const std::int64_t less : {1, 0}) {
            if (H % KV != 0) {
              continue;
            }
            const ProofPoint point{.H = H,
                                   .KV = KV,
                                   .D = 3,
                                   .Dv = 3 + H % 2,
                                   .gate = 1 + KV % 2,
                                   .tp_size = tp_size,
                                   .lora_rank = 2 * tp_size - less,
                                   .max_lora_rank = 2 * tp_size};
            const LayoutCase input = proof_case(contract, point);
            const Analysis slow = Analyser().run(contract, input);
            const Analysis& quick =
                less == 1 ? fast.run(contract, input) : fast.run_again(contract, input);
            ++compared;
            const bool same = quick.verdict == slow.verdict &&
                              quick.shape_check == slow.shape_check &&
                              quick.bad_contract.has_value() == slow.bad_contract.has_value() &&
                              laws_of(quick) == laws_of(slow) &&
                              quick.violations.size() == slow.violations.size();
            if (!same) {
              ++wrong;
              CAPTURE(contract.name, H, KV, tp_size, less);
              CHECK(verdict_name(quick.verdict) == verdict_name(slow.verdict));
              CHECK(quick.violations.size() == slow.violations.size());
            }
          }
        }
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(compared > 5000);
}

TEST_CASE("the bug that founded the project has its smallest counterexample at H = 2, KV = 1, tp 2",
          "[prover]") {
  const Proof proof = prove(test::contract("sglang-24420"), {.max_heads = 8, .max_tp_size = 8}, 1);
  CHECK_FALSE(proof.holds());
  REQUIRE(proof.claimed.smallest_silent);
  CHECK(*proof.claimed.smallest_silent == ProofPoint{.H = 2,
                                                     .KV = 1,
                                                     .D = 1,
                                                     .Dv = 1,
                                                     .gate = 1,
                                                     .tp_size = 2,
                                                     .lora_rank = 3,
                                                     .max_lora_rank = 4});
  CHECK(proof.claimed.broken[static_cast<std::size_t>(Law::bounds)] == proof.claimed.silent);
  // Silent exactly at tp_size = 2 * KV, as published: 8 pairs (H, KV) with 2 * KV dividing H, each
  // with 3 head sizes, 2 gates, 2 lora_ranks.
  CHECK(proof.claimed.silent == 8 * 3 * 2 * 2);
}

TEST_CASE("the thread count changes nothing in a proof", "[prover]") {
  const Contract contract = test::contract("trtllm_separate");
  const ProofRange range{.max_heads = 12, .max_tp_size = 12};
  const Proof one = prove(contract, range, 1);
  const Proof four = prove(contract, range, 4);
  CHECK(one.claimed.silent == four.claimed.silent);
  CHECK(one.claimed.consistent == four.claimed.consistent);
  CHECK(one.claimed.smallest_silent == four.claimed.smallest_silent);
  CHECK(one.unclaimed.smallest_silent == four.unclaimed.smallest_silent);
  CHECK(one.coverage[0].held == four.coverage[0].held);
}

TEST_CASE("engines hold inside their claims, but for three that forget to repeat K and V",
          "[prover]") {
  for (const auto& name : test::contracts_in("engines")) {
    const Proof proof =
        prove(test::contract(name), {.max_heads = 16, .max_tp_size = 16, .head_dims = {1, 4}}, 0);
    const bool forgets =
        name == "trtllm_separate" || name == "tpu_inference" || name == "megatron_bridge_canonical";
    CAPTURE(name);
    CHECK(proof.holds() == !forgets);
    CHECK(proof.claimed.consistent > 0);
    CHECK_FALSE(proof.bad_point);
    if (forgets) {
      REQUIRE(proof.claimed.smallest_silent);
      CHECK(proof.claimed.smallest_silent->tp_size > proof.claimed.smallest_silent->KV);
    }
  }
}

TEST_CASE("adapters of other shapes are counted as the analysis of each says", "[prover]") {
  const ProofRange range{.max_heads = 4, .max_tp_size = 6};
  for (const std::string name : {"sglang", "vllm", "sglang-28199", "sglang_fused"}) {
    CAPTURE(name);
    const Contract contract = test::contract(name);
    const Proof proof = prove(contract, range, 2);
    Tally tally;
    for (std::int64_t H = 1; H <= 4; ++H) {
      for (std::int64_t KV = 1; KV <= H; ++KV) {
        for (std::int64_t tp = 1; H % KV == 0 && tp <= 6; ++tp) {
          for (const std::int64_t gate : {1, 2}) {
            ProofPoint point{.H = H, .KV = KV, .D = 3, .Dv = 3, .gate = gate, .tp_size = tp};
            point.max_lora_rank = 2 * tp;
            const auto look = [&] {
              const LayoutCase input = proof_case(contract, point);
              const Analysis analysis = Analyser().run(contract, input);
              if (inside_claims(contract, input.geometry, input.deployment) != true ||
                  analysis.failed_before_adapters) {
                return;
              }
              tally.consistent += analysis.verdict == Verdict::consistent ? 1 : 0;
              tally.crash += analysis.verdict == Verdict::crash ? 1 : 0;
              tally.refused += analysis.verdict == Verdict::refused ? 1 : 0;
              tally.silent += analysis.verdict == Verdict::silent ? 1 : 0;
            };
            for (point.lora_rank = 1; point.lora_rank <= 2 * tp - 2; ++point.lora_rank) {
              if (tp <= 4 || point.lora_rank == tp) {
                look();
              }
            }
            point.lora_rank = 2 * tp - 1;
            for (int parts = 1; parts < 7 && !contract.takes_fused_adapters(); ++parts) {
              point.targets = {(parts & 1) != 0, (parts & 2) != 0, (parts & 4) != 0};
              look();
            }
          }
        }
      }
    }
    CHECK(proof.other_adapters.consistent == tally.consistent);
    CHECK(proof.other_adapters.crash == tally.crash);
    CHECK(proof.other_adapters.refused == tally.refused);
    CHECK(proof.other_adapters.silent == tally.silent);
    CHECK(tally.consistent > 0);
  }
}

TEST_CASE("what only other adapters show is no proof", "[prover]") {
  const test::TemporaryFolder folder;
  const auto proof_of = [&](const std::string& text) {
    const auto contract = read_contract(folder.write("mine.json", text), test::configs().root);
    REQUIRE(contract.has_value());
    return prove(*contract, {.max_heads = 8, .max_tp_size = 8}, 2);
  };
  // A's rows cut by r: a hole where T divides r, and r is not R.
  const Proof by_r =
      proof_of(R"json({"format": "tplora-contract/1", "extends": "vllm_fully_sharded",
      "replace": {"/lora_a/copies/0/from": "t*(r/T)", "/lora_a/copies/0/rows": "r/T",
                  "/lora_a/copies/1/from": "t*(r/T)", "/lora_a/copies/1/rows": "r/T",
                  "/lora_a/copies/2/from": "t*(r/T)", "/lora_a/copies/2/rows": "r/T"}})json");
  CHECK(by_r.claimed.silent == 0);
  CHECK_FALSE(by_r.holds());
  REQUIRE(by_r.other_adapters.smallest_silent);
  const ProofPoint& hole = *by_r.other_adapters.smallest_silent;
  CHECK(hole.lora_rank % hole.tp_size == 0);
  CHECK(hole.lora_rank < hole.max_lora_rank);
  // What a slot's last tenant left of a part that the next does not target.
  const Proof keeps = proof_of(R"json({"format": "tplora-contract/1", "extends": "sglang",
      "replace": {"/pool/absent": "keep"}})json");
  CHECK(keeps.claimed.silent == 0);
  CHECK_FALSE(keeps.holds());
  REQUIRE(keeps.other_adapters.smallest_silent);
  CHECK(keeps.other_adapters.smallest_silent->targets == std::array{true, false, true});
}

TEST_CASE("dp attention is proved on the attention group", "[prover]") {
  const Contract contract = test::contract("sglang");
  const ProofRange range{.max_heads = 8, .max_tp_size = 16, .head_dims = {3}, .dp_size = 2};
  const Proof proof = prove(contract, range, 1);
  CHECK(proof.holds());
  const Proof alone = prove(contract, {.max_heads = 8, .max_tp_size = 8, .head_dims = {3}}, 1);
  CHECK(proof.claimed.consistent == alone.claimed.consistent);
  CHECK(proof.coverage[2].held == alone.coverage[2].held);
}

TEST_CASE("a contract that is wrong for other numbers alone is found to be", "[prover]") {
  const test::TemporaryFolder folder;
  const std::string engine = (test::configs().root / "engines/sglang.json").string();
  const auto proof = [&](const std::string& edits, bool holds) {
    const auto contract = read_contract(folder.write(
        "m.json", fmt::format(R"({{"extends": "{}", "replace": {{{}}}}})", engine, edits)));
    REQUIRE(contract);
    const Proof found = prove(*contract, {.max_heads = 8, .max_tp_size = 8, .head_dims = {3}}, 1);
    CHECK(found.holds() == holds);
    CHECK(found.claimed.silent == 0);
    CHECK(found.other_adapters.silent == 0);
    return found;
  };
  const Proof plain = proof(R"("/scaling/den": "r")", true);
  CHECK(plain.other_numbers.consistent > 0);
  CHECK(plain.other_numbers.crash > 0);
  // K's rows from the config's head count: right where that is the layer's.
  const Proof config = proof(
      R"json("/lora_b/copies/1/from": "Q + (KV_config == 0 or KV_config == KV ? g0*D : 0)")json",
      false);
  REQUIRE(config.other_numbers.smallest_silent);
  CHECK(config.other_numbers.smallest_silent->config != ConfigNumbers::of_layer);
  // LoRA cut for the first rank under dp: right without.
  const Proof global =
      proof(R"("/lora_b/copies/0/from": "(dp_size == 1 ? t : 0)*h*gate*D")", false);
  REQUIRE(global.other_numbers.smallest_silent);
  CHECK(global.other_numbers.smallest_silent->dp_size == 2);
  CHECK(global.other_numbers.smallest_silent->config == ConfigNumbers::of_layer);
}

TEST_CASE("a proof counts every point of its range once", "[prover]") {
  const Proof proof = prove(test::contract("vllm"), {.max_heads = 6, .max_tp_size = 5}, 1);
  // Divisors of 1..6: 14 pairs; 3 head sizes, 2 of V, 2 gates, 5 tp sizes, 2 lora_ranks.
  CHECK(proof.claimed.points() + proof.unclaimed.points() == 14 * 3 * 2 * 2 * 5 * 2);
  CHECK(proof.claimed.points() == proof.unclaimed.points());
}

TEST_CASE("a claim without a value makes the contract bad, not the engine", "[prover]") {
  const test::TemporaryFolder folder;
  const std::string engine = (test::configs().root / "engines/sglang.json").string();
  const auto read = [&](const std::string& claim) {
    return read_contract(
        folder.write("claims.json",
                     fmt::format(R"({{"extends": "{}", "claims": [{{"that": "{}", "say": "x"}}]}})",
                                 engine, claim)));
  };
  CHECK_FALSE(prove(*read("H/KV > 0"), {.max_heads = 4, .max_tp_size = 2}, 1).bad_point);
  CHECK(prove(*read("H/(KV - 1) > 0"), {.max_heads = 4, .max_tp_size = 2}, 1).bad_point);
  for (const char* claim : {"t == 0", "T <= KV", "r == R", "h > 0"}) {
    const auto refused = read(claim);
    CAPTURE(claim);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().place.find("/claims") != std::string::npos);
  }
}
