// `wide` values: random sign, one of eight octaves, random fraction. Integer operations only.
#pragma once

#include <cstdint>

#include "sim/numerics/panel.hpp"
#include "sim/numerics/scalar.hpp"

namespace tplora::core {

/// Which stretch of which random stream, and how words become values.
struct WideStream {
  std::uint64_t seed = 0;
  std::uint32_t tensor_word = 0;  ///< word 2 of the counter
  int lowest_exponent = 0;        ///< values have exponents lowest_exponent + 0..7
  ScalarType dtype = ScalarType::bf16;
};

/// Values of one word: bit 31 is the sign, bits 30-28 the octave, bits 22-0 the fraction, cut to
/// what dtype holds.
[[nodiscard]] float wide_value(const WideStream& stream, std::uint32_t word);

/// out[i] = value of logical index first + i, for i < count.
///
/// The word of logical index n is word n % 4 of Philox4x32-10 with key = seed (low, high) and
/// counter = (n / 4 low, n / 4 high, tensor_word, 0).
void fill_wide(const WideStream& stream, std::uint64_t first, std::int64_t count, float* out);

/// The fp32 panel becomes rows [first_row, first_row + rows) of the tensor with rows of `cols`
/// elements: what fill_wide makes, already in a panel's order.
void fill_wide_panel(const WideStream& stream, std::int64_t first_row, std::int64_t rows,
                     std::int64_t cols, Panel& panel);

}  // namespace tplora::core
