#include <cmath>
#include <random>
#include <vector>

#include "sim/numerics/dot.hpp"
#include "sim/numerics/philox.hpp"
#include "sim/numerics/program.hpp"
#include "sim/numerics/scalar.hpp"
#include "tests/catch.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

/// The nearest value of a format with `fraction_bits` and least normal exponent `min_exponent`,
/// ties to even: by double arithmetic, independent of the bit tricks under test.
float slow_round(float value, int fraction_bits, int min_exponent, double largest) {
  if (std::isnan(value)) {
    return canonical_nan();
  }
  if (value == 0 || std::isinf(value)) {
    return value;
  }
  int exponent = 0;
  std::frexp(value, &exponent);  // value = m * 2^exponent, m in [0.5, 1)
  const int unit = std::max(exponent - 1, min_exponent) - fraction_bits;
  const double scaled = std::ldexp(static_cast<double>(value), -unit);
  const double rounded = std::ldexp(std::nearbyint(scaled), unit);
  if (std::abs(rounded) > largest) {
    return std::copysign(std::numeric_limits<float>::infinity(), value);
  }
  return static_cast<float>(std::copysign(rounded, static_cast<double>(value)));
}

float slow_bf16(float v) {
  return slow_round(v, 7, -126, std::ldexp(255.0 / 128, 127));
}
float slow_fp16(float v) {
  return slow_round(v, 10, -14, 65504);
}

float of_bits(std::uint32_t bits) {
  return std::bit_cast<float>(bits);
}

std::vector<float> random_values(std::mt19937& random, std::size_t count, ScalarType dtype) {
  std::vector<float> values(count);
  for (float& value : values) {
    const auto word = static_cast<std::uint32_t>(random());
    // Exponents -8..7, random sign and fraction.
    value = round_to(dtype, of_bits((word & 0x807fffffU) | ((119 + ((word >> 23) & 15U)) << 23)));
  }
  return values;
}

float plain_chain(const float* x, const float* w, std::size_t count) {
  float acc = 0;
  for (std::size_t k = 0; k < count; ++k) {
    acc = std::fma(x[k], w[k], acc);
  }
  return acc;
}

}  // namespace

TEST_CASE("every 16-bit pattern survives decoding, rounding and encoding", "[numerics]") {
  for (const ScalarType type : {ScalarType::bf16, ScalarType::fp16}) {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
      const float value = decode(type, bits);
      if (std::isnan(value)) {
        CHECK(same_bits(round_to(type, value), canonical_nan()));
        continue;
      }
      if (!same_bits(round_to(type, value), value) || encode(type, value) != bits) {
        CAPTURE(scalar_type_name(type), bits);
        FAIL("the pattern changed");
      }
    }
  }
}

TEST_CASE("rounding agrees with a slow conversion, ties and specials included", "[numerics]") {
  std::mt19937 random(1);
  std::int64_t wrong = 0;
  const auto check = [&](std::uint32_t bits) {
    const float value = of_bits(bits);
    wrong += same_bits(round_to(ScalarType::bf16, value), slow_bf16(value)) ? 0 : 1;
    wrong += same_bits(round_to(ScalarType::fp16, value), slow_fp16(value)) ? 0 : 1;
  };
  for (int i = 0; i < 10'000'000; ++i) {
    check(static_cast<std::uint32_t>(random()));
  }
  // Around every bf16 and fp16 value: the value, its ties, and their neighbours.
  for (std::uint32_t high = 0; high < 0x10000; ++high) {
    for (const std::uint32_t low : {0x0000U, 0x0001U, 0x0fffU, 0x1000U, 0x1001U, 0x3000U, 0x7fffU,
                                    0x8000U, 0x8001U, 0xffffU}) {
      check((high << 16) | low);
    }
  }
  CHECK(wrong == 0);
}

// Some ten minutes; by name: tplora_tests "[nightly]".
TEST_CASE("rounding agrees with a slow conversion on every fp32 pattern", "[.][nightly]") {
  std::int64_t wrong = 0;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); ++bits) {
    const float value = of_bits(static_cast<std::uint32_t>(bits));
    wrong += same_bits(round_to(ScalarType::bf16, value), slow_bf16(value)) ? 0 : 1;
    wrong += same_bits(round_to(ScalarType::fp16, value), slow_fp16(value)) ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("the fp32 chain is the plain loop, whatever stands beside a row", "[numerics]") {
  std::mt19937 random(2);
  for (const ScalarType dtype : {ScalarType::bf16, ScalarType::fp16, ScalarType::fp32}) {
    for (const std::int64_t cols : {1, 3, 16, 37, 128}) {
      const std::int64_t rows = 75;
      const std::int64_t tokens = 6;
      const auto w = random_values(random, static_cast<std::size_t>(rows * cols), dtype);
      const auto x = random_values(random, static_cast<std::size_t>(tokens * cols), dtype);
      Panel panel(rows, cols);
      panel.pack(w.data(), rows, cols, cols);
      for (const auto& [first, count] :
           {std::pair<std::int64_t, std::int64_t>{0, 75}, {5, 3}, {16, 16}, {31, 2}, {40, 35}}) {
        std::vector<float> out(static_cast<std::size_t>(tokens * count));
        const TokenTiles tiles(
            {.values = x.data(), .tokens = tokens, .cols = cols, .row_stride = cols});
        dot_rows(Accumulator::fp32_chain, tiles, panel,
                 {.first_row = first, .rows = count, .out_stride = count}, out.data());
        for (std::int64_t t = 0; t < tokens; ++t) {
          for (std::int64_t i = 0; i < count; ++i) {
            const float expected = plain_chain(x.data() + t * cols, w.data() + (first + i) * cols,
                                               static_cast<std::size_t>(cols));
            CAPTURE(cols, first, t, i);
            REQUIRE(same_bits(out[static_cast<std::size_t>(t * count + i)], expected));
          }
        }
      }
    }
  }
}

TEST_CASE("Philox gives the published answers", "[numerics]") {
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox4x32_10({0, 0, 0, 0}, {0, 0}) ==
        Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32_10({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("programs scale and round in the order they state", "[numerics]") {
  // 1.0009765625 = 1 + 2^-10 rounds to 1 in bf16; times 3 it would round to 3 either way, so take
  // a value where the order shows.
  const float value = 1.01171875F;  // 1 + 3 * 2^-8: halfway between two bf16 values
  const auto run = [&](const char* name) {
    const RoundingProgram* program = find_program(name);
    REQUIRE(program != nullptr);
    return apply(program->delta, value, 1.5F, ScalarType::bf16);
  };
  CHECK(run("sglang_triton") == round_to(ScalarType::bf16, value * 1.5F));
  CHECK(run("peft_bf16") == round_to(ScalarType::bf16, round_to(ScalarType::bf16, value) * 1.5F));
  CHECK(run("sglang_triton") != run("peft_bf16"));
  CHECK(run("vllm") == round_to(ScalarType::bf16, value));
  CHECK(find_program("no such program") == nullptr);
}

TEST_CASE("each program rounds and scales where its source does", "[numerics]") {
  // One value of each stage; bf16 keeps 8 bits, so 257 and 1.5 * 257 are rounded where a program
  // rounds.
  const auto stage = [](const char* name, std::span<const Step> RoundingProgram::*steps,
                        float value) {
    const RoundingProgram* program = find_program(name);
    REQUIRE(program != nullptr);
    return apply(program->*steps, value, 1.5F, ScalarType::bf16);
  };
  CHECK(stage("llama_cpp", &RoundingProgram::base, 257.0F) == 257.0F);
  CHECK(stage("llama_cpp", &RoundingProgram::delta, 257.0F) == 385.5F);
  CHECK(stage("peft_default", &RoundingProgram::shrink, 257.0F) == 257.0F);
  CHECK(stage("peft_default", &RoundingProgram::delta, 257.0F) == 385.5F);
  CHECK(stage("peft_default", &RoundingProgram::sum, 257.0F) == 256.0F);
  CHECK(stage("peft_mixed", &RoundingProgram::delta, 257.0F) == 386.0F);
  CHECK(stage("punica", &RoundingProgram::shrink, 257.0F) == 256.0F);
  CHECK(stage("punica", &RoundingProgram::delta, 257.0F) == 257.0F);
  for (const char* name : {"sglang_jax", "sglang_torch_native"}) {
    CHECK(stage(name, &RoundingProgram::expand_input, 256.0F) == 384.0F);
    CHECK(stage(name, &RoundingProgram::delta, 257.0F) == 256.0F);
  }
  for (const char* name : {"trtllm", "tpu_inference"}) {
    CHECK(stage(name, &RoundingProgram::load_b, 257.0F) == 386.0F);
    CHECK(stage(name, &RoundingProgram::shrink, 257.0F) == 256.0F);
    CHECK(stage(name, &RoundingProgram::expand_input, 257.0F) == 257.0F);
  }
  for (const RoundingProgram& program : programs()) {
    CHECK(find_program(program.name) == &program);
  }
}
