// Bits against bits.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/numerics/matrix.hpp"

namespace tplora::core {

/// Where two blocks of outputs differ. Rows are logical rows of a projection, which are columns of
/// its output; they count from the block's first.
struct Difference {
  std::int64_t wrong = 0;  ///< elements that differ in any bit
  std::int64_t first_row = -1, last_row = -1;
  std::vector<std::int64_t> tokens;  ///< ascending
  std::int64_t example_token = -1, example_row = -1;
  float expected = 0, got = 0;  ///< at the example
};

/// Compares [tokens, rows] bit for bit: signed zeros differ, one canonical NaN equals itself.
/// Precondition: equal shapes.
[[nodiscard]] Difference compare_bits(const MatrixView& expected, const MatrixView& got);

}  // namespace tplora::core
