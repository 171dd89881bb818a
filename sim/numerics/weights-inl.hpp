// How a vector of weights is read from a panel: included once for each SIMD target, by the kernels.
// The guard is Highway's for such files: defined and undefined in turn.
#if defined(TPLORA_WEIGHTS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TPLORA_WEIGHTS_INL
#undef TPLORA_WEIGHTS_INL
#else
#define TPLORA_WEIGHTS_INL
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "sim/numerics/kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace tplora::core::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// How far ahead packed 16-bit weights are asked for, in columns: the first pass over them waits
/// for memory.
constexpr std::int64_t kAheadCols = 64;

/// The widest vector that a block's rows fill.
using Df = hn::CappedTag<float, kPanelRows>;
using Vf = hn::Vec<Df>;

struct Fp32Weights {
  using Element = float;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const float* from) {
    return hn::LoadU(d, from);
  }
};

struct Bf16Weights {
  using Element = std::uint16_t;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const std::uint16_t* from) {
    const hn::Rebind<std::uint16_t, D> d16;
    const hn::RebindToUnsigned<D> d32;
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, from))));
  }
};

struct Fp16Weights {
  using Element = std::uint16_t;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const std::uint16_t* from) {
    const hn::Rebind<std::uint16_t, D> d16;
    const hn::RebindToUnsigned<D> du;
    const hn::RebindToSigned<D> di;
    // fp16 patterns moved to fp32's places, then rescaled by 2^112: exact for every finite value,
    // subnormals too. Infinity and NaN have all exponent bits set; their NaN is the canonical one.
    const auto bits = hn::PromoteTo(du, hn::LoadU(d16, from));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000U)));
    const auto magnitude = hn::And(bits, hn::Set(du, 0x7fffU));
    const auto finite = hn::Mul(hn::BitCast(d, hn::ShiftLeft<13>(magnitude)), hn::Set(d, 0x1p112F));
    const auto special =
        hn::BitCast(d, hn::Or(hn::ShiftLeft<13>(magnitude), hn::Set(du, 0x7f800000U)));
    const auto is_special = hn::Gt(hn::BitCast(di, magnitude), hn::Set(di, 0x7bff));
    const auto value = hn::IfThenElse(hn::RebindMask(d, is_special), special, finite);
    return hn::BitCast(d, hn::Or(hn::BitCast(du, value), sign));
  }
};

/// Calls body with the reader of the panel's storage.
template <class Body>
HWY_INLINE void with_weights(ScalarType storage, Body body) {
  switch (storage) {
    case ScalarType::fp32: body(Fp32Weights()); return;
    case ScalarType::bf16: body(Bf16Weights()); return;
    case ScalarType::fp16: body(Fp16Weights()); return;
  }
}

/// First element of block b.
template <class Weights>
HWY_INLINE const typename Weights::Element* block_of(const Panel& panel, std::int64_t b) {
  if constexpr (sizeof(typename Weights::Element) == sizeof(float)) {
    return panel.block(b);
  } else {
    return panel.bits(b);
  }
}

/// Four columns of four rows: out[k * kPanelRows + i] = from[i * row_stride + k].
template <class Weights>
HWY_INLINE void transpose_square(const typename Weights::Element* from, std::int64_t row_stride,
                                 float* out) {
#if HWY_TARGET == HWY_SCALAR
  const hn::CappedTag<float, 1> d;
  for (std::int64_t i = 0; i < 4; ++i) {
    for (std::int64_t k = 0; k < 4; ++k) {
      out[k * kPanelRows + i] = hn::GetLane(Weights::load(d, from + i * row_stride + k));
    }
  }
#else
  const hn::FixedTag<float, 4> d;
  const hn::Repartition<std::uint64_t, decltype(d)> d64;
  const auto a = Weights::load(d, from);
  const auto b = Weights::load(d, from + row_stride);
  const auto c = Weights::load(d, from + 2 * row_stride);
  const auto e = Weights::load(d, from + 3 * row_stride);
  const auto ab_low = hn::BitCast(d64, hn::InterleaveLower(d, a, b));
  const auto ce_low = hn::BitCast(d64, hn::InterleaveLower(d, c, e));
  const auto ab_high = hn::BitCast(d64, hn::InterleaveUpper(d, a, b));
  const auto ce_high = hn::BitCast(d64, hn::InterleaveUpper(d, c, e));
  const auto store = [&](auto pair, std::int64_t k) {
    hn::StoreU(hn::BitCast(d, pair), d, out + k * kPanelRows);
  };
  store(hn::InterleaveLower(d64, ab_low, ce_low), 0);
  store(hn::InterleaveUpper(d64, ab_low, ce_low), 1);
  store(hn::InterleaveLower(d64, ab_high, ce_high), 2);
  store(hn::InterleaveUpper(d64, ab_high, ce_high), 3);
#endif
}

/// Columns [col, col + cols) of block b of row-major weights: out[k * kPanelRows + i].
template <class Weights>
void pack_block(const WeightRows& source, std::int64_t b, std::int64_t col, std::int64_t cols,
                float* out) {
  const hn::CappedTag<float, 1> one;
  const std::int64_t stride = source.row_stride;
  const auto* const from =
      static_cast<const typename Weights::Element*>(source.values) + b * kPanelRows * stride + col;
  const std::int64_t left = source.rows - b * kPanelRows;
  const std::int64_t rows = left < kPanelRows ? (left < 0 ? 0 : left) : kPanelRows;
  const std::int64_t square_rows = rows / 4 * 4;
  const std::int64_t square_cols = cols / 4 * 4;
  // A cache line of four rows at a time: rows are often a multiple of 4 KiB apart, and a
  // first-level cache holds few lines that far apart.
  constexpr std::int64_t kLine = 64 / sizeof(*from);
  for (std::int64_t line = 0; line < square_cols; line += kLine) {
    const std::int64_t end = line + kLine < square_cols ? line + kLine : square_cols;
    for (std::int64_t i = 0; i < square_rows; i += 4) {
      for (std::int64_t k = line; k < end; k += 4) {
        transpose_square<Weights>(from + i * stride + k, stride, out + k * kPanelRows + i);
      }
    }
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t k = i < square_rows ? square_cols : 0; k < cols; ++k) {
      out[k * kPanelRows + i] = hn::GetLane(Weights::load(one, from + i * stride + k));
    }
  }
}

/// Columns [col, col + cols) of block b as fp32, [cols, kPanelRows]: where they lie already, or
/// made at `buffer`. Rows that do not exist are unspecified.
template <class Weights>
HWY_INLINE const float* fp32_block(const WeightSource& source, std::int64_t b, std::int64_t col,
                                   std::int64_t cols, float* buffer) {
  if (source.panel == nullptr) {
    pack_block<Weights>(source.rows, b, col, cols, buffer);
    return buffer;
  }
  const auto* const from = block_of<Weights>(*source.panel, b) + col * kPanelRows;
  if constexpr (sizeof(typename Weights::Element) == sizeof(float)) {
    return from;
  } else {
    const Df d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    for (std::int64_t i = 0; i < cols * kPanelRows; i += lanes) {
      hwy::Prefetch(from + i + kAheadCols * kPanelRows);
      hn::StoreU(Weights::load(d, from + i), d, buffer + i);
    }
    return buffer;
  }
}

}  // namespace tplora::core::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
