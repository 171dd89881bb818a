// fp32_chain. One source for every SIMD target: Highway compiles this file once for each and picks
// at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/numerics/chain.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/base/aligned.hpp"
#include "sim/base/ensure.hpp"
#include "sim/numerics/kernels.hpp"
#include "sim/numerics/weights-inl.hpp"

#ifndef TPLORA_CHAIN_TOKENS
#define TPLORA_CHAIN_TOKENS
namespace tplora::core {

/// Tokens worked on at a time, whole tiles everywhere: a block of their columns takes half a
/// second-level cache.
inline constexpr std::int64_t kChainTokens = 264;

/// Rows worked on at a time, whole strips everywhere.
inline constexpr std::int64_t kGroupRows = 128;

}  // namespace tplora::core
#endif

HWY_BEFORE_NAMESPACE();
namespace tplora::core::HWY_NAMESPACE {

// Registers: two vectors of sums for each token, two of weights, one of a token's value.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr std::int64_t kTileTokens = 12;
#else
constexpr std::int64_t kTileTokens = 6;
#endif

std::int64_t TileTokens() {
  return kTileTokens;
}

HWY_INLINE Vf fused_multiply_add(Df d, Vf a, Vf b, Vf c) {
#if HWY_NATIVE_FMA
  (void)d;
  return hn::MulAdd(a, b, c);
#else
  // This target has no fused instruction: one rounding a step is the rule all the same.
  HWY_ALIGN float la[kPanelRows], lb[kPanelRows], lc[kPanelRows];
  hn::Store(a, d, la);
  hn::Store(b, d, lb);
  hn::Store(c, d, lc);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
    lc[i] = std::fma(la[i], lb[i], lc[i]);
  }
  return hn::Load(d, lc);
#endif
}

/// Two vectors of weight rows over some columns.
template <class Element>
struct Strip {
  const Element* first;   ///< [cols, kPanelRows], from the first vector's row on
  const Element* second;  ///< of the second vector
  std::int64_t cols;
};

/// Goes on with the chains of kTokens tokens. x: [cols, kTokens]; sums: [kTokens, two vectors].
template <std::int64_t kTokens, class Weights>
HWY_NOINLINE void tile(const float* HWY_RESTRICT x, const Strip<typename Weights::Element>& strip,
                       float* HWY_RESTRICT sums) {
  const Df d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  // Plain arrays: to index one calls no function, which might be compiled for another target.
  constexpr auto kCount = static_cast<std::size_t>(kTokens);
  Vf low[kCount];   // NOLINT(modernize-avoid-c-arrays)
  Vf high[kCount];  // NOLINT(modernize-avoid-c-arrays)
  for (std::int64_t t = 0; t < kTokens; ++t) {
    low[t] = hn::LoadU(d, sums + 2 * t * lanes);
    high[t] = hn::LoadU(d, sums + (2 * t + 1) * lanes);
  }
  const auto* HWY_RESTRICT first = strip.first;
  const auto* HWY_RESTRICT second = strip.second;
  for (std::int64_t k = 0; k < strip.cols; ++k) {
    if constexpr (sizeof(*first) < sizeof(float)) {
      hwy::Prefetch(first + kAheadCols * kPanelRows);
    }
    const Vf w0 = Weights::load(d, first);
    const Vf w1 = Weights::load(d, second);
    first += kPanelRows;
    second += kPanelRows;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const Vf xv = hn::Set(d, x[t]);
      low[t] = fused_multiply_add(d, xv, w0, low[t]);
      high[t] = fused_multiply_add(d, xv, w1, high[t]);
    }
    x += kTokens;
  }
  for (std::int64_t t = 0; t < kTokens; ++t) {
    hn::StoreU(low[t], d, sums + 2 * t * lanes);
    hn::StoreU(high[t], d, sums + (2 * t + 1) * lanes);
  }
}

template <class Weights, std::int64_t kTokens = 1>
HWY_INLINE void tile_of(std::int64_t tokens, const float* x,
                        const Strip<typename Weights::Element>& strip, float* sums) {
  if constexpr (kTokens < kTileTokens) {
    if (tokens != kTokens) {
      tile_of<Weights, kTokens + 1>(tokens, x, strip, sums);
      return;
    }
  }
  tile<kTokens, Weights>(x, strip, sums);
}

/// Asks for the next columns of row-major weights, a few lines at a time, while others are worked
/// on.
class Prefetch {
 public:
  Prefetch(const WeightSource& w, std::int64_t row, std::int64_t rows, std::int64_t col,
           std::int64_t calls) {
    const std::int64_t cols = std::min(kBlockCols, w.cols() - col);
    if (w.panel != nullptr || cols <= 0) {
      return;
    }
    const std::int64_t bytes = w.rows.type == ScalarType::fp32 ? 4 : 2;
    from_ = static_cast<const char*>(w.rows.values) + (row * w.rows.row_stride + col) * bytes;
    row_bytes_ = w.rows.row_stride * bytes;
    lines_ = (cols * bytes + kLine - 1) / kLine;
    total_ = lines_ * std::min(rows, w.rows.rows - row);
    each_ = (total_ + calls - 1) / calls;
  }
  HWY_INLINE void some() {
    for (const std::int64_t end = std::min(total_, next_ + each_); next_ < end; ++next_) {
      hwy::Prefetch(from_ + next_ / lines_ * row_bytes_ + next_ % lines_ * kLine);
    }
  }

 private:
  static constexpr std::int64_t kLine = 64;
  const char* from_ = nullptr;
  std::int64_t row_bytes_ = 0, lines_ = 1, total_ = 0, each_ = 0, next_ = 0;
};

/// Tokens [begin, end) and one block of columns, from `col` on.
struct Stretch {
  std::int64_t begin, end, col, cols;
};

/// Goes on with the chains of two vectors of rows, from `row` on: sums [end - begin, two vectors].
template <class Weights>
void strip_sums(const TokenTiles& x, const WeightSource& w, std::int64_t row, const Stretch& part,
                float* sums) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(Df()));
  const std::int64_t first = row / kPanelRows;
  const std::int64_t second = (row + lanes) / kPanelRows;
  // Packed weights that few tokens meet are converted as they are read.
  const bool direct = w.panel != nullptr && x.tokens() <= 2 * kTileTokens;
  Prefetch next(w, row, 2 * lanes, part.col + part.cols,
                (part.end - part.begin + kTileTokens - 1) / kTileTokens);
  const auto tiles = [&]<class Reader>(Reader /*reader*/,
                                       const Strip<typename Reader::Element>& strip) {
    for (std::int64_t token = part.begin; token < part.end; token += kTileTokens) {
      next.some();
      tile_of<Reader>(x.height(token), x.tile(token, part.col), strip,
                      sums + 2 * (token - part.begin) * lanes);
    }
  };
  const std::int64_t first_row = row % kPanelRows;
  const std::int64_t second_row = (row + lanes) % kPanelRows;
  if (direct) {
    tiles(Weights(),
          {block_of<Weights>(*w.panel, first) + part.col * kPanelRows + first_row,
           block_of<Weights>(*w.panel, second) + part.col * kPanelRows + second_row, part.cols});
    return;
  }
  alignas(64) std::array<float, 2 * kBlockCols * kPanelRows> buffer;
  const float* const a = fp32_block<Weights>(w, first, part.col, part.cols, buffer.data());
  const float* const b = first == second
                             ? a
                             : fp32_block<Weights>(w, second, part.col, part.cols,
                                                   buffer.data() + kBlockCols * kPanelRows);
  tiles(Fp32Weights(), {a + first_row, b + second_row, part.cols});
}

template <class Weights>
void Rows(const TokenTiles& x, const WeightSource& w, const DotShape& shape, float* out) {
  const std::int64_t strip_rows = 2 * static_cast<std::int64_t>(hn::Lanes(Df()));
  const std::int64_t end_row = shape.first_row + shape.rows;
  AlignedVector<float> sums(
      static_cast<std::size_t>(std::min(kChainTokens, x.tokens()) * kGroupRows));
  // As many rows at a time as still have their sums in the second-level cache.
  const std::int64_t begin_row = shape.first_row / strip_rows * strip_rows;
  for (std::int64_t group = begin_row; group < end_row; group += kGroupRows) {
    const std::int64_t group_end = std::min(group + kGroupRows, end_row);
    for (std::int64_t begin = 0; begin < x.tokens(); begin += kChainTokens) {
      const std::int64_t end = std::min(begin + kChainTokens, x.tokens());
      const auto sums_of = [&](std::int64_t row) {
        return sums.data() + (row - group) * (end - begin);
      };
      std::fill(sums.begin(), sums.end(), 0.0F);
      for (std::int64_t col = 0; col < w.cols(); col += kBlockCols) {
        const Stretch part{begin, end, col, std::min(kBlockCols, w.cols() - col)};
        for (std::int64_t row = group; row < group_end; row += strip_rows) {
          strip_sums<Weights>(x, w, row, part, sums_of(row));
        }
      }
      for (std::int64_t row = group; row < group_end; row += strip_rows) {
        const std::int64_t from = std::max(row, shape.first_row);
        const std::int64_t stop = std::min(row + strip_rows, end_row);
        for (std::int64_t token = begin; token < end; ++token) {
          std::copy_n(sums_of(row) + (token - begin) * strip_rows + (from - row), stop - from,
                      out + token * shape.out_stride + (from - shape.first_row));
        }
      }
    }
  }
}

void ChainRows(const TokenTiles& x, const WeightSource& w, const DotShape& shape, float* out) {
  ensure(x.tile_tokens() == kTileTokens, "x was packed for this machine's kernels");
  with_weights(w.type(),
               [&]<class Weights>(Weights /*reader*/) { Rows<Weights>(x, w, shape, out); });
}

}  // namespace tplora::core::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tplora::core {

HWY_EXPORT(ChainRows);
HWY_EXPORT(TileTokens);

std::int64_t chain_tile_tokens() {
  return HWY_DYNAMIC_DISPATCH(TileTokens)();
}

void chain_rows(const TokenTiles& x, const WeightSource& w, const DotShape& shape, float* out) {
  HWY_DYNAMIC_DISPATCH(ChainRows)(x, w, shape, out);
}

}  // namespace tplora::core
#endif
