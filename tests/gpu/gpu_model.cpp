// The CPU side of the GPU scripts: files of raw little-endian patterns in, files out.
//
//   gpu_model dot ACCUMULATOR TYPE T N K X W OUT [C]
//   gpu_model find-split ACCUMULATOR TYPE T N K X W RESULT RESULT_TYPE
//
// TYPE is bf16, fp16 (16-bit patterns), tf32 (fp32 words), e4m3, e5m2 (bytes). X: [T, K], W: [N,
// K], OUT and C, the accumulators at the start: [T, N] in fp32. RESULT: [T, N] in RESULT_TYPE,
// fp32, bf16 or fp16. Whole cases are `tplora golden`'s and `tplora check`'s.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "sim/base/parallel_for.hpp"
#include "sim/numerics/dot.hpp"
#include "sim/numerics/find_split.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

/// Ends the program with one sentence; this is a tool for scripts, not a library.
[[noreturn]] void stop(const std::string& sentence) {
  fmt::print(stderr, "gpu_model: {}\n", sentence);
  std::exit(2);
}

template <class Value>
Value value_or_stop(Result<Value> result) {
  if (!result) {
    stop(result.error().text());
  }
  return std::move(*result);
}

std::int64_t count_of(const char* text) {
  std::int64_t value = 0;
  const std::string_view view(text);
  const auto [end, code] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (code != std::errc() || end != view.data() + view.size() || value < 1) {
    stop(fmt::format("found \"{}\", expected a positive integer", text));
  }
  return value;
}

OperandType type_of(const char* text) {
  const auto type = operand_type_of(text);
  if (!type) {
    stop(fmt::format("found type \"{}\", expected bf16, fp16, tf32, e4m3 or e5m2", text));
  }
  return *type;
}

template <class Element>
std::vector<Element> read_elements(const std::string& path, std::int64_t count) {
  std::vector<Element> values(static_cast<std::size_t>(count));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(Element)));
  if (!file || file.peek() != std::ifstream::traits_type::eof()) {
    stop(fmt::format("{}: expected {} elements of {} bytes", path, count, sizeof(Element)));
  }
  return values;
}

std::vector<float> read_operands(const std::string& path, OperandType type, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  const auto decoded = [&](const auto& patterns) {
    std::transform(patterns.begin(), patterns.end(), values.begin(),
                   [&](auto bits) { return decode_operand(type, bits); });
  };
  switch (type) {
    case OperandType::bf16:
    case OperandType::fp16: decoded(read_elements<std::uint16_t>(path, count)); break;
    case OperandType::tf32: decoded(read_elements<std::uint32_t>(path, count)); break;
    case OperandType::e4m3:
    case OperandType::e5m2: decoded(read_elements<std::uint8_t>(path, count)); break;
  }
  return values;
}

template <class Element>
void write_elements(const std::filesystem::path& path, const std::vector<Element>& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(Element)));
  if (!file) {
    stop(fmt::format("{}: cannot be written", path.string()));
  }
}

/// T tokens with N rows of length K.
struct Product {
  OperandType type;
  std::int64_t tokens, rows, cols;
  std::vector<float> x, w;

  Product(OperandType t, char** sizes, const std::string& x_path, const std::string& w_path)
      : type(t), tokens(count_of(sizes[0])), rows(count_of(sizes[1])), cols(count_of(sizes[2])) {
    x = read_operands(x_path, type, tokens * cols);
    w = read_operands(w_path, type, rows * cols);
  }
  [[nodiscard]] std::vector<float> times(const Accumulator& accumulator) const {
    std::vector<float> out(static_cast<std::size_t>(tokens * rows));
    multiply(accumulator,
             TokenTiles({.values = x.data(), .tokens = tokens, .cols = cols, .row_stride = cols}),
             {.values = w.data(), .rows = rows, .cols = cols, .row_stride = cols}, out.data(), rows,
             0);
    return out;
  }
};

int dot(int count, char** arguments) {
  if (count != 8 && count != 9) {
    stop("dot: expected ACCUMULATOR TYPE T N K X W OUT [C]");
  }
  const OperandType type = type_of(arguments[1]);
  const auto accumulator = value_or_stop(accumulator_of(std::string(arguments[0]), type));
  const Product product(type, arguments + 2, arguments[5], arguments[6]);
  if (count == 8) {
    write_elements(arguments[7], product.times(accumulator));
    return 0;
  }
  if (accumulator.rule != Accumulator::Rule::tensor_core) {
    stop("dot: accumulators at the start are a tensor_core's");
  }
  if (accumulator.split != SplitK()) {
    stop("dot: with accumulators at the start K is not cut: expected no split= or promote=");
  }
  auto out = read_elements<float>(arguments[8], product.tokens * product.rows);
  parallel_for(product.tokens, 0, [&](std::int64_t t) {
    for (std::int64_t n = 0; n < product.rows; ++n) {
      float& c = out[static_cast<std::size_t>(t * product.rows + n)];
      c = add_chain(accumulator.unit, c, {product.x.data() + t * product.cols, 1},
                    {product.w.data() + n * product.cols, 1}, product.cols);
    }
  });
  write_elements(arguments[7], out);
  return 0;
}

int find_split(int count, char** arguments) {
  if (count != 9) {
    stop("find-split: expected ACCUMULATOR TYPE T N K X W RESULT RESULT_TYPE");
  }
  const OperandType type = type_of(arguments[1]);
  const auto accumulator = value_or_stop(accumulator_of(std::string(arguments[0]), type));
  if (accumulator.rule != Accumulator::Rule::tensor_core) {
    stop("find-split: only a tensor_core's K is cut");
  }
  ++arguments;
  const Product product(type, arguments + 1, arguments[4], arguments[5]);
  const auto result_type = scalar_type_of(arguments[7]);
  if (!result_type) {
    stop(fmt::format("found \"{}\", expected fp32, bf16 or fp16", arguments[7]));
  }
  std::vector<float> result(static_cast<std::size_t>(product.tokens * product.rows));
  if (*result_type == ScalarType::fp32) {
    result = read_elements<float>(arguments[6], product.tokens * product.rows);
  } else {
    const auto bits = read_elements<std::uint16_t>(arguments[6], product.tokens * product.rows);
    std::transform(bits.begin(), bits.end(), result.begin(),
                   [&](std::uint16_t one) { return decode(*result_type, one); });
  }
  const SplitSearch found =
      find_split(accumulator,
                 TokenTiles({.values = product.x.data(),
                             .tokens = product.tokens,
                             .cols = product.cols,
                             .row_stride = product.cols}),
                 {.values = product.w.data(),
                  .rows = product.rows,
                  .cols = product.cols,
                  .row_stride = product.cols},
                 {.values = result, .type = *result_type, .most_parts = 32, .threads = 0});
  fmt::print("split={} mismatches={}\n", found.split.parts, found.mismatches);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string command = count > 1 ? arguments[1] : "";
  if (command == "dot") {
    return dot(count - 2, arguments + 2);
  }
  if (command == "find-split") {
    return find_split(count - 2, arguments + 2);
  }
  stop("expected dot or find-split");
}
