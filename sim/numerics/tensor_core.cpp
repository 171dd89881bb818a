// tensor_core. One source for every SIMD target: Highway compiles this file once for each and picks
// at run time. What matrix_unit.hpp says in integers, group by group and lane by lane in fp32.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/numerics/tensor_core.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "sim/base/aligned.hpp"
#include "sim/numerics/kernels.hpp"
#include "sim/numerics/weights-inl.hpp"

#ifndef TPLORA_TENSOR_CORE_COMMON
#define TPLORA_TENSOR_CORE_COMMON
namespace tplora::core {

/// Columns worked on at a time, whole groups: a block's values and exponents of this length take
/// half a first-level cache.
inline constexpr std::int64_t kUnitCols = 128;

/// Stand-ins in the place of an exponent: of zero, below every sum of exponents; of an infinity or
/// NaN, above all of them, even with a zero beside it.
inline constexpr std::int32_t kZeroExponent = -100'000;
inline constexpr std::int32_t kSpecialExponent = 1'000'000;
/// Sums below this belong to zeros alone.
inline constexpr std::int32_t kNothing = -50'000;

/// x and its exponents, row by row.
struct UnitTokens {
  AlignedVector<float> values;
  AlignedVector<std::int32_t> exponents;
};

/// One block's columns [0, cols) with rows in lanes, and their exponents: [cols, kPanelRows].
struct UnitBlock {
  alignas(64) std::array<float, kUnitCols * kPanelRows> values;
  alignas(64) std::array<std::int32_t, kUnitCols * kPanelRows> exponents;
};

/// All bits but those that an operand type does not have.
inline std::uint32_t operand_mask(const MatrixUnit& unit) {
  return ~((1U << (23 - unit.operand_fraction_bits)) - 1);
}

/// Whether the kernel below may be used at all: sums of half a group fit 32 bits.
inline bool fits_lanes(const MatrixUnit& unit) {
  return unit.group <= kUnitCols && unit.fraction_bits <= 25 &&
         unit.group <= (std::int64_t{1} << (30 - unit.fraction_bits)) &&
         unit.result == ResultFormat{.fraction_bits = unit.result.fraction_bits};
}

}  // namespace tplora::core
#endif

HWY_BEFORE_NAMESPACE();
namespace tplora::core::HWY_NAMESPACE {

using Di = hn::RebindToSigned<Df>;
using Vi = hn::Vec<Di>;

/// Exponents as matrix_unit.hpp counts them, or the stand-ins.
HWY_INLINE Vi exponents_of(Vf values, std::int32_t min_exponent) {
  const Di d;
  const auto magnitude = hn::And(hn::BitCast(d, values), hn::Set(d, 0x7fffffff));
  const auto field = hn::ShiftRight<23>(magnitude);
  auto exponent = hn::Max(hn::Sub(field, hn::Set(d, 127)), hn::Set(d, min_exponent));
  exponent = hn::IfThenElse(hn::Eq(magnitude, hn::Zero(d)), hn::Set(d, kZeroExponent), exponent);
  return hn::IfThenElse(hn::Eq(field, hn::Set(d, 255)), hn::Set(d, kSpecialExponent), exponent);
}

void Prepare(const MatrixUnit& unit, float* values, std::int32_t* exponents, std::int64_t count) {
  const Df d;
  const Di di;
  const auto mask = hn::Set(di, static_cast<std::int32_t>(operand_mask(unit)));
  for (std::int64_t i = 0; i < count; i += static_cast<std::int64_t>(hn::Lanes(d))) {
    const auto kept = hn::BitCast(d, hn::And(hn::BitCast(di, hn::LoadU(d, values + i)), mask));
    hn::StoreU(kept, d, values + i);
    hn::StoreU(exponents_of(kept, unit.operand_min_exponent), di, exponents + i);
  }
}

/// sum * 2^exponent with its magnitude cut to result_bits fraction bits. Precondition: the result
/// is a normal number or zero.
HWY_INLINE Vf scaled_result(Vi first, Vi second, Vi third, Vi exponent, std::uint64_t kept_bits) {
  const Df d;
  const Di di;
#if HWY_TARGET == HWY_SCALAR
  const double sum = static_cast<double>(hn::GetLane(first)) +
                     static_cast<double>(hn::GetLane(second)) +
                     static_cast<double>(hn::GetLane(third));
  const auto cut =
      static_cast<float>(std::bit_cast<double>(std::bit_cast<std::uint64_t>(sum) & kept_bits));
  const Vf value = hn::Set(d, cut);
#else
  const hn::Half<Df> dh;
  const hn::Half<Di> dih;
  const hn::Rebind<double, decltype(dh)> dd;
  const hn::RebindToUnsigned<decltype(dd)> du;
  const auto half = [&](auto a, auto b, auto c) HWY_ATTR {
    const auto sum =
        hn::Add(hn::Add(hn::PromoteTo(dd, a), hn::PromoteTo(dd, b)), hn::PromoteTo(dd, c));
    return hn::DemoteTo(dh, hn::BitCast(dd, hn::And(hn::BitCast(du, sum), hn::Set(du, kept_bits))));
  };
  const auto low =
      half(hn::LowerHalf(dih, first), hn::LowerHalf(dih, second), hn::LowerHalf(dih, third));
  const auto high =
      half(hn::UpperHalf(dih, first), hn::UpperHalf(dih, second), hn::UpperHalf(dih, third));
  const Vf value = hn::Combine(d, high, low);
#endif
  const auto power = hn::ShiftLeft<23>(hn::Add(exponent, hn::Set(di, 127)));
  return hn::Mul(value, hn::BitCast(d, power));
}

/// The chains of one token with one vector of rows, over `cols` columns in whole groups but for the
/// last. x, ex: [cols]; w, ew: [cols, kPanelRows].
HWY_INLINE Vf unit_chain(const MatrixUnit& unit, const float* HWY_RESTRICT x,
                         const std::int32_t* HWY_RESTRICT ex, const float* HWY_RESTRICT w,
                         const std::int32_t* HWY_RESTRICT ew, std::int64_t cols, Vf c) {
  const Df d;
  const Di di;
  const auto lanes = hn::Lanes(d);
  const auto fraction = hn::Set(di, unit.fraction_bits);
  // Between these exponents no power of two below leaves the normal numbers, and products that fp32
  // cannot hold are too small to leave a trace.
  const auto lowest = hn::Set(di, unit.fraction_bits - 124);
  const auto highest = hn::Set(di, 119);
  const auto floor = hn::Max(lowest, hn::Set(di, unit.zero_exponent));
  const std::uint64_t kept_bits = ~((std::uint64_t{1} << (52 - unit.result.fraction_bits)) - 1);
  for (std::int64_t begin = 0; begin < cols; begin += unit.group) {
    const std::int64_t end = std::min(begin + unit.group, cols);
    auto e = exponents_of(c, -126);
    for (std::int64_t k = begin; k < end; ++k) {
      e = hn::Max(e, hn::Add(hn::Set(di, ex[k]), hn::LoadU(di, ew + k * kPanelRows)));
    }
    const auto odd =
        hn::Or(hn::Gt(e, highest), hn::And(hn::Lt(e, lowest), hn::Gt(e, hn::Set(di, kNothing))));
    if (HWY_UNLIKELY(!hn::AllFalse(di, odd))) {
      HWY_ALIGN float slow[kPanelRows];  // NOLINT(modernize-avoid-c-arrays)
      hn::Store(c, d, slow);
      for (std::size_t i = 0; i < lanes; ++i) {
        slow[i] = add_group(unit, slow[i], {x + begin, 1}, {w + begin * kPanelRows + i, kPanelRows},
                            end - begin);
      }
      c = hn::Load(d, slow);
      continue;
    }
    // The unit's floor, which may be high where it was spelt out; zeros alone take any scale.
    e = hn::Max(e, floor);
    const auto shift = hn::Sub(fraction, e);
    const auto scale = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(shift, hn::Set(di, 127))));
    // Two sums, of half a group each: one of a whole group might not fit.
    auto even = hn::Zero(di);
    auto uneven = hn::Zero(di);
    const auto term = [&](std::int64_t k) HWY_ATTR {
      const auto product = hn::Mul(hn::Set(d, x[k]), hn::LoadU(d, w + k * kPanelRows));
      return hn::ConvertTo(di, hn::Mul(product, scale));
    };
    std::int64_t k = begin;
    for (; k + 2 <= end; k += 2) {
      even = hn::Add(even, term(k));
      uneven = hn::Add(uneven, term(k + 1));
    }
    if (k < end) {
      even = hn::Add(even, term(k));
    }
    const auto start = hn::ConvertTo(di, hn::Mul(c, scale));
    c = scaled_result(even, uneven, start, hn::Neg(shift), kept_bits);
  }
  return c;
}

/// Every token with the rows of a block: sums [tokens, kPanelRows], the accumulators so far.
void BlockChains(const MatrixUnit& unit, const UnitTokens& x, std::int64_t tokens,
                 std::int64_t x_cols, std::int64_t col, const UnitBlock& w, std::int64_t cols,
                 float* sums) {
  const Df d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t token = 0; token < tokens; ++token) {
    const std::int64_t at = token * x_cols + col;
    for (std::int64_t lane = 0; lane < kPanelRows; lane += lanes) {
      float* const sum = sums + token * kPanelRows + lane;
      hn::StoreU(
          unit_chain(unit, x.values.data() + at, x.exponents.data() + at, w.values.data() + lane,
                     w.exponents.data() + lane, cols, hn::LoadU(d, sum)),
          d, sum);
    }
  }
}

void LoadBlock(const WeightSource& w, std::int64_t block, std::int64_t col, std::int64_t cols,
               float* to) {
  with_weights(w.type(), [&]<class Weights>(Weights /*reader*/) {
    const float* const from = fp32_block<Weights>(w, block, col, cols, to);
    if (from != to) {
      std::copy_n(from, cols * kPanelRows, to);
    }
  });
}

}  // namespace tplora::core::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tplora::core {
namespace {

HWY_EXPORT(Prepare);
HWY_EXPORT(BlockChains);
HWY_EXPORT(LoadBlock);

UnitTokens tokens_of(const MatrixUnit& unit, const TokenTiles& x) {
  // Room for a vector's last, unused lanes.
  const auto size = static_cast<std::size_t>(x.tokens() * x.cols() + kPanelRows);
  UnitTokens rows{AlignedVector<float>(size), AlignedVector<std::int32_t>(size)};
  for (std::int64_t token = 0; token < x.tokens(); ++token) {
    for (std::int64_t k = 0; k < x.cols(); ++k) {
      rows.values[static_cast<std::size_t>(token * x.cols() + k)] = x.at(token, k);
    }
  }
  HWY_DYNAMIC_DISPATCH(Prepare)
  (unit, rows.values.data(), rows.exponents.data(), x.tokens() * x.cols());
  return rows;
}

/// The chains of one block over columns [begin, end): sums [tokens, kPanelRows], from +0.
void part_chains(const MatrixUnit& unit, const UnitTokens& x, const TokenTiles& tiles,
                 const WeightSource& w, std::int64_t block, std::int64_t begin, std::int64_t end,
                 float* sums) {
  const std::int64_t tokens = tiles.tokens();
  std::fill_n(sums, tokens * kPanelRows, 0.0F);
  UnitBlock some;
  // Whole groups at a time, whatever the group.
  const std::int64_t step = std::max<std::int64_t>(1, kUnitCols / unit.group) * unit.group;
  for (std::int64_t col = begin; col < end; col += step) {
    const std::int64_t cols = std::min(step, end - col);
    HWY_DYNAMIC_DISPATCH(LoadBlock)(w, block, col, cols, some.values.data());
    HWY_DYNAMIC_DISPATCH(Prepare)
    (unit, some.values.data(), some.exponents.data(), cols * kPanelRows);
    if (fits_lanes(unit)) {
      HWY_DYNAMIC_DISPATCH(BlockChains)(unit, x, tokens, tiles.cols(), col, some, cols, sums);
      continue;
    }
    for (std::int64_t i = 0; i < tokens * kPanelRows; ++i) {
      sums[i] = add_chain(unit, sums[i], {x.values.data() + i / kPanelRows * tiles.cols() + col, 1},
                          {some.values.data() + i % kPanelRows, kPanelRows}, cols);
    }
  }
}

}  // namespace

void tensor_core_rows(const Accumulator& accumulator, const TokenTiles& x, const WeightSource& w,
                      const DotShape& shape, float* out) {
  const MatrixUnit& unit = accumulator.unit;
  const UnitTokens tokens = tokens_of(unit, x);
  const std::int64_t length = accumulator.split.part_cols(x.cols());
  const std::int64_t parts = (x.cols() + length - 1) / length;
  const auto size = static_cast<std::size_t>(x.tokens() * kPanelRows);
  std::vector<float> sums(size);
  std::vector<float> part_sums(size);
  const std::int64_t end_row = shape.first_row + shape.rows;
  for (std::int64_t block = shape.first_row / kPanelRows; block * kPanelRows < end_row; ++block) {
    std::fill(sums.begin(), sums.end(), 0.0F);
    for (std::int64_t i = 0; i < parts; ++i) {
      const std::int64_t part = accumulator.split.descending ? parts - 1 - i : i;
      const std::int64_t begin = part * length;
      part_chains(unit, tokens, x, w, block, begin, std::min(begin + length, x.cols()),
                  i == 0 ? sums.data() : part_sums.data());
      for (std::size_t j = 0; j < size && i > 0; ++j) {
        sums[j] = sums[j] + part_sums[j];
      }
    }
    const std::int64_t from = std::max(block * kPanelRows, shape.first_row);
    const std::int64_t stop = std::min((block + 1) * kPanelRows, end_row);
    for (std::int64_t token = 0; token < x.tokens(); ++token) {
      std::copy_n(sums.data() + token * kPanelRows + from % kPanelRows, stop - from,
                  out + token * shape.out_stride + (from - shape.first_row));
    }
  }
}

}  // namespace tplora::core
#endif
