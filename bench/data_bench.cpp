// Making `wide` weights in a panel's order: values a second on one core.
#include <benchmark/benchmark.h>

#include "sim/data/wide.hpp"

namespace {

void wide_panel(benchmark::State& state) {
  using namespace tplora;
  using namespace tplora::core;
  constexpr std::int64_t kRows = 64;
  const std::int64_t cols = state.range(0);
  const WideStream stream{
      .seed = 7, .tensor_word = 17, .lowest_exponent = -12, .dtype = ScalarType::bf16};
  Panel panel(kRows, cols);
  std::int64_t row = 0;
  for (auto _ : state) {
    fill_wide_panel(stream, row, kRows, cols, panel);
    row += kRows;
    benchmark::ClobberMemory();
  }
  state.counters["values/s"] = benchmark::Counter(static_cast<double>(kRows * cols),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(wide_panel)->Arg(2048)->Arg(4096)->Arg(5120);

}  // namespace
