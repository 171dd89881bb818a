// exact. One source for every SIMD target: Highway compiles this file once for each and picks at
// run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/numerics/exact.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "sim/base/aligned.hpp"
#include "sim/numerics/kernels.hpp"
#include "sim/numerics/weights-inl.hpp"
#include "sim/numerics/wide_sum.hpp"

#ifndef TPLORA_EXACT_SPAN
#define TPLORA_EXACT_SPAN
namespace tplora::core {

/// Columns worked on at a time, half a block of x: a block of doubles of this length fills half a
/// first-level cache.
inline constexpr std::int64_t kExactCols = kBlockCols / 2;
/// Tokens, whole tiles everywhere, and rows worked on at a time: their doubles stay in the
/// second-level cache.
inline constexpr std::int64_t kExactTokens = 132;
inline constexpr std::int64_t kExactRows = 128;

/// The stretch of bits in which the values of a row lie: all are multiples of 2^unit and below
/// 2^end in magnitude.
struct Span {
  int unit = 0, end = 0;
  bool finite = true;
};

/// Patterns of magnitudes, seen one by one in each row of a block: the largest, the smallest that
/// is not zero, less one, and all of their fraction bits.
struct RowSpans {
  std::array<std::uint32_t, kPanelRows> largest{}, smallest{}, fractions{};
  RowSpans() { smallest.fill(0x7ffffffeU); }

  [[nodiscard]] Span span(std::size_t row) const {
    const auto exponent = [](std::uint32_t bits) {
      return static_cast<int>(std::max(bits >> 23, 1U)) - 127;
    };
    const int zeros = std::countr_zero(fractions[row] | 0x800000U);
    return {.unit = exponent(smallest[row] + 1) - 23 + zeros,
            .end = exponent(largest[row]) + 1,
            .finite = largest[row] < 0x7f800000U};
  }
};

inline Span span_of(const TokenTiles& x, std::int64_t token) {
  RowSpans one;
  for (std::int64_t k = 0; k < x.cols(); ++k) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x.at(token, k)) & 0x7fffffffU;
    one.largest[0] = std::max(one.largest[0], bits);
    one.smallest[0] = std::min(one.smallest[0], bits - 1);
    one.fractions[0] |= bits;
  }
  return one.span(0);
}

}  // namespace tplora::core
#endif

HWY_BEFORE_NAMESPACE();
namespace tplora::core::HWY_NAMESPACE {

using Dd = hn::CappedTag<double, kPanelRows / 2>;

/// Adds to sums[t * stride + i] the products of token t with row i of two vectors.
/// x: [cols, kTokens]; w: [cols, kPanelRows].
template <std::int64_t kTokens>
HWY_NOINLINE void double_tile(const double* HWY_RESTRICT x, const double* HWY_RESTRICT w,
                              std::int64_t cols, double* sums, std::int64_t stride) {
  const Dd d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  // Plain arrays: to index one calls no function, which might be compiled for another target.
  constexpr auto kCount = static_cast<std::size_t>(kTokens);
  hn::Vec<Dd> low[kCount];   // NOLINT(modernize-avoid-c-arrays)
  hn::Vec<Dd> high[kCount];  // NOLINT(modernize-avoid-c-arrays)
  for (std::int64_t t = 0; t < kTokens; ++t) {
    low[t] = hn::LoadU(d, sums + t * stride);
    high[t] = hn::LoadU(d, sums + t * stride + lanes);
  }
  for (std::int64_t k = 0; k < cols; ++k) {
    const auto w0 = hn::LoadU(d, w);
    const auto w1 = hn::LoadU(d, w + lanes);
    w += kPanelRows;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const auto xv = hn::Set(d, x[t]);
      low[t] = hn::MulAdd(xv, w0, low[t]);
      high[t] = hn::MulAdd(xv, w1, high[t]);
    }
    x += kTokens;
  }
  for (std::int64_t t = 0; t < kTokens; ++t) {
    hn::StoreU(low[t], d, sums + t * stride);
    hn::StoreU(high[t], d, sums + t * stride + lanes);
  }
}

template <std::int64_t kTokens = 1>
void double_tile_of(std::int64_t tokens, const double* x, const double* w, std::int64_t cols,
                    double* sums, std::int64_t stride) {
  if constexpr (kTokens < 12) {
    if (tokens != kTokens) {
      double_tile_of<kTokens + 1>(tokens, x, w, cols, sums, stride);
      return;
    }
  }
  double_tile<kTokens>(x, w, cols, sums, stride);
}

/// Adds the magnitudes of some columns of a block to the spans of its rows. from: [cols,
/// kPanelRows].
HWY_INLINE void see_spans(const float* from, std::int64_t cols, RowSpans& spans) {
  const Df d;
  const hn::RebindToUnsigned<Df> du;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t lane = 0; lane < kPanelRows; lane += lanes) {
    auto largest = hn::LoadU(du, spans.largest.data() + lane);
    auto smallest = hn::LoadU(du, spans.smallest.data() + lane);
    auto fractions = hn::LoadU(du, spans.fractions.data() + lane);
    for (std::int64_t k = 0; k < cols; ++k) {
      const auto value = hn::LoadU(d, from + k * kPanelRows + lane);
      const auto bits = hn::And(hn::BitCast(du, value), hn::Set(du, 0x7fffffffU));
      largest = hn::Max(largest, bits);
      // Zero, less one, is the largest number of all: zeros bound nothing from below.
      smallest = hn::Min(smallest, hn::Sub(bits, hn::Set(du, 1U)));
      fractions = hn::Or(fractions, bits);
    }
    hn::StoreU(largest, du, spans.largest.data() + lane);
    hn::StoreU(smallest, du, spans.smallest.data() + lane);
    hn::StoreU(fractions, du, spans.fractions.data() + lane);
  }
}

/// Tokens [begin, end) with the rows of `spans.size()` blocks from `first_block` on, in double:
/// sums [blocks, end - begin, kPanelRows], right wherever no addition rounds. `tokens` holds x as
/// doubles, at the same places; the spans become those of the blocks' rows.
void DoubleSums(const TokenTiles& x, const WeightSource& w, std::int64_t first_block,
                const double* tokens, std::int64_t begin, std::int64_t end,
                std::vector<RowSpans>& spans, double* sums) {
  const hn::Rebind<float, Dd> df;
  const Dd d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  alignas(64) std::array<float, kExactCols * kPanelRows> buffer;
  alignas(64) std::array<double, kExactCols * kPanelRows> weights;
  with_weights(w.type(), [&]<class Weights>(Weights /*reader*/) {
    for (std::int64_t col = 0; col < w.cols(); col += kExactCols) {
      const std::int64_t cols = std::min(kExactCols, w.cols() - col);
      for (std::size_t b = 0; b < spans.size(); ++b) {
        const auto block = static_cast<std::int64_t>(b);
        const float* const from =
            fp32_block<Weights>(w, first_block + block, col, cols, buffer.data());
        see_spans(from, cols, spans[b]);
        for (std::int64_t i = 0; i < cols * kPanelRows; i += lanes) {
          hn::StoreU(hn::PromoteTo(d, hn::LoadU(df, from + i)), d, weights.data() + i);
        }
        double* const some = sums + block * (end - begin) * kPanelRows;
        for (std::int64_t t = begin; t < end; t += x.tile_tokens()) {
          for (std::int64_t lane = 0; lane < kPanelRows; lane += 2 * lanes) {
            double_tile_of(x.height(t), tokens + x.place(t, col), weights.data() + lane, cols,
                           some + (t - begin) * kPanelRows + lane, kPanelRows);
          }
        }
      }
    }
  });
}

}  // namespace tplora::core::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tplora::core {
namespace {

HWY_EXPORT(DoubleSums);

float wide_dot(const TokenTiles& x, std::int64_t token, const WeightSource& w, std::int64_t row) {
  WideSum sum;
  for (std::int64_t k = 0; k < w.cols(); ++k) {
    sum.add_product(x.at(token, k), w.at(row, k));
  }
  return sum.rounded();
}

/// Every partial sum of cols products is a multiple of the two units' product and below cols times
/// the two ends' product. Where these are no more than 53 bits apart, no addition of doubles
/// rounds.
bool fits_double(const Span& a, const Span& b, std::int64_t cols) {
  const auto length_bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(cols)));
  return a.finite && b.finite && a.end + b.end + length_bits <= a.unit + b.unit + 53;
}

}  // namespace

void exact_rows(const TokenTiles& x, const WeightSource& w, const DotShape& shape, float* out) {
  std::vector<Span> token_spans;
  for (std::int64_t token = 0; token < x.tokens(); ++token) {
    token_spans.push_back(span_of(x, token));
  }
  const AlignedVector<double> tokens(x.values().begin(), x.values().end());
  AlignedVector<double> sums(
      static_cast<std::size_t>(std::min(kExactTokens, x.tokens()) * kExactRows));
  const std::int64_t end_row = shape.first_row + shape.rows;
  for (std::int64_t group = shape.first_row / kPanelRows * kPanelRows; group < end_row;
       group += kExactRows) {
    const std::int64_t group_end = std::min(group + kExactRows, end_row);
    const auto blocks = static_cast<std::size_t>((group_end - group + kPanelRows - 1) / kPanelRows);
    for (std::int64_t begin = 0; begin < x.tokens(); begin += kExactTokens) {
      const std::int64_t end = std::min(begin + kExactTokens, x.tokens());
      std::fill(sums.begin(), sums.end(), 0.0);
      std::vector<RowSpans> spans(blocks);
      HWY_DYNAMIC_DISPATCH(DoubleSums)
      (x, w, group / kPanelRows, tokens.data(), begin, end, spans, sums.data());
      for (std::int64_t row = std::max(group, shape.first_row); row < group_end; ++row) {
        const std::int64_t block = (row - group) / kPanelRows;
        const std::int64_t lane = row % kPanelRows;
        const Span span =
            spans[static_cast<std::size_t>(block)].span(static_cast<std::size_t>(lane));
        for (std::int64_t token = begin; token < end; ++token) {
          const std::int64_t place = (block * (end - begin) + token - begin) * kPanelRows + lane;
          out[token * shape.out_stride + (row - shape.first_row)] =
              fits_double(span, token_spans[static_cast<std::size_t>(token)], x.cols())
                  ? static_cast<float>(sums[static_cast<std::size_t>(place)])
                  : wide_dot(x, token, w, row);
        }
      }
    }
  }
}

}  // namespace tplora::core
#endif
