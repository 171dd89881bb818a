// Activation rows, packed for the dot kernels.
#pragma once

#include <cstdint>

#include "sim/base/aligned.hpp"

namespace tplora::core {

/// A row-major fp32 matrix [tokens, row_stride >= cols] that somebody else owns.
struct TokenRows {
  const float* values = nullptr;
  std::int64_t tokens = 0, cols = 0, row_stride = 0;
};

/// Columns of one block of TokenTiles: what a kernel works on at a time.
inline constexpr std::int64_t kBlockCols = 256;

/// x in blocks of kBlockCols columns, inside a block in tiles of up to `tile_tokens` tokens, inside
/// a tile column by column. What a kernel broadcasts one after the other lies side by side, and
/// what it works on at a time lies together, whatever the length of a row: rows of a power of two
/// elements would compete for a few lines of a cache. The last tile has the tokens that remain.
class TokenTiles {
 public:
  /// How many tokens a tile has is this machine's choice; no output's bits depend on it.
  explicit TokenTiles(const TokenRows& x);

  [[nodiscard]] std::int64_t tokens() const { return tokens_; }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  [[nodiscard]] std::int64_t tile_tokens() const { return tile_tokens_; }
  /// Tokens in the tile that begins with token `first`, a multiple of tile_tokens().
  [[nodiscard]] std::int64_t height(std::int64_t first) const {
    return tokens_ - first < tile_tokens_ ? tokens_ - first : tile_tokens_;
  }
  /// Place of column `col` of that tile in values(): from there on lie the columns up to the end of
  /// the block, [columns, height(first)].
  [[nodiscard]] std::int64_t place(std::int64_t first, std::int64_t col) const {
    const std::int64_t begin = col / kBlockCols * kBlockCols;
    const std::int64_t width = cols_ - begin < kBlockCols ? cols_ - begin : kBlockCols;
    return begin * tokens_ + first * width + (col - begin) * height(first);
  }
  [[nodiscard]] const float* tile(std::int64_t first, std::int64_t col) const {
    return values_.data() + place(first, col);
  }
  /// All blocks, one after the other.
  [[nodiscard]] const AlignedVector<float>& values() const { return values_; }
  [[nodiscard]] float at(std::int64_t token, std::int64_t col) const {
    const std::int64_t first = token / tile_tokens_ * tile_tokens_;
    return tile(first, col)[token - first];
  }

 private:
  std::int64_t tokens_ = 0, cols_ = 0, tile_tokens_ = 1;
  AlignedVector<float> values_;
};

}  // namespace tplora::core
