#include "sim/numerics/matrix_unit.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "sim/numerics/dot.hpp"
#include "tests/catch.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

float add(const char* architecture, OperandType type, float c, const std::vector<float>& x,
          const std::vector<float>& w) {
  const auto unit = matrix_unit(architecture, type);
  REQUIRE(unit.has_value());
  return add_chain(*unit, c, {x.data(), 1}, {w.data(), 1}, static_cast<std::int64_t>(x.size()));
}

/// A random pattern of an operand type: of any kind, or of few exponents, so that terms meet.
float random_operand(OperandType type, std::mt19937& random, int flavour) {
  const bool wide = type == OperandType::bf16 || type == OperandType::tf32;
  const auto word = static_cast<std::uint32_t>(random());
  switch (type) {
    case OperandType::bf16: break;
    case OperandType::fp16:
      return decode_operand(type, flavour == 0
                                      ? word & 0xffffU
                                      : (word & 0x83ffU) | (((word >> 16) % 12 + 10) << 10));
    case OperandType::e4m3:
    case OperandType::e5m2: return decode_operand(type, word & 0xffU);
    case OperandType::tf32: break;
  }
  const std::uint32_t keep = type == OperandType::bf16 ? 0xffff0000U : 0xffffe000U;
  const std::uint32_t narrow =
      (word & 0x807fffffU) | ((120U + (static_cast<std::uint32_t>(random()) % 14U)) << 23);
  const std::uint32_t tiny =
      (word & 0x807fffffU) | ((static_cast<std::uint32_t>(random()) % 70U) << 23);
  const std::uint32_t huge =
      (word & 0x807fffffU) | ((185U + static_cast<std::uint32_t>(random()) % 10U) << 23);
  const std::uint32_t bits = flavour == 0   ? word
                             : flavour == 2 ? tiny
                             : flavour == 3 ? huge
                                            : narrow;
  return wide ? std::bit_cast<float>(bits & keep) : 0.0F;
}

}  // namespace

TEST_CASE("2^23 - 2^23 - .5 - .25 - .125 tells the architectures apart", "[numerics]") {
  const std::vector<float> x = {0x1p23F, -0x1p23F, -0.5F, -0.25F, -0.125F};
  const std::vector<float> w(5, 1.0F);
  CHECK(add("hopper", OperandType::fp16, 0, {4096, -4096, -0.5F, -0.25F, -0.125F},
            {2048, 2048, 1, 1, 1}) == -0.75F);
  CHECK(add("hopper", OperandType::bf16, 0, x, w) == -0.75F);
  CHECK(add("ampere", OperandType::bf16, 0, x, w) == -0.5F);
  CHECK(add("volta", OperandType::fp16, 0, {4096, -4096, -0.5F, -0.25F}, {2048, 2048, 1, 1}) ==
        0.0F);
}

TEST_CASE("a group is aligned to operands' exponents, cut and not rounded", "[numerics]") {
  // 1.5 * 1.5 = 2.25 is aligned as if below 2: its exponent is 0.
  CHECK(add("hopper", OperandType::bf16, 0, {1.5F, 0x1p-13F}, {1.5F, 0x1p-12F}) ==
        2.25F);  // 2^-25 is kept, then cut with the result's last bit
  CHECK(add("hopper", OperandType::bf16, -2.25F, {1.5F, 0x1p-13F}, {1.5F, 0x1p-12F}) ==
        0.0F);  // the accumulator's exponent is 1: the unit is 2^-24
  CHECK(add("hopper", OperandType::bf16, 1.0F, {0x1.fep-1F}, {0x1p-24F}) == 1.0F);
  CHECK(add("hopper", OperandType::bf16, -1.0F, {-0x1.fep-1F}, {0x1p-24F}) == -1.0F);
  // A subnormal fp16 operand counts as 2^-14: the unit is 2^-53, not 2^-63.
  CHECK(add("hopper", OperandType::fp16, 0x1p-54F, {0x1p-24F}, {0x1p-14F}) == 0x1p-38F);
}

TEST_CASE("infinities, NaN and zeros of a group follow IEEE 754", "[numerics]") {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(add("hopper", OperandType::bf16, 1, {inf, 1}, {2, 1}) == inf);
  CHECK(add("hopper", OperandType::bf16, -inf, {1}, {1}) == -inf);
  CHECK(same_bits(add("hopper", OperandType::bf16, -inf, {inf}, {1}), canonical_nan()));
  CHECK(same_bits(add("hopper", OperandType::bf16, 0, {inf}, {0}), canonical_nan()));
  CHECK(same_bits(add("hopper", OperandType::bf16, -0.0F, {-0.0F}, {1}), 0.0F));
  // Beyond fp32 inside a group, and back; and out of it.
  CHECK(add("hopper", OperandType::bf16, 1, {0x1p100F, -0x1p100F}, {0x1p100F, 0x1p100F}) == 0.0F);
  CHECK(add("hopper", OperandType::bf16, 1, {0x1p100F}, {0x1p100F}) == inf);
}

TEST_CASE("the lanes compute what the integers do, group by group", "[numerics]") {
  std::mt19937 random(8);
  std::int64_t compared = 0;
  for (const char* text :
       {"tensor_core:hopper", "tensor_core:ampere", "tensor_core:blackwell", "tensor_core:volta",
        "tensor_core:hopper,split=3", "tensor_core:hopper,split=2,unit=16,merge=descending",
        "tensor_core:hopper,promote=48", "tensor_core:group=12,fraction=21,floor=-140,result=20",
        "tensor_core:group=8,fraction=24,floor=-5,result=23",
        "tensor_core:group=4,fraction=35,floor=-139,result=23"}) {
    for (const OperandType type : {OperandType::bf16, OperandType::fp16, OperandType::tf32,
                                   OperandType::e4m3, OperandType::e5m2}) {
      const auto accumulator = accumulator_of(text, type);
      for (int flavour = 0; accumulator && flavour < 4; ++flavour) {
        const std::int64_t rows = 37;
        const std::int64_t tokens = 3;
        for (const std::int64_t cols : {1, 16, 150, 300}) {
          std::vector<float> x(static_cast<std::size_t>(tokens * cols));
          std::vector<float> w(static_cast<std::size_t>(rows * cols));
          for (auto* list : {&x, &w}) {
            for (float& value : *list) {
              value = random() % 16 == 0 ? 0.0F : random_operand(type, random, flavour);
            }
          }
          std::vector<float> out(static_cast<std::size_t>(tokens * rows));
          multiply(
              *accumulator,
              TokenTiles({.values = x.data(), .tokens = tokens, .cols = cols, .row_stride = cols}),
              {.values = w.data(), .rows = rows, .cols = cols, .row_stride = cols}, out.data(),
              rows, 1);
          const std::int64_t length = accumulator->split.part_cols(cols);
          for (std::int64_t t = 0; t < tokens; ++t) {
            for (std::int64_t i = 0; i < rows; ++i) {
              std::vector<float> parts;
              for (std::int64_t k = 0; k < cols; k += length) {
                parts.push_back(add_chain(accumulator->unit, 0, {x.data() + t * cols + k, 1},
                                          {w.data() + i * cols + k, 1},
                                          std::min(length, cols - k)));
              }
              if (accumulator->split.descending) {
                std::reverse(parts.begin(), parts.end());
              }
              float expected = parts[0];
              for (std::size_t p = 1; p < parts.size(); ++p) {
                expected += parts[p];
              }
              expected = std::isnan(expected) ? canonical_nan() : expected;
              CAPTURE(text, operand_type_name(type), flavour, cols, t, i);
              REQUIRE(same_bits(out[static_cast<std::size_t>(t * rows + i)], expected));
              ++compared;
            }
          }
        }
      }
    }
  }
  CHECK(compared > 30'000);
}

TEST_CASE("accumulators are read from their names, and printed", "[numerics]") {
  for (const char* text :
       {"fp32_chain", "exact", "tensor_core:hopper", "tensor_core:ampere,split=3",
        "tensor_core:hopper,split=2,unit=16,merge=descending", "tensor_core:hopper,promote=128",
        "tensor_core:group=8,fraction=24,floor=-132,result=23"}) {
    const auto accumulator = accumulator_of(text, ScalarType::bf16);
    REQUIRE(accumulator.has_value());
    CHECK(accumulator_name(*accumulator) == text);
  }
  const auto refusal = [](const char* text, ScalarType dtype) {
    const auto accumulator = accumulator_of(text, dtype);
    REQUIRE(!accumulator.has_value());
    return accumulator.error().sentence;
  };
  CHECK(refusal("tensor_core:volta", ScalarType::bf16) ==
        "accumulator: tensor_core:volta with bf16 operands: no source describes it");
  CHECK(refusal("tensor_core:ampere", ScalarType::fp32) ==
        "accumulator: tensor_core:ampere with tf32 operands: no source describes it");
  CHECK(refusal("tensor_core:hopper,split=0", ScalarType::bf16) ==
        "accumulator: split=0: expected a decimal integer from 1 to 4096");
  CHECK(refusal("tensor_core:hopper,group=8", ScalarType::bf16) ==
        "accumulator: tensor_core:hopper has its own group, fraction, floor and result: begin with "
        "group= to spell a unit out");
  CHECK(refusal("tensor_core:hopper,split=2,promote=128", ScalarType::bf16) ==
        "accumulator: split= and promote= both cut K: expected one of them");
  CHECK(
      refusal("fp64", ScalarType::bf16) ==
      "accumulator: found \"fp64\", expected fp32_chain, exact or tensor_core:hopper and the like");
}
