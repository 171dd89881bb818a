#include "verify/peft/peft_adapter.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <regex>
#include <set>

#include "sim/base/decimal.hpp"
#include "sim/base/fields.hpp"
#include "sim/base/json.hpp"
#include "sim/base/printable.hpp"
#include "verify/safetensors/reader.hpp"

namespace tplora::core {
namespace {

constexpr std::int64_t kAlphaUnit = 1000000;  // six decimals, as in case lines

/// A number above 0 as a whole number of 1 or of millionths.
Result<PeftAlpha> read_alpha(const JsonView& view) {
  const Json& json = view.json();
  if (json.is_number_integer() && json.get<std::int64_t>() >= 1 &&
      json.get<std::int64_t>() <= (std::int64_t{1} << 30)) {
    return PeftAlpha{json.get<std::int64_t>(), 1};
  }
  const double value = json.is_number() ? json.get<double>() : 0;
  const double units = std::nearbyint(value * static_cast<double>(kAlphaUnit));
  if (value <= 0 || value > 1e9 ||
      std::fabs(units - value * static_cast<double>(kAlphaUnit)) > 1e-3) {
    return view.expected("a number above 0 of at most six decimals");
  }
  const auto whole = static_cast<std::int64_t>(units);
  return whole % kAlphaUnit == 0 ? PeftAlpha{whole / kAlphaUnit, 1} : PeftAlpha{whole, kAlphaUnit};
}

bool flag(const JsonView& config, const char* key, FirstError& errors) {
  const auto found = config.find_not_null(key);
  return found && errors.take(found->boolean());
}

/// Words of init_lora_weights that set first values only; with all others the base weights that the
/// adapter was trained beside are not the checkpoint's (peft 0.21, LoraConfig).
constexpr std::array<std::string_view, 5> kPlainInits = {"gaussian", "eva", "orthogonal", "mica",
                                                         "lora_ga"};

std::vector<PeftOption> read_options(const JsonView& config, FirstError& errors) {
  std::vector<PeftOption> options;
  if (const auto bias = config.find_not_null("bias")) {
    const std::string word = errors.take(bias->string());
    if (errors.none() && word != "none") {
      options.push_back(
          {"bias", fmt::format("bias {}: biases of the base were trained too", excerpt(word)), {}});
    }
  }
  if (const auto init = config.find_not_null("init_lora_weights");
      init && init->json().is_string()) {
    std::string word = errors.take(init->string());
    std::transform(word.begin(), word.end(), word.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (std::find(kPlainInits.begin(), kPlainInits.end(), word) == kPlainInits.end()) {
      options.push_back({"init_lora_weights",
                         fmt::format("init_lora_weights {}: unless it was converted, the base "
                                     "weights were changed with it",
                                     excerpt(word)),
                         {}});
    }
  }
  if (const auto saved = config.find_not_null("modules_to_save")) {
    auto names = errors.take(saved->strings());
    if (!names.empty()) {
      const std::string say = fmt::format("modules_to_save {}: whole modules were trained too",
                                          excerpt(fmt::format("{}", fmt::join(names, ", "))));
      options.push_back({"modules_to_save", say, std::move(names)});
    }
  }
  return options;
}

Result<PeftAdapter> read_peft_config(const std::filesystem::path& folder) {
  const auto json = read_python_json_file(folder / "adapter_config.json");
  if (!json) {
    return fail(json.error());
  }
  const JsonView config(*json, (folder / "adapter_config.json").string());
  FirstError errors;
  PeftAdapter adapter;
  adapter.folder = folder;
  const auto type = config.at("peft_type");
  if (const std::string word =
          errors.take(type.and_then([](const JsonView& v) { return v.string(); }));
      errors.none() && word != "LORA") {
    errors.refuse(type->expected("\"LORA\""));
  }
  for (const char* key : {"layer_replication", "alora_invocation_tokens"}) {
    if (config.find_not_null(key)) {
      errors.refuse(
          config.error(fmt::format("{}: such an adapter is not one factor of two matrices in each "
                                   "layer for each token; this "
                                   "program cannot say what it is to an engine",
                                   key)));
    }
  }
  for (const char* key : {"use_dora", "lora_bias", "use_qalora", "use_bdlora"}) {
    if (flag(config, key, errors)) {
      errors.refuse(
          config.error(fmt::format("{}: such an adapter is not q, k and v times a factor; this "
                                   "program cannot say what it is "
                                   "to an engine",
                                   key)));
    }
  }
  if (const auto r = config.find_not_null("r")) {
    adapter.lora_rank = errors.take(r->positive_integer());
  }
  if (const auto alpha = config.find_not_null("lora_alpha")) {
    adapter.lora_alpha = errors.take(read_alpha(*alpha));
  }
  adapter.rslora = flag(config, "use_rslora", errors);
  adapter.fan_in_fan_out = flag(config, "fan_in_fan_out", errors);
  if (const auto pattern = config.find_not_null("rank_pattern")) {
    for (const auto& [key, value] : errors.take(pattern->members())) {
      adapter.rank_pattern[key] = errors.take(value.positive_integer());
    }
  }
  if (const auto pattern = config.find_not_null("alpha_pattern")) {
    for (const auto& [key, value] : errors.take(pattern->members())) {
      adapter.alpha_pattern[key] = errors.take(read_alpha(value));
    }
  }
  adapter.options = read_options(config, errors);
  return errors.result(std::move(adapter));
}

/// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" -> the module's path, and
/// whether it is A.
std::optional<std::pair<std::string, bool>> split_tensor_name(std::string name) {
  constexpr std::string_view kBefore = "base_model.model.";
  if (name.starts_with(kBefore)) {
    name = name.substr(kBefore.size());
  }
  for (const bool is_a : {true, false}) {
    const std::string_view ending = is_a ? ".lora_A.weight" : ".lora_B.weight";
    if (name.ends_with(ending)) {
      return std::pair(name.substr(0, name.size() - ending.size()), is_a);
    }
  }
  return std::nullopt;
}

std::int64_t layer_of(const std::string& path) {
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('.', at), path.size());
    if (const auto number = parse_decimal(path.substr(at, end - at), 0, 1000000)) {
      return *number;
    }
    at = end + 1;
  }
  return -1;
}

/// As PEFT looks up a pattern: the key, a regular expression, is the end of the path.
template <class Value>
std::optional<Value> of_pattern(const std::map<std::string, Value>& pattern,
                                const std::string& path) {
  for (const auto& [key, value] : pattern) {
    try {
      if (std::regex_match(path, std::regex("(.*\\.)?(" + key + ")"))) {
        return value;
      }
    } catch (const std::regex_error&) {
      continue;
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<PeftOption> refused_options(const PeftAdapter& adapter, const PeftSection& engine) {
  const auto lists = [](const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  std::vector<PeftOption> refused;
  std::copy_if(adapter.options.begin(), adapter.options.end(), std::back_inserter(refused),
               [&](const PeftOption& option) {
                 const bool taken = !option.values.empty() &&
                                    std::all_of(option.values.begin(), option.values.end(),
                                                [&](const std::string& value) {
                                                  return lists(engine.saved_modules, value);
                                                });
                 return lists(engine.refuses, option.name) && !taken;
               });
  return refused;
}

Result<PeftAdapter> read_peft_adapter(const std::filesystem::path& folder) {
  auto adapter = read_peft_config(folder);
  if (!adapter) {
    return adapter;
  }
  const auto file = SafetensorsFile::open(folder / "adapter_model.safetensors");
  if (!file) {
    return fail(file.error());
  }
  std::map<std::string, PeftModule> modules;
  for (const TensorEntry& tensor : file->tensors()) {
    const auto name = split_tensor_name(tensor.name);
    if (!name || tensor.shape.size() != 2) {
      adapter->others.push_back(tensor.name);
      continue;
    }
    PeftModule& module = modules[name->first];
    module.path = name->first;
    module.name = module.path.substr(module.path.rfind('.') + 1);
    module.layer = layer_of(module.path);
    (name->second ? module.a : module.b) = {tensor.shape[0], tensor.shape[1]};
    (name->second ? module.a_tensor : module.b_tensor) = tensor.name;
  }
  for (auto& [path, module] : modules) {
    adapter->modules.push_back(std::move(module));
  }
  return adapter;
}

namespace {

/// The last names of a kind's modules: {"q_proj", "k_proj", "v_proj"} or one.
std::vector<std::string> names_of(const CheckpointForm& form) {
  std::string_view tensors = form.tensors.substr(0, form.tensors.find(" or "));
  const auto comma = tensors.find(',');
  tensors = tensors.substr(tensors.substr(0, comma).rfind('.') + 1);
  std::vector<std::string> names;
  while (!tensors.empty()) {
    const auto end = std::min(tensors.find(','), tensors.size());
    names.emplace_back(tensors.substr(0, end));
    tensors.remove_prefix(std::min(end + 1, tensors.size()));
  }
  return names;
}

/// Which of q, k, v a module is; nothing: the fused one of all, or another.
std::optional<Part> part_of_module(const std::string& name, const CheckpointForm& form) {
  const auto names = names_of(form);
  for (const Part part : kParts) {
    const auto i = static_cast<std::size_t>(part);
    if ((form.fusion == Fusion::separate && i < names.size() && names[i] == name) ||
        name == std::string(part_name(part)) + "_proj") {
      return part;
    }
  }
  return std::nullopt;
}

bool is_fused_module(const std::string& name, const CheckpointForm& form) {
  const auto names = names_of(form);
  return name == "qkv_proj" || (form.fusion == Fusion::qkv && !names.empty() && names[0] == name);
}

/// Fills a spec from the modules of one layer.
class SpecOfLayer {
 public:
  SpecOfLayer(const PeftAdapter& adapter, const LayerKind& kind)
      : adapter_(adapter), kind_(kind), g_(*kind.geometry) {
    spec_.name = "a";
    spec_.lora_rank = adapter.lora_rank;
    spec_.rslora = adapter.rslora;
    spec_.targets = {};
    spec_.alpha_unit = 1;
    for (const auto& [key, alpha] : adapter.alpha_pattern) {
      spec_.alpha_unit = std::max(spec_.alpha_unit, alpha.unit);
    }
    spec_.alpha_unit = std::max(spec_.alpha_unit, adapter.lora_alpha.unit);
    spec_.lora_alpha = in_units(adapter.lora_alpha);
  }

  void add(const PeftModule& module) {
    const auto part = part_of_module(module.name, kind_.checkpoint);
    const bool fused = !part && is_fused_module(module.name, kind_.checkpoint);
    if (!part && !fused) {
      return;
    }
    const auto problem = [&](const std::string& what) {
      problems_.push_back(fmt::format("{}: {}", excerpt(module.path), what));
    };
    if (module.a[0] == 0 || module.b[0] == 0 || module.b[1] == 0) {
      problem(fmt::format("A is {}, B is {}: one is missing or empty", shape_text(module.a),
                          shape_text(module.b)));
      return;
    }
    if (module.a[0] != module.b[1]) {
      problem(fmt::format("A is {}, B is {}: their lora_ranks differ", shape_text(module.a),
                          shape_text(module.b)));
      return;
    }
    const std::int64_t rank =
        of_pattern(adapter_.rank_pattern, module.path).value_or(adapter_.lora_rank);
    if (module.a[0] != rank) {
      problem(fmt::format("A has {} rows, and the config says lora_rank {}", module.a[0], rank));
    }
    if (module.a[1] != g_.hidden_size) {
      problem(fmt::format("A is for an input of {}, and the layer's has hidden_size {}",
                          module.a[1], g_.hidden_size));
    }
    if (fused) {
      add_fused(module, problem);
    } else {
      add_part(module, *part, rank);
    }
  }

  [[nodiscard]] const AdapterSpec& spec() const { return spec_; }
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  [[nodiscard]] bool anything() const {
    return std::find(spec_.targets.begin(), spec_.targets.end(), true) != spec_.targets.end();
  }

 private:
  [[nodiscard]] std::int64_t in_units(const PeftAlpha& alpha) const {
    return alpha.units * (spec_.alpha_unit / alpha.unit);
  }
  void add_part(const PeftModule& module, Part part, std::int64_t rank) {
    const auto i = static_cast<std::size_t>(part);
    spec_.targets[i] = true;
    spec_.part_ranks[i] = rank == spec_.lora_rank ? 0 : rank;
    if (const auto alpha = of_pattern(adapter_.alpha_pattern, module.path)) {
      spec_.part_alphas[i] = in_units(*alpha);
    }
    if (module.b[0] != g_.rows(part)) {
      spec_.part_rows[i] = module.b[0];
      problems_.push_back(fmt::format("{}: B has {} rows, and the layer's {} has {}",
                                      excerpt(module.path), module.b[0], part_name(part),
                                      g_.rows(part)));
    }
  }
  template <class Problem>
  void add_fused(const PeftModule& module, const Problem& problem) {
    spec_.shared_a = true;
    spec_.targets = {true, true, true};
    spec_.lora_rank = module.a[0];
    if (const auto alpha = of_pattern(adapter_.alpha_pattern, module.path)) {
      spec_.lora_alpha = in_units(*alpha);
    }
    if (module.b[0] != g_.total_rows()) {
      problem(fmt::format("B has {} rows, and the layer's q, k and v have {}", module.b[0],
                          g_.total_rows()));
    }
  }

  const PeftAdapter& adapter_;
  const LayerKind& kind_;
  const QkvGeometry& g_;
  AdapterSpec spec_;
  std::vector<std::string> problems_;
};

/// The layer numbers that modules of q, k or v of the kind have, -1 where paths have none.
std::set<std::int64_t> layers_of(const PeftAdapter& adapter, const LayerKind& kind) {
  std::set<std::int64_t> layers;
  for (const PeftModule& module : adapter.modules) {
    const bool of_kind = kind.indices.empty() ||
                         std::binary_search(kind.indices.begin(), kind.indices.end(), module.layer);
    if (of_kind && (part_of_module(module.name, kind.checkpoint) ||
                    is_fused_module(module.name, kind.checkpoint))) {
      layers.insert(module.layer);
    }
  }
  return layers;
}

}  // namespace

std::vector<AdapterOnLayers> adapter_on_layers(const PeftAdapter& adapter, const LayerKind& kind) {
  std::vector<AdapterOnLayers> groups;
  std::size_t adapted = 0;
  for (const std::int64_t layer : layers_of(adapter, kind)) {
    SpecOfLayer one(adapter, kind);
    for (const PeftModule& module : adapter.modules) {
      if (module.layer == layer) {
        one.add(module);
      }
    }
    std::optional<AdapterSpec> spec;
    if (one.anything()) {
      spec = one.spec();
      ++adapted;
    }
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const AdapterOnLayers& other) { return other.spec == spec; });
    if (group == groups.end()) {
      group = groups.insert(groups.end(), AdapterOnLayers{spec, {}, {}, {}});
    }
    group->layers.push_back(layer);
    group->problems.insert(group->problems.end(), one.problems().begin(), one.problems().end());
  }
  if (groups.empty()) {
    groups.push_back({});
    return groups;
  }
  auto& remarks = groups.front().remarks;
  if (adapter.rslora) {
    remarks.emplace_back("use_rslora: the factor is lora_alpha / sqrt(lora_rank)");
  }
  if (adapter.fan_in_fan_out != kind.checkpoint.transposed) {
    remarks.push_back(fmt::format("fan_in_fan_out is {}, and the checkpoint stores weights [{}]",
                                  adapter.fan_in_fan_out,
                                  kind.checkpoint.transposed ? "in, out" : "out, in"));
  }
  if (!kind.indices.empty() && adapted < kind.indices.size()) {
    remarks.push_back(
        fmt::format("{} of the {} layers of this kind are adapted", adapted, kind.indices.size()));
  }
  return groups;
}

std::vector<PeftModuleOfLayer> modules_of_layer(const PeftAdapter& adapter,
                                                const CheckpointForm& form, std::int64_t layer) {
  std::vector<PeftModuleOfLayer> modules;
  for (const PeftModule& module : adapter.modules) {
    const auto part = part_of_module(module.name, form);
    if (module.layer == layer && (part || is_fused_module(module.name, form))) {
      modules.push_back({&module, part});
    }
  }
  return modules;
}

std::vector<std::string> foreign_layers(const PeftAdapter& adapter, const Model& model) {
  std::set<std::int64_t> known;
  for (const LayerKind& kind : model.layer_kinds) {
    if (kind.indices.empty()) {
      return {};  // the config does not tell how many there are
    }
    known.insert(kind.indices.begin(), kind.indices.end());
  }
  std::set<std::int64_t> foreign;
  for (const PeftModule& module : adapter.modules) {
    if (module.layer >= 0 && !known.contains(module.layer)) {
      foreign.insert(module.layer);
    }
  }
  std::vector<std::string> problems;
  for (const std::int64_t layer : foreign) {
    problems.push_back(fmt::format("it adapts layer {}, which the model does not have", layer));
  }
  return problems;
}

std::vector<std::string> other_modules(const PeftAdapter& adapter, const Model& model) {
  std::set<std::string> names;
  for (const PeftModule& module : adapter.modules) {
    const bool known =
        std::any_of(model.layer_kinds.begin(), model.layer_kinds.end(), [&](const LayerKind& kind) {
          return kind.geometry && (part_of_module(module.name, kind.checkpoint) ||
                                   is_fused_module(module.name, kind.checkpoint));
        });
    if (!known) {
      names.insert(module.name);
    }
  }
  for (const std::string& other : adapter.others) {
    names.insert(excerpt(other));
  }
  return {names.begin(), names.end()};
}

}  // namespace tplora::core
