#include "sim/numerics/token_tiles.hpp"

#include <algorithm>

#include "sim/numerics/kernels.hpp"

namespace tplora::core {

TokenTiles::TokenTiles(const TokenRows& x)
    : tokens_(x.tokens),
      cols_(x.cols),
      tile_tokens_(chain_tile_tokens()),
      values_(static_cast<std::size_t>(x.tokens * x.cols)) {
  for (std::int64_t begin = 0; begin < cols_; begin += kBlockCols) {
    const std::int64_t end = std::min(begin + kBlockCols, cols_);
    for (std::int64_t first = 0; first < tokens_; first += tile_tokens_) {
      const std::int64_t tall = height(first);
      float* const to = values_.data() + place(first, begin);
      for (std::int64_t i = 0; i < tall; ++i) {
        const float* const row = x.values + (first + i) * x.row_stride;
        for (std::int64_t k = begin; k < end; ++k) {
          to[(k - begin) * tall + i] = row[k];
        }
      }
    }
  }
}

}  // namespace tplora::core
