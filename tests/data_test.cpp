#include <cmath>
#include <set>
#include <vector>

#include "sim/data/generator.hpp"
#include "sim/data/wide.hpp"
#include "sim/numerics/philox.hpp"
#include "tests/support.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

Generator make(DataKind kind, ScalarType dtype = ScalarType::bf16, std::int64_t hidden = 200,
               std::uint64_t seed = 0x123456789abcdef0) {
  QkvGeometry g = test::geometry({4, 2, 6});
  g.hidden_size = hidden;
  return Generator({.kind = kind, .dtype = dtype, .seed = seed, .geometry = g});
}

std::vector<float> whole(const Generator& generator, TensorId id, std::int64_t rows,
                         std::int64_t cols) {
  std::vector<float> values(static_cast<std::size_t>(rows * cols));
  generator.fill(id, {.cols = cols, .rows = rows, .block_cols = cols}, values.data(), cols);
  return values;
}

AdapterSpec adapter_of_rank(std::int64_t lora_rank) {
  AdapterSpec spec;
  spec.name = std::string("a");
  spec.lora_rank = lora_rank;
  return spec;
}

}  // namespace

TEST_CASE("a wide value is one word of the documented counter", "[data]") {
  const std::uint64_t seed = 0x0123456789abcdefULL;
  const TensorId id{Tensor::lora_b, Part::v, 5};
  CHECK(id.word() == (4U | (2U << 4) | (5U << 8)));
  for (const ScalarType dtype : {ScalarType::bf16, ScalarType::fp16, ScalarType::fp32}) {
    const WideStream stream{
        .seed = seed, .tensor_word = id.word(), .lowest_exponent = -10, .dtype = dtype};
    // A start inside a counter, and one at which the counter's low word overflows.
    for (const std::uint64_t first :
         {std::uint64_t{0}, std::uint64_t{7}, (std::uint64_t{1} << 34) - 9}) {
      std::vector<float> values(1500);
      fill_wide(stream, first, 1500, values.data());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint64_t index = first + i;
        const std::uint64_t counter = index / 4;
        const std::uint32_t word =
            philox4x32_10({static_cast<std::uint32_t>(counter),
                           static_cast<std::uint32_t>(counter >> 32), id.word(), 0},
                          {0x89abcdefU, 0x01234567U})[index % 4];
        REQUIRE(same_bits(values[i], wide_value(stream, word)));
        REQUIRE(same_bits(values[i], round_to(dtype, values[i])));
        REQUIRE(std::ilogb(values[i]) == -10 + static_cast<int>((word >> 28) & 7U));
        REQUIRE(std::signbit(values[i]) == (word >> 31 != 0));
      }
    }
  }
}

TEST_CASE("a slice of a tensor holds the same values as the whole", "[data]") {
  for (const DataKind kind : {DataKind::labels, DataKind::integers, DataKind::wide}) {
    for (const std::int64_t cols : {200, 333}) {
      const Generator generator = make(kind, ScalarType::bf16, cols);
      const TensorId id{Tensor::weight, Part::k};
      const std::int64_t rows = 12;
      const auto all = whole(generator, id, rows, cols);
      std::vector<float> block(5 * 70);
      generator.fill(id,
                     {.cols = cols, .first_row = 3, .rows = 5, .first_col = 61, .block_cols = 70},
                     block.data(), 70);
      Panel panel(1, 1);
      generator.fill_panel(id, 2, 9, panel);
      for (std::int64_t i = 0; i < 5; ++i) {
        for (std::int64_t j = 0; j < 70; ++j) {
          const float value = all[static_cast<std::size_t>((3 + i) * cols + 61 + j)];
          REQUIRE(same_bits(block[static_cast<std::size_t>(i * 70 + j)], value));
          REQUIRE(same_bits(panel.at(1 + i, 61 + j), value));
        }
      }
    }
  }
}

TEST_CASE("integers keep every sum inside its budget and every row alive", "[data]") {
  for (const std::int64_t hidden : {1, 5, 95, 97, 4096, 5376}) {
    const Generator generator = make(DataKind::integers, ScalarType::bf16, hidden);
    const auto sum = [](const std::vector<float>& values, std::size_t begin, std::int64_t count) {
      double total = 0;
      for (std::int64_t k = 0; k < count; ++k) {
        const float value = values[begin + static_cast<std::size_t>(k)];
        REQUIRE(value == std::nearbyint(value));
        total += std::abs(value);
      }
      return total;
    };
    const auto weight = whole(generator, {Tensor::weight, Part::v}, 12, hidden);
    const auto x = generator.x(3);
    const auto bias = generator.bias(Part::q);
    for (const float value : x) {
      REQUIRE(std::abs(value) == 1);
    }
    for (std::int64_t row = 0; row < 12; ++row) {
      const double total = sum(weight, static_cast<std::size_t>(row * hidden), hidden);
      const double with_bias = total + std::abs(bias[static_cast<std::size_t>(row)]);
      CHECK(total > 0);
      CHECK(with_bias <= static_cast<double>(kIntegerBaseBudget));
    }
    for (const std::int64_t lora_rank : {1, 3, 4, 16, 100}) {
      const Adapter adapter = generator.adapter(adapter_of_rank(lora_rank), 0);
      for (std::int64_t q = 0; q < lora_rank; ++q) {
        const double total = sum(adapter.a(Part::k), static_cast<std::size_t>(q * hidden), hidden);
        CHECK(total > 0);
        CHECK(total <= static_cast<double>(kIntegerShrinkBudget));
      }
      for (std::int64_t row = 0; row < 12; ++row) {
        const double total =
            sum(adapter.b(Part::v), static_cast<std::size_t>(row * lora_rank), lora_rank);
        CHECK(total > 0);
        CHECK(total * static_cast<double>(kIntegerShrinkBudget) <=
              static_cast<double>(kIntegerExpandBudget));
      }
    }
  }
}

TEST_CASE("labels read off eight tokens give back row and adapter", "[data]") {
  const Generator generator = make(DataKind::labels);
  const Adapter adapter = generator.adapter(adapter_of_rank(4), 9);
  const auto x = generator.x(8);
  const auto weight = whole(generator, {Tensor::weight, Part::v}, 12, 200);
  const auto dot = [&](std::int64_t token, const float* row) {
    double sum = 0;
    for (std::int64_t k = 0; k < 200; ++k) {
      sum += x[static_cast<std::size_t>(token * 200 + k)] * row[k];
    }
    return sum;
  };
  const std::int64_t v_begin = 24 + 12;  // rows of q and k
  for (std::int64_t row = 0; row < 12; ++row) {
    std::int64_t base = 0;
    std::int64_t delta = 0;
    for (std::int64_t digit = 0; digit < 4; ++digit) {
      base |= (std::llround(dot(2 * digit, weight.data() + row * 200)) - 1) << (8 * digit);
      CHECK(dot(2 * digit + 1, weight.data() + row * 200) == 0);
      double y = 0;
      for (std::int64_t q = 0; q < 4; ++q) {
        CHECK(dot(2 * digit, adapter.a(Part::v).data() + q * 200) == 0);
        y += dot(2 * digit + 1, adapter.a(Part::v).data() + q * 200) *
             adapter.b(Part::v)[static_cast<std::size_t>(row * 4 + q)];
      }
      delta |= (std::llround(y) - 1) << (8 * digit);
    }
    CHECK(base == v_begin + row);
    CHECK(delta == (v_begin + row) + (std::int64_t{9} << 24));
  }
}

TEST_CASE("seed, tensor, part and adapter each choose another stream", "[data]") {
  std::set<std::vector<float>> streams;
  for (const TensorId id :
       {TensorId{Tensor::weight, Part::q}, TensorId{Tensor::weight, Part::k},
        TensorId{Tensor::lora_a, Part::q}, TensorId{Tensor::lora_a, Part::q, 1}}) {
    for (const std::uint64_t seed : {1ULL, 2ULL, 1ULL << 32}) {
      streams.insert(whole(make(DataKind::integers, ScalarType::bf16, 8, seed), id, 4, 8));
      streams.insert(whole(make(DataKind::wide, ScalarType::bf16, 8, seed), id, 4, 8));
    }
  }
  CHECK(streams.size() == 24);
}

TEST_CASE("a fused adapter has one A, and an absent part has none", "[data]") {
  const Generator generator = make(DataKind::wide);
  AdapterSpec spec = adapter_of_rank(2);
  spec.shared_a = true;
  const Adapter fused = generator.adapter(spec, 0);
  CHECK(fused.a(Part::v) == fused.a(Part::q));
  CHECK(fused.a(Part::q).size() == 400);
  spec.shared_a = false;
  spec.targets = {true, false, true};
  const Adapter partial = generator.adapter(spec, 0);
  CHECK(partial.a(Part::k).empty());
  CHECK(partial.b(Part::k).empty());
  CHECK(partial.b(Part::v).size() == 24);
}
