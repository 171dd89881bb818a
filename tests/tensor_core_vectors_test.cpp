// What a Hopper GPU computed (tests/data/tensor_core, recorded by tests/gpu/record_vectors.py), bit
// for bit on the CPU.
#include <bit>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "sim/numerics/dot.hpp"
#include "sim/numerics/matrix_unit.hpp"
#include "sim/numerics/scalar.hpp"
#include "tests/catch.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

const std::string kFolder = TPLORA_SOURCE_DIR "/tests/data/tensor_core/";

/// Little-endian patterns of `bytes` bytes each.
std::vector<std::uint32_t> patterns(const std::string& file, std::size_t offset, std::size_t count,
                                    std::size_t bytes) {
  std::vector<std::uint32_t> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t b = 0; b < bytes; ++b) {
      values[i] |=
          static_cast<std::uint32_t>(static_cast<unsigned char>(file.at(offset + i * bytes + b)))
          << (8 * b);
    }
  }
  return values;
}

/// One recorded product: result [T, N] = c [T, N] + x [T, K] * w [N, K] transposed.
struct Vectors {
  std::string name, rule, instruction;
  OperandType type{};
  bool fp16_result = false;
  std::size_t tokens = 0, rows = 0, cols = 0;
  std::vector<float> x, w, c, result;  ///< c: +0 where none was given

  [[nodiscard]] bool from_zero() const {
    return std::all_of(c.begin(), c.end(), [](float value) { return same_bits(value, 0.0F); });
  }
};

std::size_t bytes_of(OperandType type) {
  return type == OperandType::tf32                                ? 4
         : type == OperandType::bf16 || type == OperandType::fp16 ? 2
                                                                  : 1;
}

std::vector<Vectors> read_vectors() {
  std::map<std::string, std::string> files;
  std::ifstream index_file(kFolder + "index.json");
  const auto index = nlohmann::json::parse(index_file);
  std::vector<Vectors> all;
  for (const auto& entry : index.at("vectors")) {
    std::string& file = files[entry.at("file")];
    if (file.empty()) {
      std::ifstream stream(kFolder + entry.at("file").get<std::string>(), std::ios::binary);
      file.assign(std::istreambuf_iterator<char>(stream), {});
    }
    Vectors one;
    one.name = entry.at("name");
    one.rule = entry.at("rule");
    one.instruction = entry.at("ptx");
    one.type = *operand_type_of(entry.at("type").get<std::string>());
    one.fp16_result = entry.at("result_type") == "fp16";
    one.tokens = entry.at("T");
    one.rows = entry.at("N");
    one.cols = entry.at("K");
    const auto operands = [&](const char* key, std::size_t count) {
      std::vector<float> values;
      for (const std::uint32_t bits : patterns(file, entry.at(key), count, bytes_of(one.type))) {
        values.push_back(decode_operand(one.type, bits));
      }
      return values;
    };
    const auto sums = [&](const char* key) {
      const ScalarType type = one.fp16_result ? ScalarType::fp16 : ScalarType::fp32;
      std::vector<float> values;
      for (const std::uint32_t bits :
           patterns(file, entry.at(key), one.tokens * one.rows, one.fp16_result ? 2 : 4)) {
        values.push_back(decode(type, bits));
      }
      return values;
    };
    one.x = operands("x", one.tokens * one.cols);
    one.w = operands("w", one.rows * one.cols);
    one.result = sums("result");
    one.c = entry.contains("c") ? sums("c") : std::vector<float>(one.result.size());
    all.push_back(std::move(one));
  }
  return all;
}

/// mma.sync on fp8 is not native on Hopper: operands become fp16; of each four neighbours in k the
/// first two go into one group of 16 that starts at +0, the others into a second that continues it;
/// then c is added in fp32.
float fp8_by_fp16(const Vectors& v, std::size_t t, std::size_t n) {
  const MatrixUnit unit = *matrix_unit("hopper", OperandType::fp16);
  float c = v.c[t * v.rows + n];
  for (std::size_t k = 0; k < v.cols; k += 32) {
    std::vector<float> x;
    std::vector<float> w;
    for (const std::size_t half : {0U, 2U}) {
      for (std::size_t i = 0; i < 32; i += 4) {
        for (const std::size_t j : {half, half + 1}) {
          x.push_back(v.x[t * v.cols + k + i + j]);
          w.push_back(v.w[n * v.cols + k + i + j]);
        }
      }
    }
    c = add_chain(unit, 0, {x.data(), 1}, {w.data(), 1}, 32) + c;
  }
  return c;
}

MatrixUnit unit_of(const Vectors& v) {
  MatrixUnit unit = *matrix_unit("hopper", v.type);
  if (v.fp16_result) {
    unit.result = {.fraction_bits = 10, .min_exponent = -14, .max_exponent = 15, .nearest = true};
  }
  return unit;
}

bool same_or_nan(float a, float b) {
  return same_bits(a, b) || (a != a && b != b);
}

}  // namespace

TEST_CASE("the matrix unit's model gives every bit that a Hopper GPU gave", "[numerics]") {
  std::int64_t compared = 0;
  for (const Vectors& v : read_vectors()) {
    const MatrixUnit unit = unit_of(v);
    std::int64_t wrong = 0;
    for (std::size_t t = 0; t < v.tokens; ++t) {
      for (std::size_t n = 0; n < v.rows; ++n) {
        const std::size_t i = t * v.rows + n;
        const float ours =
            v.rule == "fp8_by_fp16"
                ? fp8_by_fp16(v, t, n)
                : add_chain(unit, v.c[i], {v.x.data() + t * v.cols, 1},
                            {v.w.data() + n * v.cols, 1}, static_cast<std::int64_t>(v.cols));
        wrong += same_or_nan(ours, v.result[i]) ? 0 : 1;
        ++compared;
      }
    }
    CAPTURE(v.instruction, v.rule, v.name);
    CHECK(wrong == 0);
  }
  CHECK(compared == 381'032);
}

TEST_CASE("the lanes give every bit of chains that a Hopper GPU began at zero", "[numerics]") {
  std::int64_t compared = 0;
  for (const Vectors& v : read_vectors()) {
    if (!v.from_zero() || v.fp16_result || v.rule == "fp8_by_fp16") {
      continue;
    }
    Accumulator accumulator = *accumulator_of("tensor_core:hopper", v.type);
    const auto tokens = static_cast<std::int64_t>(v.tokens);
    const auto rows = static_cast<std::int64_t>(v.rows);
    const auto cols = static_cast<std::int64_t>(v.cols);
    std::vector<float> out(v.result.size());
    multiply(accumulator,
             TokenTiles({.values = v.x.data(), .tokens = tokens, .cols = cols, .row_stride = cols}),
             {.values = v.w.data(), .rows = rows, .cols = cols, .row_stride = cols}, out.data(),
             rows, 1);
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      wrong += same_or_nan(out[i], v.result[i]) ? 0 : 1;
      ++compared;
    }
    CAPTURE(v.instruction, v.name);
    CHECK(wrong == 0);
  }
  CHECK(compared > 100'000);
}
