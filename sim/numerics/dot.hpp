// Dot products of activation rows with weight rows, under a named accumulation rule.
#pragma once

#include <cstdint>

#include "sim/numerics/accumulator.hpp"
#include "sim/numerics/panel.hpp"
#include "sim/numerics/token_tiles.hpp"

namespace tplora::core {

/// Which rows of a panel meet the tokens, and where the results go.
struct DotShape {
  std::int64_t first_row = 0;  ///< first panel row used
  std::int64_t rows = 0;       ///< panel rows used
  std::int64_t out_stride = 0;
};

/// out[i*out_stride + j] = dot(token i, panel row first_row + j) for all tokens and j < rows.
/// Precondition: x and panel have the same number of columns.
///
/// One output depends only on its own two rows and the accumulator's rule: not on the shape, the
/// rows beside it, or the vector width of the machine. A NaN is the canonical one.
void dot_rows(const Accumulator& accumulator, const TokenTiles& x, const Panel& panel,
              const DotShape& shape, float* out);

/// y = x * W^T: out[i*out_stride + j] = dot(token i, row j of `weights`), over `threads` threads,
/// which change no bit. The weights are packed a few rows at a time.
void multiply(const Accumulator& accumulator, const TokenTiles& x, const WeightRows& weights,
              float* out, std::int64_t out_stride, int threads);

}  // namespace tplora::core
