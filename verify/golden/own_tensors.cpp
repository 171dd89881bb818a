#include "verify/golden/own_tensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "sim/base/decimal.hpp"
#include "sim/base/ensure.hpp"
#include "sim/base/printable.hpp"
#include "verify/case/library.hpp"
#include "verify/golden/base_checkpoint.hpp"
#include "verify/golden/checkpoint.hpp"
#include "verify/golden/held_tensors.hpp"
#include "verify/golden/module_rows.hpp"
#include "verify/golden/tensor_values.hpp"
#include "verify/peft/peft_adapter.hpp"

namespace tplora::core {
namespace {

namespace fs = std::filesystem;

/// Rows in a checkpoint's order to the parts' own.
void put_rows(const std::vector<RowRun>& runs, std::int64_t cols, const std::vector<float>& values,
              ByPart& parts) {
  auto from = values.begin();
  for (const RowRun& run : runs) {
    std::vector<float>& to = parts[static_cast<std::size_t>(run.part)];
    const auto end = static_cast<std::size_t>((run.first + run.rows) * cols);
    to.resize(std::max(to.size(), end));
    std::copy_n(from, run.rows * cols, to.begin() + run.first * cols);
    from += run.rows * cols;
  }
}

std::vector<float> transposed(const std::vector<float>& values, std::int64_t rows,
                              std::int64_t cols) {
  std::vector<float> turned(values.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < cols; ++col) {
      turned[static_cast<std::size_t>(col * rows + row)] =
          values[static_cast<std::size_t>(row * cols + col)];
    }
  }
  return turned;
}

/// "layers.0." of "model.layers.0.".
std::string last_two(const std::string& layer) {
  const auto number = layer.rfind('.', layer.size() - 2);
  const auto before =
      number == std::string::npos || number == 0 ? number : layer.rfind('.', number - 1);
  return before == std::string::npos ? layer : layer.substr(before + 1);
}

/// Reads the tensors of one prepared case.
class Reader {
 public:
  Reader(const PreparedCase& item, const TensorFolders& folders)
      : item_(item),
        folders_(folders),
        g_(*item.geometry),
        layer_(item.layers.empty() ? 0 : item.layers.front()) {}

  Result<std::shared_ptr<const LogicalTensors>> read() {
    if (auto base = read_base(); !base) {
      return fail(base.error());
    }
    note_rounding("the base");
    std::vector<HeldTensors::AdapterTensors> adapters;
    for (const AdapterSpec& spec : item_.spec.adapters) {
      auto one = read_adapter(spec);
      if (!one) {
        return fail(one.error());
      }
      adapters.push_back(std::move(*one));
      note_rounding("adapter " + spec.name);
    }
    const Generator inputs({.kind = DataKind::file,
                            .dtype = item_.spec.dtype,
                            .seed = item_.spec.seed,
                            .geometry = g_});
    return std::make_shared<HeldTensors>(inputs, g_.hidden_size, std::move(weight_),
                                         std::move(bias_), std::move(adapters));
  }

  std::vector<std::string> take_notes() { return std::move(notes_); }

 private:
  void note_rounding(const std::string& whose) {
    if (count_.changed > 0) {
      const auto type = scalar_type_name(item_.spec.dtype);
      notes_.push_back(fmt::format(
          "{} of the {} values of {} are no {} and were rounded, as engines that run in {} do when "
          "they load it",
          count_.changed, count_.values, whose, type, type));
    }
    count_ = {};
  }

  Result<void> read_base() {
    auto base = BaseCheckpoint::open(folders_.base);
    if (!base) {
      return fail(base.error());
    }
    const ModuleNames names = module_names(item_, folders_.tensor_prefix);
    const auto parts = parts_of_modules(item_.checkpoint.fusion);
    ensure(parts.size() == names.modules.size(), "a checkpoint names each of its modules");
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto runs = rows_of_tensor(g_, item_.checkpoint, parts[i]);
      const std::string name = names.layer + names.modules[i];
      const std::string ending = last_two(names.layer) + names.modules[i];
      auto read = read_weight(*base, name + ".weight", ending + ".weight", runs).and_then([&] {
        return read_bias(*base, name + ".bias", ending + ".bias", runs);
      });
      if (!read) {
        return read;
      }
    }
    return {};
  }

  Result<void> read_weight(BaseCheckpoint& base, const std::string& name, const std::string& ending,
                           const std::vector<RowRun>& runs) {
    const std::int64_t rows = count_rows(runs);
    std::vector<std::int64_t> shape = {rows, g_.hidden_size};
    if (item_.checkpoint.transposed) {
      std::swap(shape[0], shape[1]);
    }
    auto values = base.find(name, ending).and_then([&](const StoredTensor& tensor) {
      return tensor_values(tensor, shape, item_.spec.dtype, count_);
    });
    if (!values) {
      return fail(values.error());
    }
    put_rows(runs, g_.hidden_size,
             item_.checkpoint.transposed ? transposed(*values, g_.hidden_size, rows) : *values,
             weight_);
    return {};
  }

  Result<void> read_bias(BaseCheckpoint& base, const std::string& name, const std::string& ending,
                         const std::vector<RowRun>& runs) {
    if (!g_.qkv_bias) {
      return base.has(name, ending)
                 ? fail(fmt::format("has a bias {}, and the model's config says there is none",
                                    ending),
                        folders_.base.string())
                 : Result<void>();
    }
    auto values = base.find(name, ending).and_then([&](const StoredTensor& tensor) {
      return tensor_values(tensor, {count_rows(runs)}, item_.spec.dtype, count_);
    });
    if (!values) {
      return fail(values.error());
    }
    put_rows(runs, 1, *values, bias_);
    return {};
  }

  Result<HeldTensors::AdapterTensors> read_adapter(const AdapterSpec& spec) {
    HeldTensors::AdapterTensors tensors;
    if (std::none_of(kParts.begin(), kParts.end(), [&](Part part) { return spec.has(part); })) {
      return tensors;  // of other modules only
    }
    const auto found = std::find_if(
        folders_.adapters.begin(), folders_.adapters.end(),
        [&](const TensorFolders::AdapterFolder& one) { return one.name == spec.name; });
    ensure(found != folders_.adapters.end(), "each adapter of the case has its folder");
    const auto adapter = read_peft_adapter(found->folder);
    if (!adapter) {
      return fail(adapter.error());
    }
    auto file = SafetensorsFile::open(found->folder / "adapter_model.safetensors");
    if (!file) {
      return fail(file.error());
    }
    const auto shared = std::make_shared<const SafetensorsFile>(*std::move(file));
    std::set<std::optional<Part>> parts;
    for (const PeftModuleOfLayer& one : modules_of_layer(*adapter, item_.checkpoint, layer_)) {
      if (!parts.insert(one.part).second || (one.part ? !spec.has(*one.part) : !spec.shared_a)) {
        return fail(fmt::format("layer {} has two modules for one of q, k and v, {} among them: "
                                "expected one",
                                layer_, excerpt(one.module->path)),
                    shared->path().string());
      }
      if (auto read = read_module(shared, spec, one, tensors); !read) {
        return fail(read.error());
      }
    }
    for (const Part part : kParts) {
      if (spec.has(part) && tensors.b[static_cast<std::size_t>(part)].empty()) {
        return fail(fmt::format("has no {} of layer {}", part_name(part), layer_),
                    shared->path().string());
      }
    }
    return tensors;
  }

  Result<void> read_module(const std::shared_ptr<const SafetensorsFile>& file,
                           const AdapterSpec& spec, const PeftModuleOfLayer& one,
                           HeldTensors::AdapterTensors& tensors) {
    const Part a_part = one.part.value_or(Part::q);
    const std::int64_t lora_rank = one.part ? spec.rank_of(*one.part) : spec.lora_rank;
    const auto runs = one.part ? rows_of_part_b(g_, item_.checkpoint, *one.part)
                               : rows_of_fused_b(g_, item_.checkpoint);
    const auto values_of = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
      const StoredTensor tensor{file, file->find(name)};
      return tensor.entry == nullptr
                 ? Result<std::vector<float>>(fail("lacks " + excerpt(name), file->path().string()))
                 : tensor_values(tensor, shape, item_.spec.dtype, count_);
    };
    auto a = values_of(one.module->a_tensor, {lora_rank, g_.hidden_size});
    if (!a) {
      return fail(a.error());
    }
    const auto b = values_of(one.module->b_tensor, {count_rows(runs), lora_rank});
    if (!b) {
      return fail(b.error());
    }
    tensors.a[static_cast<std::size_t>(a_part)] = std::move(*a);
    put_rows(runs, lora_rank, *b, tensors.b);
    return {};
  }

  const PreparedCase& item_;
  const TensorFolders& folders_;
  const QkvGeometry& g_;
  std::int64_t layer_;
  ByPart weight_, bias_;
  RoundingCount count_;  ///< of the folder that is read
  std::vector<std::string> notes_;
};

/// The case's layer alone, its data still to be read.
Result<PreparedCase> prepare_layer(Case one, const TensorFolders& folders,
                                   const ConfigFolders& configs) {
  one.data = DataKind::wide;
  auto item = prepare(std::move(one), configs);
  if (!item) {
    return item;
  }
  if (!item->geometry) {
    return fail("the layer has no qkv projection: " + item->why_no_qkv);
  }
  if (folders.layer) {
    if (!item->layers.empty() &&
        std::find(item->layers.begin(), item->layers.end(), *folders.layer) == item->layers.end()) {
      return fail(
          fmt::format("--layer-index {}: expected a layer of kind {}, {} to {} are the first "
                      "and the last",
                      *folders.layer, item->kind, item->layers.front(), item->layers.back()));
    }
    item->layers = {*folders.layer};
  }
  return item;
}

/// What the adapter is to the case's layer, or why it cannot be.
Result<AdapterSpec> spec_of(const PeftAdapter& adapter, const std::string& name,
                            const PreparedCase& item) {
  const auto refuse = [&](const std::string& sentence) {
    return fail(sentence, adapter.folder.string());
  };
  for (const PeftOption& option : adapter.options) {
    if (option.name != "modules_to_save") {
      return refuse(option.say + ": more than A, B and a factor, which is not computed here");
    }
  }
  const std::int64_t layer = item.layers.empty() ? 0 : item.layers.front();
  const auto modules = modules_of_layer(adapter, item.checkpoint, layer);
  if (!modules.empty() && !adapter.narrowed_by.empty()) {
    return refuse(
        fmt::format("{}: what PEFT would leave out by it is not told here, expected a "
                    "config without it, whose tensors say as much",
                    adapter.narrowed_by.front()));
  }
  const LayerKind kind{.kind = item.kind,
                       .indices = item.layers,
                       .geometry = item.geometry,
                       .why_no_qkv = {},
                       .checkpoint = item.checkpoint};
  for (const AdapterOnLayers& group : adapter_on_layers(adapter, kind)) {
    const bool here =
        std::find(group.layers.begin(), group.layers.end(), layer) != group.layers.end();
    if (here && !group.problems.empty()) {
      return refuse(group.problems.front());
    }
    if (here && group.spec) {
      AdapterSpec spec = *group.spec;
      spec.name = name;
      return spec;
    }
  }
  std::set<std::int64_t> adapted;
  for (const PeftModule& module : adapter.modules) {
    if (!modules_of_layer(adapter, item.checkpoint, module.layer).empty()) {
      adapted.insert(module.layer);
    }
  }
  return refuse(fmt::format(
      "adapts neither q, k nor v of layer {}{}", layer,
      adapted.empty() ? "" : fmt::format("; those of layers {}", fmt::join(adapted, ", "))));
}

}  // namespace

TensorFolders golden_tensors(const fs::path& golden, const std::string& layer, const Case& one) {
  TensorFolders folders{
      .base = golden / "checkpoint", .adapters = {}, .layer = {}, .tensor_prefix = {}};
  for (const AdapterSpec& adapter : one.adapters) {
    folders.adapters.push_back({adapter.name, golden / "adapters" / adapter.name});
  }
  const auto dot = layer.rfind('.', layer.empty() ? 0 : layer.size() - 2);
  if (dot != std::string::npos) {
    folders.tensor_prefix = layer.substr(0, dot + 1);
    if (const auto number =
            parse_decimal(layer.substr(dot + 1, layer.size() - dot - 2), 0, 1000000)) {
      folders.layer = *number;
    }
  }
  return folders;
}

Result<Case> parse_own_case(const std::string& line, const TensorFolders& folders,
                            const ConfigFolders& configs) {
  auto one = parse_case(line, [&](const Case& so_far) -> Result<std::vector<AdapterSpec>> {
    Case alone = so_far;
    alone.tokens = {-1};
    const auto item = prepare_layer(alone, folders, configs);
    if (!item) {
      return fail(item.error());
    }
    std::vector<AdapterSpec> specs;
    for (const TensorFolders::AdapterFolder& folder : folders.adapters) {
      const auto spec = read_peft_adapter(folder.folder).and_then([&](const PeftAdapter& adapter) {
        return spec_of(adapter, folder.name, *item);
      });
      if (!spec) {
        return fail(spec.error());
      }
      specs.push_back(*spec);
    }
    return specs;
  });
  if (one) {
    one->data = DataKind::file;
  }
  return one;
}

Result<OwnCase> prepare_own(Case one, const TensorFolders& folders, const ConfigFolders& configs) {
  auto item = prepare_layer(std::move(one), folders, configs);
  if (!item) {
    return fail(item.error());
  }
  Reader reader(*item, folders);
  auto tensors = reader.read();
  if (!tensors) {
    return fail(tensors.error());
  }
  item->tensors = *std::move(tensors);
  item->spec.data = DataKind::file;
  return OwnCase{*std::move(item), reader.take_notes()};
}

}  // namespace tplora::core
