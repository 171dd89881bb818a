// The machine's own limits, and Eigen: compiled for this machine alone (-march=native), since both
// use what the compiler offers them. Every other figure is read as a share of these.
#include <benchmark/benchmark.h>
#include <hwy/highway.h>

#include <cstdint>

#include "bench/problem.hpp"

namespace {

namespace hn = hwy::HWY_NAMESPACE;
using tplora::core::AlignedVector;

/// Independent fused multiply-adds in registers: the core's peak in fp32.
void fma_peak(benchmark::State& state) {
  constexpr std::int64_t kChains = 10;
  constexpr std::int64_t kSteps = 1 << 16;
  const hn::ScalableTag<float> d;
  for (auto _ : state) {
    hn::Vec<decltype(d)> sums[kChains];  // NOLINT(modernize-avoid-c-arrays)
    for (auto& sum : sums) {
      sum = hn::Zero(d);
    }
    auto a = hn::Set(d, 0.5F);
    auto b = hn::Set(d, 0.25F);
    benchmark::DoNotOptimize(a);
    benchmark::DoNotOptimize(b);
    for (std::int64_t i = 0; i < kSteps; ++i) {
      for (auto& sum : sums) {
        sum = hn::MulAdd(a, b, sum);
      }
    }
    for (auto& sum : sums) {
      benchmark::DoNotOptimize(sum);
    }
  }
  state.counters["FLOP/s"] = benchmark::Counter(
      static_cast<double>(2 * kChains * kSteps) * static_cast<double>(hn::Lanes(d)),
      benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(fma_peak)->Unit(benchmark::kMillisecond);

/// Reading memory that no cache holds, in as many streams as a core follows with ease.
void read_bandwidth(benchmark::State& state) {
  constexpr std::size_t kStreams = 8;
  const AlignedVector<float> memory(std::size_t{1} << 26, 1.0F);  // 256 MiB
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  // Streams a page and a bit apart, so that they do not meet in one set of the cache.
  const std::size_t apart = 1024 + 16;
  for (auto _ : state) {
    auto sum = hn::Zero(d);
    for (std::size_t first = 0; first + kStreams * apart <= memory.size();
         first += kStreams * apart) {
      for (std::size_t i = 0; i < apart; i += lanes) {
        for (std::size_t s = 0; s < kStreams; ++s) {
          sum = hn::Max(sum, hn::Load(d, memory.data() + first + s * apart + i));
        }
      }
    }
    benchmark::DoNotOptimize(hn::GetLane(sum));
  }
  state.counters["bytes/s"] = benchmark::Counter(static_cast<double>(memory.size() * sizeof(float)),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(read_bandwidth)->Unit(benchmark::kMillisecond);

void eigen(benchmark::State& state) {
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const tplora_bench::Size size = tplora_bench::size_of(state);
  tplora_bench::Problem p(size);
  Eigen::Map<const Rows> x(p.x.data(), size.tokens, size.cols);
  Eigen::Map<const Rows> w(p.w.data(), size.rows, size.cols);
  Eigen::Map<Rows> y(p.y.data(), size.tokens, size.rows);
  for (auto _ : state) {
    y.noalias() = x * w.transpose();
    benchmark::ClobberMemory();
  }
  tplora_bench::count_work(state);
}
BENCHMARK(eigen)->TPLORA_SHAPES;

}  // namespace
