// Dot products with a named accumulation rule.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sim/numerics/panel.hpp"

namespace tplora {

/// How a sum of products is formed.
enum class Accumulator {
  /// acc = fma(x[k], w[k], acc) in fp32, k ascending, from +0.
  fp32_chain,
};
[[nodiscard]] std::string_view accumulator_name(Accumulator accumulator);
[[nodiscard]] std::optional<Accumulator> accumulator_of(std::string_view name);

struct DotShape {
  std::int64_t tokens = 0;
  std::int64_t x_stride = 0;
  std::int64_t first_row = 0;  ///< first panel row used
  std::int64_t rows = 0;       ///< panel rows used
  std::int64_t out_stride = 0;
};

/// out[i*out_stride + j] = dot(row i of x, panel row first_row + j) for i < tokens, j < rows.
/// x: [tokens, x_stride >= panel.cols()].
///
/// One output depends only on its own two rows and the accumulator's rule: not on the shape, the
/// rows beside it, or the vector width of the machine.
void dot_rows(Accumulator accumulator, const float* x, const Panel& panel, const DotShape& shape,
              float* out);

}  // namespace tplora
