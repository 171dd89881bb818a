// y = x * W^T, ours beside the peers, and the machine's own limits in the same run.
#include <benchmark/benchmark.h>
#include <cblas-openblas.h>
#include <dnnl.h>
#include <omp.h>

#include "bench/problem.hpp"
#include "sim/numerics/dot.hpp"

namespace {

using namespace tplora;
using namespace tplora::core;

using namespace tplora_bench;

Accumulator hopper() {
  return *accumulator_of("tensor_core:hopper", ScalarType::bf16);
}

/// Row-major weights, packing included.
void ours(benchmark::State& state, const Accumulator& accumulator, ScalarType type, int threads) {
  const Size size = size_of(state);
  Problem p(size);
  for (auto _ : state) {
    const TokenTiles x(
        {.values = p.x.data(), .tokens = size.tokens, .cols = size.cols, .row_stride = size.cols});
    const bool fp32 = type == ScalarType::fp32;
    multiply(accumulator, x,
             {.values = fp32 ? static_cast<const void*>(p.w.data()) : p.bits.data(),
              .type = type,
              .rows = size.rows,
              .cols = size.cols,
              .row_stride = size.cols},
             p.y.data(), size.rows, threads);
    benchmark::ClobberMemory();
  }
  count_work(state);
}

/// Weights packed before, in 16 bits.
void packed(benchmark::State& state, const Accumulator& accumulator) {
  const Size size = size_of(state);
  Problem p(size);
  Panel panel(size.rows, size.cols, ScalarType::bf16);
  panel.pack(WeightRows{.values = p.bits.data(),
                        .type = ScalarType::bf16,
                        .rows = size.rows,
                        .cols = size.cols,
                        .row_stride = size.cols});
  for (auto _ : state) {
    const TokenTiles x(
        {.values = p.x.data(), .tokens = size.tokens, .cols = size.cols, .row_stride = size.cols});
    dot_rows(accumulator, x, panel, {.rows = size.rows, .out_stride = size.rows}, p.y.data());
    benchmark::ClobberMemory();
  }
  count_work(state);
}

void openblas(benchmark::State& state) {
  const Size size = size_of(state);
  Problem p(size);
  openblas_set_num_threads(1);
  const auto n = static_cast<int>(size.rows);
  const auto k = static_cast<int>(size.cols);
  for (auto _ : state) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(size.tokens), n, k, 1.0F,
                p.x.data(), k, p.w.data(), k, 0.0F, p.y.data(), n);
    benchmark::ClobberMemory();
  }
  count_work(state);
}

void onednn(benchmark::State& state) {
  const Size size = size_of(state);
  Problem p(size);
  omp_set_num_threads(1);
  for (auto _ : state) {
    dnnl_sgemm('N', 'T', size.tokens, size.rows, size.cols, 1.0F, p.x.data(), size.cols, p.w.data(),
               size.cols, 0.0F, p.y.data(), size.rows);
    benchmark::ClobberMemory();
  }
  count_work(state);
}

BENCHMARK_CAPTURE(ours, fp32_chain_fp32, Accumulator::fp32_chain, ScalarType::fp32, 1)
    ->TPLORA_SHAPES;
BENCHMARK_CAPTURE(ours, fp32_chain_bf16, Accumulator::fp32_chain, ScalarType::bf16, 1)
    ->TPLORA_SHAPES;
BENCHMARK_CAPTURE(packed, fp32_chain_bf16, Accumulator::fp32_chain)->TPLORA_SHAPES;
BENCHMARK_CAPTURE(packed, exact_bf16, Accumulator::exact)->TPLORA_SHAPES;
BENCHMARK_CAPTURE(packed, hopper_bf16, hopper())->TPLORA_SHAPES;
BENCHMARK_CAPTURE(ours, hopper_bf16_two_threads, hopper(), ScalarType::bf16, 2)
    ->TPLORA_SHAPES->UseRealTime();
BENCHMARK_CAPTURE(ours, fp32_chain_fp32_two_threads, Accumulator::fp32_chain, ScalarType::fp32, 2)
    ->TPLORA_SHAPES->UseRealTime();
BENCHMARK(openblas)->TPLORA_SHAPES;
BENCHMARK(onednn)->TPLORA_SHAPES;

}  // namespace
