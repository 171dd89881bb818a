// One output depends on its own row and column alone, whatever computes it.
#include "sim/numerics/dot.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "sim/numerics/instruction_set.hpp"
#include "sim/numerics/wide_sum.hpp"
#include "tests/catch.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

/// Runs `body(name)` with each instruction set that this machine has.
template <class Body>
void with_each_set(Body body) {
  for (const std::string& name : instruction_sets()) {
    REQUIRE(use_instruction_set(name));
    body(name);
  }
  use_best_instruction_set();
}

struct Problem {
  std::int64_t tokens, rows, cols;
  std::vector<float> x, w;

  [[nodiscard]] TokenTiles tiles(std::int64_t first, std::int64_t count) const {
    return TokenTiles(
        {.values = x.data() + first * cols, .tokens = count, .cols = cols, .row_stride = cols});
  }
  [[nodiscard]] WeightRows weights() const {
    return {.values = w.data(), .rows = rows, .cols = cols, .row_stride = cols};
  }
};

/// Values of dtype with exponents in a span of `octaves`.
Problem random_problem(std::mt19937& random, std::int64_t tokens, std::int64_t rows,
                       std::int64_t cols, ScalarType dtype, std::uint32_t octaves) {
  Problem p{tokens, rows, cols, {}, {}};
  const auto fill = [&](std::vector<float>& list, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto word = static_cast<std::uint32_t>(random());
      const auto exponent = 120U + static_cast<std::uint32_t>(random()) % octaves;
      list.push_back(
          round_to(dtype, std::bit_cast<float>((word & 0x807fffffU) | (exponent << 23))));
    }
  };
  fill(p.x, tokens * cols);
  fill(p.w, rows * cols);
  return p;
}

std::vector<float> whole(const Accumulator& accumulator, const Problem& p, int threads) {
  std::vector<float> out(static_cast<std::size_t>(p.tokens * p.rows));
  multiply(accumulator, p.tiles(0, p.tokens), p.weights(), out.data(), p.rows, threads);
  return out;
}

/// How many unit products the sum holds on to that come after products i and j, which are huge and
/// cancel: FPRev's question (arXiv 2411.00442).
float units_left(const Accumulator& accumulator, std::int64_t cols, std::int64_t i,
                 std::int64_t j) {
  Problem p{3, 21, cols, std::vector<float>(static_cast<std::size_t>(3 * cols), 1.0F),
            std::vector<float>(static_cast<std::size_t>(21 * cols), 1.0F)};
  for (std::int64_t row = 0; row < p.rows; ++row) {
    p.w[static_cast<std::size_t>(row * cols + i)] = 0x1p60F;
    p.w[static_cast<std::size_t>(row * cols + j)] = -0x1p60F;
  }
  const std::vector<float> out = whole(accumulator, p, 1);
  for (const float value : out) {
    REQUIRE(value == out[0]);
  }
  return out[0];
}

}  // namespace

TEST_CASE("masking shows the ascending chain, and the exact sum's lack of one", "[numerics]") {
  for (const std::int64_t cols : {2, 7, 40, 300}) {
    for (std::int64_t i = 0; i < cols; i += 1 + cols / 7) {
      for (std::int64_t j = i + 1; j < cols; j += 1 + cols / 5) {
        CAPTURE(cols, i, j);
        CHECK(units_left(Accumulator::fp32_chain, cols, i, j) == static_cast<float>(cols - 1 - j));
        CHECK(units_left(Accumulator::exact, cols, i, j) == static_cast<float>(cols - 2));
        // Of a matrix unit, groups after the one that holds j.
        const auto hopper = *accumulator_of("tensor_core:hopper", ScalarType::bf16);
        CHECK(units_left(hopper, cols, i, j) ==
              static_cast<float>(std::max<std::int64_t>(0, cols - (j / 16 + 1) * 16)));
      }
    }
  }
}

TEST_CASE("cut at any row and token, packed in any way, on any instruction set: the same bits",
          "[numerics]") {
  std::mt19937 random(11);
  for (const char* text :
       {"fp32_chain", "exact", "tensor_core:hopper", "tensor_core:ampere,split=3"}) {
    for (const ScalarType dtype : {ScalarType::bf16, ScalarType::fp16}) {
      const auto accumulator = *accumulator_of(text, dtype);
      for (const std::int64_t cols : {5, 256, 531}) {
        const Problem p = random_problem(random, 27, 83, cols, dtype, 12);
        const std::vector<float> expected = whole(accumulator, p, 1);
        CHECK(whole(accumulator, p, 2) == expected);
        std::vector<std::uint16_t> bits;
        for (const float value : p.w) {
          bits.push_back(static_cast<std::uint16_t>(encode(dtype, value)));
        }
        const WeightRows stored{
            .values = bits.data(), .type = dtype, .rows = p.rows, .cols = cols, .row_stride = cols};
        with_each_set([&](const std::string& set) {
          Panel fp32(p.rows, cols);
          fp32.pack(p.weights());
          Panel narrow(p.rows, cols, dtype);
          narrow.pack(stored);
          for (int i = 0; i < 12; ++i) {
            const auto pick = [&](std::int64_t most) {
              return static_cast<std::int64_t>(random()) % most;
            };
            const std::int64_t row = pick(p.rows);
            const std::int64_t rows = 1 + pick(p.rows - row);
            const std::int64_t token = pick(p.tokens);
            const std::int64_t tokens = 1 + pick(p.tokens - token);
            std::vector<float> out(static_cast<std::size_t>(tokens * rows));
            dot_rows(accumulator, p.tiles(token, tokens), i % 2 == 0 ? fp32 : narrow,
                     {.first_row = row, .rows = rows, .out_stride = rows}, out.data());
            std::int64_t wrong = 0;
            for (std::int64_t t = 0; t < tokens; ++t) {
              for (std::int64_t j = 0; j < rows; ++j) {
                wrong +=
                    same_bits(out[static_cast<std::size_t>(t * rows + j)],
                              expected[static_cast<std::size_t>((token + t) * p.rows + row + j)])
                        ? 0
                        : 1;
              }
            }
            CAPTURE(text, scalar_type_name(dtype), cols, set, row, rows, token, tokens);
            REQUIRE(wrong == 0);
          }
          std::vector<float> out(expected.size());
          multiply(accumulator, p.tiles(0, p.tokens), stored, out.data(), p.rows, 1);
          CHECK(out == expected);
        });
      }
    }
  }
}

TEST_CASE("exact is the integer sum, where doubles do and where they do not suffice",
          "[numerics]") {
  std::mt19937 random(12);
  for (const ScalarType dtype : {ScalarType::bf16, ScalarType::fp16, ScalarType::fp32}) {
    for (const std::uint32_t octaves : {1U, 8U, 60U}) {
      const std::int64_t cols = 200;
      Problem p = random_problem(random, 7, 35, cols, dtype, octaves);
      p.x[3] = 0;
      p.w[5] = -0.0F;
      const std::vector<float> out = whole(Accumulator::exact, p, 1);
      for (std::int64_t t = 0; t < p.tokens; ++t) {
        for (std::int64_t j = 0; j < p.rows; ++j) {
          WideSum sum;
          for (std::int64_t k = 0; k < cols; ++k) {
            sum.add_product(p.x[static_cast<std::size_t>(t * cols + k)],
                            p.w[static_cast<std::size_t>(j * cols + k)]);
          }
          CAPTURE(scalar_type_name(dtype), octaves, t, j);
          REQUIRE(same_bits(out[static_cast<std::size_t>(t * p.rows + j)], sum.rounded()));
        }
      }
    }
  }
}

TEST_CASE("exact keeps what a double would lose, from the first bit on", "[numerics]") {
  // 1 + 2^-s - 1: doubles lose the middle term from s = 53 on.
  for (int s = 20; s <= 120; ++s) {
    const float small = std::ldexp(1.0F, -(s / 2));
    const float other = std::ldexp(1.0F, -(s - s / 2));
    const Problem p{1, 1, 3, {1, small, -1}, {1, other, 1}};
    CAPTURE(s);
    CHECK(whole(Accumulator::exact, p, 1)[0] == std::ldexp(1.0F, -s));
  }
}

TEST_CASE("the integer sum rounds once, to nearest even, over the whole range", "[numerics]") {
  const auto sum_of = [](const std::vector<std::pair<float, float>>& products) {
    WideSum sum;
    for (const auto& [a, b] : products) {
      sum.add_product(a, b);
    }
    return sum.rounded();
  };
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(sum_of({}) == 0.0F);
  CHECK(same_bits(sum_of({{1, -1}, {1, 1}}), 0.0F));
  CHECK(same_bits(sum_of({{-0x1p-149F, 0x1p-149F}}), -0.0F));
  CHECK(sum_of({{0x1p-75F, 0x1p-75F}}) == 0.0F);         // half of the smallest: to even
  CHECK(sum_of({{0x1.8p-75F, 0x1p-75F}}) == 0x1p-149F);  // more than half
  CHECK(sum_of({{1, 1}, {0x1p-24F, 1}}) == 1.0F);        // a tie
  CHECK(sum_of({{1, 1}, {0x1p-24F, 1}, {0x1p-149F, 0x1p-149F}}) == 0x1.000002p0F);
  CHECK(sum_of({{0x1p100F, 0x1p100F}, {3, 1}, {-0x1p100F, 0x1p100F}}) == 3.0F);
  CHECK(sum_of({{0x1.fffffep127F, 1}, {0x1p103F, 1}}) == inf);
  CHECK(sum_of({{0x1.fffffep127F, 1}, {0x1p102F, 1}}) == 0x1.fffffep127F);
  CHECK(sum_of({{0x1.fffffep127F, -0x1.fffffep127F}, {1, 1}}) == -inf);
  CHECK(sum_of({{inf, -2}}) == -inf);
  CHECK(std::isnan(sum_of({{inf, 0}})));
  CHECK(std::isnan(sum_of({{inf, 1}, {-inf, 1}})));
  // Against 64-bit integers: products of 24-bit numbers.
  std::mt19937 random(13);
  for (int i = 0; i < 2000; ++i) {
    WideSum sum;
    std::int64_t expected = 0;
    for (int k = 0; k < 50; ++k) {
      const auto a = static_cast<std::int64_t>(random() % (1U << 24)) - (1 << 23);
      const auto b = static_cast<std::int64_t>(random() % (1U << 24)) - (1 << 23);
      sum.add_product(static_cast<float>(a), static_cast<float>(b));
      expected += a * b;
    }
    // At most 2^52: the conversion from double rounds once.
    REQUIRE(sum.rounded() == static_cast<float>(static_cast<double>(expected)));
  }
}

TEST_CASE("what is not finite, or has zeros of both signs, is summed by the rule", "[numerics]") {
  const float inf = std::numeric_limits<float>::infinity();
  for (const char* text : {"fp32_chain", "exact", "tensor_core:hopper"}) {
    const auto accumulator = *accumulator_of(text, ScalarType::bf16);
    const auto dot = [&](std::vector<float> x, std::vector<float> w) {
      const Problem p{1, 1, static_cast<std::int64_t>(x.size()), std::move(x), std::move(w)};
      return whole(accumulator, p, 1)[0];
    };
    CAPTURE(text);
    CHECK(dot({inf, 1}, {1, 1}) == inf);
    CHECK(same_bits(dot({inf, 1}, {0, 1}), canonical_nan()));
    CHECK(same_bits(dot({inf, -inf}, {1, 1}), canonical_nan()));
    CHECK(same_bits(dot({-canonical_nan(), 1}, {1, 1}), canonical_nan()));
    CHECK(same_bits(dot({-0.0F, -0.0F}, {1, 1}), 0.0F));
    CHECK(same_bits(dot({1, -1}, {1, 1}), 0.0F));
  }
}
