// The SIMD kernels on every instruction set of this machine.
#include <cmath>
#include <random>
#include <vector>

#include "sim/data/wide.hpp"
#include "sim/numerics/dot.hpp"
#include "sim/numerics/instruction_set.hpp"
#include "tests/catch.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

/// Runs `body(name)` once for each instruction set that is compiled in and supported here.
template <class Body>
int for_each_target(Body body) {
  const auto sets = instruction_sets();
  for (const std::string& name : sets) {
    REQUIRE(use_instruction_set(name));
    body(name.c_str());
  }
  use_best_instruction_set();
  return static_cast<int>(sets.size());
}

}  // namespace

TEST_CASE("every instruction set gives the bits of the plain chain", "[numerics]") {
  std::mt19937 random(3);
  const std::int64_t rows = 41;
  const std::int64_t cols = 97;
  const std::int64_t tokens = 5;
  const auto values = [&](std::int64_t count) {
    std::vector<float> list(static_cast<std::size_t>(count));
    for (float& value : list) {
      // fp32 values, so that one rounding a step matters.
      value = std::ldexp(static_cast<float>(random()), -static_cast<int>(random() % 40));
    }
    return list;
  };
  const auto w = values(rows * cols);
  const auto x = values(tokens * cols);
  Panel panel(rows, cols);
  panel.pack(w.data(), rows, cols, cols);
  const int targets = for_each_target([&](const char* name) {
    std::vector<float> out(static_cast<std::size_t>(tokens * rows));
    const TokenTiles tiles(
        {.values = x.data(), .tokens = tokens, .cols = cols, .row_stride = cols});
    dot_rows(Accumulator::fp32_chain, tiles, panel, {.rows = rows, .out_stride = rows}, out.data());
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t i = 0; i < rows; ++i) {
        float expected = 0;
        for (std::int64_t k = 0; k < cols; ++k) {
          expected = std::fma(x[static_cast<std::size_t>(t * cols + k)],
                              w[static_cast<std::size_t>(i * cols + k)], expected);
        }
        CAPTURE(name, t, i);
        REQUIRE(out[static_cast<std::size_t>(t * rows + i)] == expected);
      }
    }
  });
  CHECK(targets >= 1);
}

TEST_CASE("every instruction set makes the same random values", "[data]") {
  const WideStream stream{
      .seed = 77, .tensor_word = 0x123, .lowest_exponent = -10, .dtype = ScalarType::fp32};
  std::vector<float> first;
  for_each_target([&](const char* name) {
    std::vector<float> values(1003);
    fill_wide(stream, (std::uint64_t{1} << 34) - 501, 1003, values.data());
    if (first.empty()) {
      first = values;
    }
    CAPTURE(name);
    CHECK(values == first);
  });
}
