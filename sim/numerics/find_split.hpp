// Which way of cutting K gives the bits that a kernel wrote.
#pragma once

#include <cstdint>
#include <span>

#include "sim/numerics/dot.hpp"

namespace tplora::core {

/// What a kernel wrote: [tokens, weight rows], the fp32 sums rounded to nearest even to `type`.
struct KernelResult {
  std::span<const float> values;
  ScalarType type = ScalarType::fp32;
  int most_parts = 16;  ///< splits of 1 to so many parts are tried
  int threads = 1;
};

struct SplitSearch {
  SplitK split;
  std::int64_t mismatches = 0;  ///< bits that differ, NaN equal to NaN
};

/// The first split of K, parts ascending from 1 (each a multiple of accumulator.split.unit
/// columns), whose results equal the kernel's bit for bit; or, where none does, the one with the
/// fewest mismatches. Precondition: accumulator.rule is tensor_core.
[[nodiscard]] SplitSearch find_split(Accumulator accumulator, const TokenTiles& x,
                                     const WeightRows& weights, const KernelResult& kernel);

}  // namespace tplora::core
