// The kernels behind dot_rows and multiply, one for each accumulator. Not for users of the library.
#pragma once

#include <cstdint>

#include "sim/numerics/dot.hpp"

namespace tplora::core {

/// Where a kernel takes weights from: a panel, or row-major rows that it packs as it goes.
struct WeightSource {
  const Panel* panel = nullptr;
  WeightRows rows;  ///< where there is no panel

  [[nodiscard]] std::int64_t cols() const { return panel != nullptr ? panel->cols() : rows.cols; }
  [[nodiscard]] ScalarType type() const { return panel != nullptr ? panel->storage() : rows.type; }
  [[nodiscard]] float at(std::int64_t row, std::int64_t col) const {
    return panel != nullptr ? panel->at(row, col) : rows.at(row, col);
  }
};

/// The most tokens that a tile of this machine's kernels has.
[[nodiscard]] std::int64_t chain_tile_tokens();

void chain_rows(const TokenTiles& x, const WeightSource& w, const DotShape& shape, float* out);
void exact_rows(const TokenTiles& x, const WeightSource& w, const DotShape& shape, float* out);
/// Precondition: operands are values of the unit's operand type, except where it cuts them.
void tensor_core_rows(const Accumulator& accumulator, const TokenTiles& x, const WeightSource& w,
                      const DotShape& shape, float* out);

/// `source` [rows, cols], row-major, becomes blocks of kPanelRows rows at `out`.
void pack_blocks(const WeightRows& source, float* out);

}  // namespace tplora::core
