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
namespace tplora::core {

/// Sign and fraction bits of a word that a value keeps.
inline std::uint32_t kept_bits(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::bf16: return 0x807f0000U;
    case ScalarType::fp16: return 0x807fe000U;
    case ScalarType::fp32: return 0x807fffffU;
  }
  return 0;
}

}  // namespace tplora::core
#endif

HWY_BEFORE_NAMESPACE();
namespace tplora::core::HWY_NAMESPACE {
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

void RowBlock(const WideStream& /*stream*/, std::uint64_t /*first_index*/, std::int64_t /*cols*/,
              float* /*out*/) {}

bool HasRowBlock() {
  return false;
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

/// Counters of one row in each lane. Even rows of a stretch in one vector, odd rows in another:
/// words of both, side by side, are a vector of rows as a panel has them.
using D64Rows = hn::CappedTag<std::uint64_t, kPanelRows / 2>;
using V64Rows = hn::Vec<D64Rows>;

/// Vectors worked on side by side.
constexpr std::size_t kVectors = 4;

/// What the first two rounds leave that is the same for every column of a row.
struct RowStart {
  // Declared, so that they are compiled for the target: an implicit one is not.
  RowStart() = default;
  HWY_INLINE RowStart(V64Rows of_index, V64Rows of_second, V64Rows of_mixed)
      : index(of_index), second(of_second), mixed(of_mixed) {}

  V64Rows index;   ///< the counter of column 0
  V64Rows second;  ///< product 0 of the second round
  V64Rows mixed;   ///< its high half, with the key
};

/// Words of one stream, four columns at a time.
class RowWords {
 public:
  explicit RowWords(const WideStream& stream) {
    for (std::uint32_t round = 0; round < kPhiloxRounds; ++round) {
      k0_[round] = static_cast<std::uint32_t>(stream.seed) + round * kPhiloxW0;
      k1_[round] = static_cast<std::uint32_t>(stream.seed >> 32) + round * kPhiloxW1;
    }
    first_ = std::uint64_t{kPhiloxM1} * stream.tensor_word;
    // The second round's word 0 but for product 1.
    second_xor_ = static_cast<std::uint32_t>(first_) ^ k0_[1];
  }

  /// Rows whose column 0 has the counters at `index`; their upper halves are the same for all
  /// columns.
  [[nodiscard]] HWY_INLINE RowStart start(V64Rows index) const {
    const D64Rows d;
    const V64Rows word0 = hn::Xor(hn::ShiftRight<32>(index),
                                  hn::Set(d, static_cast<std::uint32_t>(first_ >> 32) ^ k0_[0]));
    const V64Rows product = multiply(word0, kPhiloxM0);
    return {index, product, hn::Xor(hn::ShiftRight<32>(product), hn::Set(d, k1_[1]))};
  }

  /// The four words of counter `index + ahead` of several vectors of rows, each in the low half of
  /// its lane. Round by round for all of them: a chain of rounds alone would wait for its products.
  HWY_INLINE void words(const RowStart (&rows)[kVectors], std::int64_t ahead,  // NOLINT
                        V64Rows (&word)[kVectors][4]) const {                  // NOLINT
    const D64Rows d;
    const auto offset = hn::Set(d, static_cast<std::uint64_t>(ahead));
    for (std::size_t v = 0; v < kVectors; ++v) {
      const V64Rows p0 = multiply(hn::Add(rows[v].index, offset), kPhiloxM0);
      const V64Rows p1 = multiply(hn::Xor(hn::ShiftRight<32>(p0), hn::Set(d, k1_[0])), kPhiloxM1);
      word[v][0] = hn::Xor(hn::ShiftRight<32>(p1), hn::Set(d, second_xor_));
      word[v][1] = p1;
      word[v][2] = hn::Xor(p0, rows[v].mixed);
      word[v][3] = rows[v].second;
    }
    for (std::size_t round = 2; round < kPhiloxRounds; ++round) {
      const auto k0 = hn::Set(d, k0_[round]);
      const auto k1 = hn::Set(d, k1_[round]);
      // NOLINTNEXTLINE(modernize-loop-convert): by reference, g++ 12 spills one vector more
      for (std::size_t v = 0; v < kVectors; ++v) {
        const V64Rows p0 = multiply(word[v][0], kPhiloxM0);
        const V64Rows p1 = multiply(word[v][2], kPhiloxM1);
        word[v][0] = hn::Xor3(hn::ShiftRight<32>(p1), word[v][1], k0);
        word[v][2] = hn::Xor3(hn::ShiftRight<32>(p0), word[v][3], k1);
        word[v][1] = p1;
        word[v][3] = p0;
      }
    }
  }

 private:
  static HWY_INLINE V64Rows multiply(V64Rows a, std::uint32_t b) {
    const hn::Repartition<std::uint32_t, D64Rows> d32;
    return hn::MulEven(hn::BitCast(d32, a), hn::Set(d32, b));
  }
  std::array<std::uint32_t, kPhiloxRounds> k0_, k1_;
  std::uint64_t first_ = 0;
  std::uint32_t second_xor_ = 0;
};

/// Words of rows 0, 2, 4, ... and 1, 3, 5, ... as values of rows 0, 1, 2, ...
HWY_INLINE void store_values(V64Rows even, V64Rows odd, std::uint32_t kept, std::uint32_t exponent,
                             float* out) {
  const hn::Repartition<std::uint32_t, D64Rows> d;
  const auto w = hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
  const auto octave = hn::And(hn::ShiftRight<5>(w), hn::Set(d, 7U << 23));
  const auto value =
      hn::Add(hn::Or(hn::And(w, hn::Set(d, kept)), octave), hn::Set(d, exponent << 23));
  hn::StoreU(value, d, reinterpret_cast<std::uint32_t*>(out));
}

/// One block: out[k * kPanelRows + i] is row i, column k. Precondition: cols is a multiple of 4,
/// and no row's counters carry into their upper halves.
void RowBlock(const WideStream& stream, std::uint64_t first_index, std::int64_t cols, float* out) {
  const D64Rows d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::uint32_t kept = kept_bits(stream.dtype);
  const auto exponent = static_cast<std::uint32_t>(127 + stream.lowest_exponent);
  const RowWords rows(stream);
  const auto counters = static_cast<std::uint64_t>(cols / 4);
  const auto lane_rows = hn::Mul(hn::Iota(d, 0), hn::Set(d, 2 * counters));
  // Pairs of an even and an odd vector cover 2 * lanes rows. Where two of them do not fill a block,
  // the block takes several turns; where one does, the pairs are of neighbouring columns.
  constexpr std::int64_t kPairs = kVectors / 2;
  const std::int64_t row_pairs = std::min(kPairs, kPanelRows / (2 * lanes));
  const std::int64_t col_pairs = kPairs / row_pairs;
  for (std::int64_t row = 0; row < kPanelRows; row += 2 * lanes * row_pairs) {
    RowStart starts[kVectors];  // NOLINT(modernize-avoid-c-arrays)
    for (std::int64_t pair = 0; pair < kPairs; ++pair) {
      const std::uint64_t begin =
          first_index / 4 +
          static_cast<std::uint64_t>(row + pair % row_pairs * 2 * lanes) * counters +
          static_cast<std::uint64_t>(pair / row_pairs);
      starts[2 * pair] = rows.start(hn::Add(lane_rows, hn::Set(d, begin)));
      starts[2 * pair + 1] = rows.start(hn::Add(lane_rows, hn::Set(d, begin + counters)));
    }
    for (std::int64_t c = 0; c < cols / 4; c += col_pairs) {
      V64Rows words[kVectors][4];  // NOLINT(modernize-avoid-c-arrays)
      rows.words(starts, c, words);
      for (std::int64_t pair = 0; pair < kPairs; ++pair) {
        const std::int64_t at = c + pair / row_pairs;
        if (at * 4 >= cols) {
          break;  // a neighbour beyond the last column
        }
        float* const to = out + 4 * at * kPanelRows + row + pair % row_pairs * 2 * lanes;
        for (std::int64_t j = 0; j < 4; ++j) {
          store_values(words[2 * pair][j], words[2 * pair + 1][j], kept, exponent,
                       to + j * kPanelRows);
        }
      }
    }
  }
}

bool HasRowBlock() {
  return true;
}

#endif

}  // namespace tplora::core::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tplora::core {

HWY_EXPORT(Counters);
HWY_EXPORT(CounterLanes);
HWY_EXPORT(RowBlock);
HWY_EXPORT(HasRowBlock);

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

namespace {

/// A block of any length of row and any counters, a few columns of its rows at a time, so that the
/// transposition stays in the first cache.
void transposed_block(const WideStream& stream, std::uint64_t first_index, std::int64_t rows,
                      std::int64_t cols, float* out) {
  constexpr std::int64_t kChunk = 128;
  std::array<float, kChunk> chunk;
  for (std::int64_t col = 0; col < cols; col += kChunk) {
    const std::int64_t width = std::min(kChunk, cols - col);
    for (std::int64_t i = 0; i < rows; ++i) {
      fill_wide(stream, first_index + static_cast<std::uint64_t>(i * cols + col), width,
                chunk.data());
      for (std::int64_t k = 0; k < width; ++k) {
        out[(col + k) * kPanelRows + i] = chunk[static_cast<std::size_t>(k)];
      }
    }
  }
}

}  // namespace

void fill_wide_panel(const WideStream& stream, std::int64_t first_row, std::int64_t rows,
                     std::int64_t cols, Panel& panel) {
  panel.resize(rows, cols);
  const bool lanes = HWY_DYNAMIC_DISPATCH(HasRowBlock)() && cols % 4 == 0;
  for (std::int64_t row = 0; row < rows; row += kPanelRows) {
    const auto index = static_cast<std::uint64_t>((first_row + row) * cols);
    const std::uint64_t last = index / 4 + static_cast<std::uint64_t>(kPanelRows * cols / 4);
    float* const out = panel.block(row / kPanelRows);
    if (lanes && index / 4 >> 32 == last >> 32) {
      HWY_DYNAMIC_DISPATCH(RowBlock)(stream, index, cols, out);
    } else {
      transposed_block(stream, index, std::min(kPanelRows, rows - row), cols, out);
    }
  }
}

}  // namespace tplora::core
#endif
