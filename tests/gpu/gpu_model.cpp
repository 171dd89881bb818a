// The CPU side of the GPU scripts: files of raw little-endian patterns in, files out.
//
//   gpu_model dot ACCUMULATOR TYPE T N K X W OUT [C]
//   gpu_model find-split ACCUMULATOR TYPE T N K X W RESULT RESULT_TYPE
//   gpu_model forward "CASE LINE" FOLDER
//
// TYPE is bf16, fp16 (16-bit patterns), tf32 (fp32 words), e4m3, e5m2 (bytes). X: [T, K], W: [N,
// K], OUT and C, the accumulators at the start: [T, N] in fp32. RESULT: [T, N] in RESULT_TYPE,
// fp32, bf16 or fp16. `forward` computes a case and writes what a kernel would be given and must
// return (tests/gpu/README.md). The folder of configs is ./configs, or the one this was built
// beside.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sim/base/parallel_for.hpp"
#include "sim/data/generator.hpp"
#include "sim/numerics/dot.hpp"
#include "sim/numerics/find_split.hpp"
#include "sim/ranks/tp_group.hpp"
#include "verify/case/suite.hpp"

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

/// Values of the dtype as the patterns that are stored.
void write_patterns(const std::filesystem::path& path, ScalarType dtype,
                    std::span<const float> values) {
  if (dtype == ScalarType::fp32) {
    write_elements(path, std::vector<float>(values.begin(), values.end()));
    return;
  }
  std::vector<std::uint16_t> bits;
  for (const float value : values) {
    bits.push_back(static_cast<std::uint16_t>(encode(dtype, value)));
  }
  write_elements(path, bits);
}

/// One rank's rows of logical tensors, in the order of its output's columns.
class RankFiles {
 public:
  RankFiles(const std::filesystem::path& folder, std::int64_t rank, const RankBuild& build,
            ScalarType dtype)
      : prefix_((folder / fmt::format("rank{}.", rank)).string()), build_(build), dtype_(dtype) {}

  /// Rows of `part`, or of every part, of the tensors that `rows_of(part)` gives: [rows, cols].
  template <class RowsOf>
  void write(const std::string& name, std::optional<Part> part, std::int64_t cols,
             RowsOf rows_of) const {
    std::vector<float> values;
    for (const Segment& segment : build_.columns.segments()) {
      const auto here = static_cast<Part>(segment.space);
      if (part && *part != here) {
        continue;
      }
      const std::vector<float>& rows = rows_of(here);
      const auto from = rows.begin() + segment.from * cols;
      values.insert(values.end(), from, from + segment.rows * cols);
    }
    write_patterns(prefix_ + name + ".bin", dtype_, values);
  }

 private:
  std::string prefix_;
  const RankBuild& build_;
  ScalarType dtype_;
};

std::filesystem::path config_folder() {
  return std::filesystem::exists("configs/engines") ? "configs"
                                                    : std::string(TPLORA_SOURCE_DIR "/configs");
}

/// The logical tensors of a case, as a checkpoint holds them: weights and biases by part.
struct Tensors {
  std::vector<float> x;
  std::array<std::vector<float>, 3> weights;
  std::array<std::vector<float>, 3> biases;
  std::vector<Adapter> adapters;
};

Tensors make_tensors(const Case& one, const QkvGeometry& g) {
  const Generator generator(
      {.kind = one.data, .dtype = one.dtype, .seed = one.seed, .geometry = g});
  Tensors made;
  made.x = generator.x(static_cast<std::int64_t>(one.tokens.size()));
  for (const AdapterSpec& spec : adapters_after_steps(one)) {
    made.adapters.push_back(
        generator.adapter(spec, static_cast<std::int32_t>(made.adapters.size())));
  }
  for (const Part part : kParts) {
    const auto i = static_cast<std::size_t>(part);
    made.biases[i] = g.qkv_bias ? generator.bias(part) : std::vector<float>();
    made.weights[i].resize(static_cast<std::size_t>(g.rows(part) * g.hidden_size));
    generator.fill({Tensor::weight, part},
                   {.cols = g.hidden_size,
                    .first_row = 0,
                    .rows = g.rows(part),
                    .first_col = 0,
                    .block_cols = g.hidden_size},
                   made.weights[i].data(), g.hidden_size);
  }
  return made;
}

void compute(TpGroup& group, const Tensors& tensors, const QkvGeometry& g) {
  for (const Part part : kParts) {
    const auto i = static_cast<std::size_t>(part);
    Panel panel(g.rows(part), g.hidden_size);
    panel.pack(tensors.weights[i].data(), g.rows(part), g.hidden_size, g.hidden_size);
    group.accept_panel(part, 0, panel, tensors.biases[i]);
  }
  group.load_adapters(tensors.adapters);
  group.finish();
}

/// Writes what each adapter's A holds; returns the manifest's word on them.
nlohmann::json write_adapters(const std::filesystem::path& folder, ScalarType dtype,
                              const std::vector<Adapter>& adapters) {
  auto written = nlohmann::json::array();
  for (std::size_t a = 0; a < adapters.size(); ++a) {
    const AdapterSpec& spec = adapters[a].spec();
    std::string targets;
    for (const Part part : kParts) {
      if (spec.targets[static_cast<std::size_t>(part)]) {
        targets += part_name(part);
        write_patterns(folder / fmt::format("adapter{}.{}.lora_a.bin", a, part_name(part)), dtype,
                       adapters[a].a(part));
      }
    }
    written.push_back(
        {{"lora_rank", spec.lora_rank}, {"scaling", spec.scaling(Part::q)}, {"targets", targets}});
  }
  return written;
}

/// Writes a rank's rows of weights, biases and each adapter's B; returns its rows of each part.
nlohmann::json write_rank(const RankFiles& files, const RankBuild& build, const Tensors& tensors,
                          const QkvGeometry& g) {
  const auto of = [](const auto& by_part) {
    return [&](Part part) -> const std::vector<float>& {
      return by_part[static_cast<std::size_t>(part)];
    };
  };
  files.write("weight", std::nullopt, g.hidden_size, of(tensors.weights));
  if (g.qkv_bias) {
    files.write("bias", std::nullopt, 1, of(tensors.biases));
  }
  auto parts = nlohmann::json::array();
  for (const Part part : kParts) {
    std::int64_t rows = 0;
    for (const Segment& segment : build.columns.segments()) {
      rows += segment.space == space_of(part) ? segment.rows : 0;
    }
    parts.push_back({part_name(part), rows});
    for (std::size_t a = 0; a < tensors.adapters.size(); ++a) {
      const Adapter& adapter = tensors.adapters[a];
      if (adapter.spec().targets[static_cast<std::size_t>(part)]) {
        files.write(fmt::format("adapter{}.{}.lora_b", a, part_name(part)), part,
                    adapter.spec().lora_rank,
                    [&](Part p) -> const std::vector<float>& { return adapter.b(p); });
      }
    }
  }
  return parts;
}

int forward(int count, char** arguments) {
  if (count != 2) {
    stop("forward: expected \"CASE LINE\" FOLDER");
  }
  const PreparedCase item = value_or_stop(
      prepare(value_or_stop(parse_case(arguments[0])), ConfigFolders{config_folder()}));
  if (!item.geometry) {
    stop(fmt::format("the model has no qkv projection: {}", item.why_no_qkv));
  }
  const std::filesystem::path folder = arguments[1];
  std::filesystem::create_directories(folder);
  const Case& one = item.spec;
  const QkvGeometry& g = *item.geometry;
  const LayoutCase input = layout_case(one, g);
  Analyser analyser;
  const Analysis& analysis = analyser.run(*item.contract, input);
  if (!analysis.failures.empty()) {
    stop("the contract refuses this case or crashes: there is nothing to compute");
  }
  const Tensors tensors = make_tensors(one, g);
  const Batch batch{.x = tensors.x, .hidden_size = g.hidden_size, .adapter_of_token = one.tokens};
  TpGroup group(*item.contract, input.deployment, analysis,
                {.base = one.base_accumulator.value_or(one.accumulator),
                 .lora = one.accumulator,
                 .program = find_program(item.contract->program),
                 .dtype = one.dtype},
                batch);
  compute(group, tensors, g);
  write_patterns(folder / "x.bin", one.dtype, tensors.x);
  nlohmann::json manifest = {{"case", print_case(one)},
                             {"program", item.contract->program},
                             {"dtype", scalar_type_name(one.dtype)},
                             {"hidden_size", g.hidden_size},
                             {"adapter_of_token", one.tokens},
                             {"adapters", write_adapters(folder, one.dtype, tensors.adapters)},
                             {"ranks", nlohmann::json::array()}};
  for (std::size_t rank = 0; rank < analysis.ranks.size(); ++rank) {
    const auto tp_rank = static_cast<std::int64_t>(rank);
    const RankBuild& build = analysis.ranks[rank].build;
    const auto parts = write_rank(RankFiles(folder, tp_rank, build, one.dtype), build, tensors, g);
    write_patterns(folder / fmt::format("rank{}.expected.bin", rank), one.dtype,
                   group.output(tp_rank));
    manifest["ranks"].push_back({{"tp_rank", rank}, {"width", build.width}, {"parts", parts}});
  }
  std::ofstream(folder / "manifest.json") << manifest.dump(1) << '\n';
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
  if (command == "forward") {
    return forward(count - 2, arguments + 2);
  }
  stop("expected dot, find-split or forward");
}
