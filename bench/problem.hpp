// The shapes that products are timed at: tokens x rows x columns of real qkv projections.
#pragma once

#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <bit>
#include <cstdint>
#include <random>

#include "sim/base/aligned.hpp"

namespace tplora_bench {

using tplora::core::AlignedVector;

#define TPLORA_SHAPES           \
  Unit(benchmark::kMillisecond) \
      ->Args({512, 6144, 4096}) \
      ->Args({64, 6144, 4096})  \
      ->Args({64, 9216, 2048})  \
      ->Args({64, 1536, 4096})  \
      ->Args({16, 6144, 4096})  \
      ->Args({16, 9216, 2048})  \
      ->Args({4, 6144, 4096})   \
      ->Args({1, 6144, 4096})

struct Size {
  std::int64_t tokens, rows, cols;
};
inline Size size_of(const benchmark::State& state) {
  return {state.range(0), state.range(1), state.range(2)};
}

/// Random values of bf16 over eight octaves.
inline AlignedVector<float> bf16_values(std::int64_t count) {
  std::mt19937 random(1);
  AlignedVector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    const auto word = static_cast<std::uint32_t>(random());
    value = std::bit_cast<float>((word & 0x807f0000U) | ((123U + ((word >> 8) & 7U)) << 23));
  }
  return values;
}

/// x [tokens, cols], W [rows, cols] as fp32 and as bf16 patterns, and room for y [tokens, rows].
struct Problem {
  explicit Problem(const Size& size)
      : x(bf16_values(size.tokens * size.cols)),
        w(bf16_values(size.rows * size.cols)),
        y(static_cast<std::size_t>(size.tokens * size.rows)) {
    for (const float value : w) {
      bits.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
    }
  }
  AlignedVector<float> x, w, y;
  AlignedVector<std::uint16_t> bits;
};

/// Floating-point operations and weights a second.
inline void count_work(benchmark::State& state) {
  const Size size = size_of(state);
  const auto weights = static_cast<double>(size.rows * size.cols);
  state.counters["FLOP/s"] = benchmark::Counter(2 * static_cast<double>(size.tokens) * weights,
                                                benchmark::Counter::kIsIterationInvariantRate);
  state.counters["weights/s"] =
      benchmark::Counter(weights, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace tplora_bench
