// How long planning and the laws take: for one (model, tp_size), and over a proof's range.
#include <benchmark/benchmark.h>

#include <string>

#include "sim/base/ensure.hpp"
#include "sim/layout/proof_points.hpp"
#include "sim/layout/prover.hpp"

namespace {

using namespace tplora;
using namespace tplora::core;

Contract contract(const char* name) {
  auto found = load_contract(name, TPLORA_SOURCE_DIR "/configs");
  ensure(found.has_value(), "the benchmark's contract can be read");
  return std::move(*found);
}

/// One analysis of H = 64, KV = 8, D = 128, the geometry of the usual large dense models; the
/// argument is tp_size.
void one_case(benchmark::State& state, const char* name) {
  const Contract one = contract(name);
  const std::int64_t tp_size = state.range(0);
  const LayoutCase input = proof_case(one, {.H = 64,
                                            .KV = 8,
                                            .D = 128,
                                            .Dv = 128,
                                            .gate = 1,
                                            .tp_size = tp_size,
                                            .lora_rank = 16,
                                            .max_lora_rank = 64});
  Analyser analyser;
  for (auto _ : state) {
    benchmark::DoNotOptimize(&analyser.run(one, input));
  }
}

/// A whole proof on one thread; counted in (geometry, tp_size) pairs.
void whole_proof(benchmark::State& state, const char* name) {
  const Contract one = contract(name);
  const ProofRange range;
  std::int64_t pairs = 0;
  for (auto _ : state) {
    const Proof proof = prove(one, range, 1);
    pairs += (proof.claimed.points() + proof.unclaimed.points()) / 2;
  }
  state.counters["pairs/s"] =
      benchmark::Counter(static_cast<double>(pairs), benchmark::Counter::kIsRate);
}

BENCHMARK_CAPTURE(one_case, sglang, "sglang")->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->Arg(32);
BENCHMARK_CAPTURE(one_case, vllm_fully_sharded, "vllm_fully_sharded")->Arg(4)->Arg(8)->Arg(16);
BENCHMARK_CAPTURE(one_case, megatron_bridge, "megatron_bridge")->Arg(4)->Arg(8)->Arg(16);
BENCHMARK_CAPTURE(whole_proof, sglang, "sglang")->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(whole_proof, hf_tp_peft, "hf_tp_peft")->Unit(benchmark::kSecond);

}  // namespace
