#include "tests/brute_force.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

#include "sim/layout/proof_points.hpp"
#include "sim/layout/prover.hpp"
#include "tests/support.hpp"
#include "verify/mutants/mutate.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

struct Score {
  std::int64_t compared = 0;
  std::int64_t different = 0;
  std::int64_t silent = 0;
  std::map<Law, std::int64_t> broken;
};

std::string names(const std::set<Law>& laws) {
  std::string text;
  for (const Law law : laws) {
    text += fmt::format(" {}", law_name(law));
  }
  return text;
}

/// Whether law 5 is part of the comparison. The twin compares replicas cell by cell, the real law
/// compares what was found wrong with them: in a mutant where much is wrong the two may differ,
/// though never in the verdict.
enum class Agreement { compared, left_out };

std::set<Law> laws_of(const Analysis& analysis, Agreement agreement) {
  std::set<Law> laws;
  for (const Violation& violation : analysis.violations) {
    laws.insert(law_of(violation));
  }
  if (agreement == Agreement::left_out) {
    laws.erase(Law::agreement);
  }
  return laws;
}

void compare(const Contract& contract, const LayoutCase& input, const std::string& name,
             Agreement agreement, Score& score) {
  static Analyser analyser(Detail::verdicts);
  const Analysis& fast = analyser.run(contract, input);
  test::BruteResult slow = test::brute_force(contract, input);
  if (agreement == Agreement::left_out) {
    slow.broken.erase(Law::agreement);
  }
  ++score.compared;
  score.silent += slow.verdict == Verdict::silent ? 1 : 0;
  for (const Law law : slow.broken) {
    ++score.broken[law];
  }
  const bool early = fast.failed_before_adapters;  // ranks after the first were not planned
  const bool same = fast.verdict == slow.verdict &&
                    (early || fast.bad_contract.has_value() == slow.bad_contract) &&
                    (fast.verdict != Verdict::silent || laws_of(fast, agreement) == slow.broken);
  if (!same && ++score.different <= 20) {
    const QkvGeometry& g = input.geometry;
    FAIL_CHECK(fmt::format(
        "{}: H={} KV={} D={} Dv={} gate={} tp={} r={} R={}: laws {}{}{}, cells {}{}{}", name,
        g.num_attention_heads, g.num_key_value_heads, g.head_dim, g.v_head_dim, g.q_multiplier,
        input.deployment.tp_size, input.adapters[0].lora_rank, input.deployment.max_lora_rank,
        verdict_name(fast.verdict), names(laws_of(fast, agreement)),
        fast.bad_contract ? " bad" : "", verdict_name(slow.verdict), names(slow.broken),
        slow.bad_contract ? " bad" : ""));
  }
}

std::vector<Contract> all_contracts() {
  std::vector<Contract> contracts;
  for (const char* kind : {"engines", "bugs"}) {
    for (const auto& name : test::contracts_in(kind)) {
      contracts.push_back(test::contract(name));
    }
  }
  return contracts;
}

/// The contracts of the repository; each without its checks, so that geometries no engine lets
/// through are planned too; and one whose ranks own all query heads and one KV head.
std::vector<Contract> contracts_and_worse() {
  std::vector<Contract> contracts = all_contracts();
  for (std::size_t i = 0, count = contracts.size(); i < count; ++i) {
    Contract unchecked = contracts[i];
    unchecked.checks.clear();
    contracts.push_back(std::move(unchecked));
  }
  Contract greedy = test::contract("vllm");
  greedy.owns.first_q = *Formula::parse("0", {"test"}, greedy.symbols);
  greedy.owns.q_heads = *Formula::parse("H", {"test"}, greedy.symbols);
  greedy.owns.kv_heads = *Formula::parse("1", {"test"}, greedy.symbols);
  index_formulas(greedy);
  contracts.push_back(std::move(greedy));
  // Rows of B as far apart as the adapter's lora_rank, and farther than the buffer has them.
  for (const char* stride : {"r", "R + 1", "2*R", "0"}) {
    for (const char* engine : {"sglang", "vllm_single_slice"}) {
      Contract strided = test::contract(engine);
      strided.kernel.back().b_stride = *Formula::parse(stride, {"test"}, strided.symbols);
      index_formulas(strided);
      contracts.push_back(std::move(strided));
    }
  }
  return contracts;
}

}  // namespace

TEST_CASE("interval maps and single cells agree on every geometry up to 8 heads", "[brute]") {
  Score score;
  for (const Contract& contract : contracts_and_worse()) {
    for (std::int64_t H = 1; H <= 8; ++H) {
      for (std::int64_t KV = 1; KV <= H; ++KV) {
        for (std::int64_t tp_size = 1; H % KV == 0 && tp_size <= 8; ++tp_size) {
          for (const std::int64_t D : {1, 2, 3}) {
            for (const std::int64_t more : {-1, 0, 1}) {
              const std::int64_t Dv = D + (D == 1 && more < 0 ? 0 : more);
              const ProofPoint point{.H = H,
                                     .KV = KV,
                                     .D = D,
                                     .Dv = Dv,
                                     .gate = 1 + (H + D) % 2,
                                     .tp_size = tp_size,
                                     .lora_rank = 2 * tp_size - (KV + D) % 2,
                                     .max_lora_rank = 2 * tp_size};
              LayoutCase input = proof_case(contract, point);
              input.adapters[1].targets = {true, more == 0, true};
              compare(contract, input, contract.name,
                      contract.checks.empty() ? Agreement::left_out : Agreement::compared, score);
            }
          }
        }
      }
    }
  }
  CHECK(score.different == 0);
  CHECK(score.compared > 15'000);
  CHECK(score.silent > 500);
}

TEST_CASE("interval maps and single cells agree on mutants", "[brute]") {
  Score score;
  std::int64_t number = 0;
  std::int64_t judged = 0;
  for (const Contract& contract : all_contracts()) {
    for_each_mutant(contract, [&](Mutant&& mutant) {
      if (number++ % 41 != 0) {
        return;
      }
      ++judged;
      for (const auto& [H, KV, tp_size] : {std::array<std::int64_t, 3>{1, 1, 1},
                                           {2, 1, 2},
                                           {4, 2, 2},
                                           {4, 2, 4},
                                           {4, 4, 2},
                                           {6, 3, 3},
                                           {6, 2, 6},
                                           {8, 4, 2},
                                           {8, 2, 8}}) {
        for (const std::int64_t D : {1, 4}) {
          LayoutCase input = proof_case(contract, {.H = H,
                                                   .KV = KV,
                                                   .D = D,
                                                   .Dv = D + H / 8,
                                                   .gate = 1 + tp_size / 4 % 2,
                                                   .tp_size = tp_size,
                                                   .lora_rank = 2 * tp_size - D % 2,
                                                   .max_lora_rank = 2 * tp_size});
          input.adapters[1].targets = {true, D == 1, true};
          compare(mutant.contract, input,
                  fmt::format("{} {}: {}", contract.name, mutant.place, mutant.what),
                  Agreement::left_out, score);
        }
      }
    });
  }
  CHECK(score.different == 0);
  CHECK(judged > 300);
  for (const Law law : {Law::identity, Law::bounds, Law::cover, Law::residue, Law::pairing}) {
    CAPTURE(law_name(law));
    CHECK(score.broken[law] > 20);
  }
}
