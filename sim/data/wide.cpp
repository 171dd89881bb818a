// One source for every SIMD target: Highway compiles this file once for each and picks at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/data/wide.cpp"
#include "sim/data/wide.hpp"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <bit>

#include "sim/numerics/philox.hpp"

#ifndef TPLORA_WIDE_MASKS
#define TPLORA_WIDE_MASKS
namespace tplora {

/// Sign and fraction bits of a word that a value keeps.
inline std::uint32_t kept_bits(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::bf16: return 0x807f0000U;
    case ScalarType::fp16: return 0x807fe000U;
    case ScalarType::fp32: return 0x807fffffU;
  }
  return 0;
}

}  // namespace tplora
#endif

HWY_BEFORE_NAMESPACE();
namespace tplora {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

// One lane holds no pair of words: the plain definition serves.
std::int64_t CounterLanes() {
  return 1;
}

void Counters(const WideStream& stream, std::uint64_t counter, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t index = counter + static_cast<std::uint64_t>(i);
    const auto words = philox4x32_10(
        {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
         stream.tensor_word, 0},
        {static_cast<std::uint32_t>(stream.seed), static_cast<std::uint32_t>(stream.seed >> 32)});
    for (std::size_t j = 0; j < words.size(); ++j) {
      out[4 * i + static_cast<std::int64_t>(j)] = wide_value(stream, words[j]);
    }
  }
}

#else

using D64 = hn::ScalableTag<std::uint64_t>;
using D32 = hn::Repartition<std::uint32_t, D64>;
using V64 = hn::Vec<D64>;

/// Full products of the low halves of 64-bit lanes.
HWY_INLINE V64 multiply_low(V64 a, V64 b) {
  const D32 d32;
  return hn::MulEven(hn::BitCast(d32, a), hn::BitCast(d32, b));
}

/// Words 2i and 2i+1 of a counter side by side, as they lie in memory.
HWY_INLINE V64 join(V64 low, V64 high) {
  const D64 d;
  return hn::Or(hn::And(low, hn::Set(d, 0xffffffffULL)), hn::ShiftLeft<32>(high));
}

HWY_INLINE V64 to_values(V64 words, std::uint32_t kept, std::uint32_t exponent) {
  const D64 d64;
  const D32 d;
  const auto w = hn::BitCast(d, words);
  const auto octave = hn::And(hn::ShiftRight<28>(w), hn::Set(d, 7));
  const auto exponents = hn::ShiftLeft<23>(hn::Add(octave, hn::Set(d, exponent)));
  return hn::BitCast(d64, hn::Or(hn::And(w, hn::Set(d, kept)), exponents));
}

// A 64-bit lane holds one 32-bit word of one counter in its low half; what gathers in the upper
// half is never read, since multiply_low looks at low halves only.
void Counters(const WideStream& stream, std::uint64_t counter, std::int64_t count, float* out) {
  const D64 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::uint32_t kept = kept_bits(stream.dtype);
  const auto exponent = static_cast<std::uint32_t>(127 + stream.lowest_exponent);
  const V64 m0 = hn::Set(d, kPhiloxM0);
  const V64 m1 = hn::Set(d, kPhiloxM1);
  for (std::int64_t i = 0; i < count; i += lanes) {
    const V64 index = hn::Iota(d, counter + static_cast<std::uint64_t>(i));
    V64 c0 = index;
    V64 c1 = hn::ShiftRight<32>(index);
    V64 c2 = hn::Set(d, stream.tensor_word);
    V64 c3 = hn::Zero(d);
    auto k0 = static_cast<std::uint32_t>(stream.seed);
    auto k1 = static_cast<std::uint32_t>(stream.seed >> 32);
    for (int round = 0; round < kPhiloxRounds; ++round) {
      const V64 p0 = multiply_low(c0, m0);
      const V64 p1 = multiply_low(c2, m1);
      c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), c1), hn::Set(d, k0));
      c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), c3), hn::Set(d, k1));
      c1 = p1;
      c3 = p0;
      k0 += kPhiloxW0;
      k1 += kPhiloxW1;
    }
    hn::StoreInterleaved2(to_values(join(c0, c1), kept, exponent),
                          to_values(join(c2, c3), kept, exponent), d,
                          reinterpret_cast<std::uint64_t*>(out + 4 * i));
  }
}

std::int64_t CounterLanes() {
  return static_cast<std::int64_t>(hn::Lanes(D64()));
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace tplora
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tplora {

HWY_EXPORT(Counters);
HWY_EXPORT(CounterLanes);

float wide_value(const WideStream& stream, std::uint32_t word) {
  const auto exponent = static_cast<std::uint32_t>(127 + stream.lowest_exponent);
  return std::bit_cast<float>((word & kept_bits(stream.dtype)) |
                              ((exponent + ((word >> 28) & 7U)) << 23));
}

void fill_wide(const WideStream& stream, std::uint64_t first, std::int64_t count, float* out) {
  // Whole counters go through a buffer that has room for the last vector.
  constexpr std::int64_t kMost = 256;
  alignas(64) std::array<float, 4 * kMost> words;
  const std::int64_t lanes = HWY_DYNAMIC_DISPATCH(CounterLanes)();
  std::int64_t done = 0;
  while (done < count) {
    const std::uint64_t index = first + static_cast<std::uint64_t>(done);
    const auto skipped = static_cast<std::int64_t>(index % 4);
    const std::int64_t wanted = (skipped + count - done + 3) / 4;
    const std::int64_t counters = std::min(kMost, (wanted + lanes - 1) / lanes * lanes);
    const std::int64_t some = std::min(4 * counters - skipped, count - done);
    HWY_DYNAMIC_DISPATCH(Counters)(stream, index / 4, counters, words.data());
    std::copy_n(words.data() + skipped, some, out + done);
    done += some;
  }
}

}  // namespace tplora
#endif
