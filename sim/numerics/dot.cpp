// One source for every SIMD target: Highway compiles this file once for each and picks at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/numerics/dot.cpp"
#include "sim/numerics/dot.hpp"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace tplora {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V fused_multiply_add(D d, V a, V b, V c) {
#if HWY_NATIVE_FMA
  (void)d;
  return hn::MulAdd(a, b, c);
#else
  // This target has no fused instruction: one rounding a step is the rule all the same.
  HWY_ALIGN float la[16], lb[16], lc[16];
  hn::Store(a, d, la);
  hn::Store(b, d, lb);
  hn::Store(c, d, lc);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
    lc[i] = std::fma(la[i], lb[i], lc[i]);
  }
  return hn::Load(d, lc);
#endif
}

/// Chains of kTokens tokens with two vectors of rows, `first` and `second` at column 0. Two at a
/// time: with four tokens, eight independent chains hide the latency of one.
template <std::size_t kTokens>
void two_vectors(const float* HWY_RESTRICT x, std::int64_t x_stride, const float* first,
                 const float* second, std::int64_t cols, float* out_first, float* out_second,
                 std::int64_t out_stride) {
  const hn::CappedTag<float, kPanelRows> d;
  hn::Vec<decltype(d)> low[kTokens];   // NOLINT(modernize-avoid-c-arrays): vectors have no size
  hn::Vec<decltype(d)> high[kTokens];  // NOLINT(modernize-avoid-c-arrays)
  for (std::size_t t = 0; t < kTokens; ++t) {
    low[t] = hn::Zero(d);
    high[t] = hn::Zero(d);
  }
  for (std::int64_t k = 0; k < cols; ++k) {
    const auto w0 = hn::LoadU(d, first + k * kPanelRows);
    const auto w1 = hn::LoadU(d, second + k * kPanelRows);
    for (std::size_t t = 0; t < kTokens; ++t) {
      const auto xv = hn::Set(d, x[static_cast<std::int64_t>(t) * x_stride + k]);
      low[t] = fused_multiply_add(d, xv, w0, low[t]);
      high[t] = fused_multiply_add(d, xv, w1, high[t]);
    }
  }
  for (std::size_t t = 0; t < kTokens; ++t) {
    hn::StoreU(low[t], d, out_first + static_cast<std::int64_t>(t) * out_stride);
    hn::StoreU(high[t], d, out_second + static_cast<std::int64_t>(t) * out_stride);
  }
}

/// sums[t * 2 * kPanelRows + i]: token t with row i of the block at `block`, and where `both` with
/// those of the block behind it.
template <std::size_t kTokens>
void block_pair(const float* x, std::int64_t x_stride, const float* block, std::int64_t cols,
                bool both, float* sums) {
  const hn::CappedTag<float, kPanelRows> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  constexpr std::int64_t kStride = 2 * kPanelRows;
  if (lanes == kPanelRows) {
    const float* const second = both ? block + cols * kPanelRows : block;
    two_vectors<kTokens>(x, x_stride, block, second, cols, sums, sums + kPanelRows, kStride);
    return;
  }
  for (std::int64_t i = 0; i < (both ? 2 : 1); ++i) {
    const float* const here = block + i * cols * kPanelRows;
    for (std::int64_t lane = 0; lane < kPanelRows; lane += 2 * lanes) {
      float* const out = sums + i * kPanelRows + lane;
      two_vectors<kTokens>(x, x_stride, here + lane, here + lane + lanes, cols, out, out + lanes,
                           kStride);
    }
  }
}

void Fp32Chain(const float* x, const Panel& panel, const DotShape& shape, float* out) {
  constexpr std::size_t kBatch = 4;
  constexpr std::int64_t kStride = 2 * kPanelRows;
  std::array<float, kBatch * kStride> sums;
  const std::int64_t end = shape.first_row + shape.rows;
  for (std::int64_t b = shape.first_row / kPanelRows; b * kPanelRows < end; b += 2) {
    const std::int64_t first = b * kPanelRows;
    const std::int64_t from = std::max(shape.first_row, first);
    const std::int64_t stop = std::min(end, first + kStride);
    const bool both = stop > first + kPanelRows;
    for (std::int64_t token = 0; token < shape.tokens;) {
      const bool batch = shape.tokens - token >= std::int64_t{kBatch};
      const std::int64_t some = batch ? std::int64_t{kBatch} : 1;
      const float* const rows = x + token * shape.x_stride;
      if (batch) {
        block_pair<kBatch>(rows, shape.x_stride, panel.block(b), panel.cols(), both, sums.data());
      } else {
        block_pair<1>(rows, shape.x_stride, panel.block(b), panel.cols(), both, sums.data());
      }
      for (std::int64_t t = 0; t < some; ++t) {
        std::copy_n(sums.data() + t * kStride + (from - first), stop - from,
                    out + (token + t) * shape.out_stride + (from - shape.first_row));
      }
      token += some;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tplora
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tplora {

HWY_EXPORT(Fp32Chain);

std::string_view accumulator_name(Accumulator) {
  return "fp32_chain";
}

std::optional<Accumulator> accumulator_of(std::string_view name) {
  return name == "fp32_chain" ? std::optional(Accumulator::fp32_chain) : std::nullopt;
}

void dot_rows(Accumulator, const float* x, const Panel& panel, const DotShape& shape, float* out) {
  HWY_DYNAMIC_DISPATCH(Fp32Chain)(x, panel, shape, out);
}

}  // namespace tplora
#endif
