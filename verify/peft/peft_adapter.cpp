#include "verify/peft/peft_adapter.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

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
  if (const auto targets = config.find_not_null("target_modules");
      targets && targets->json().is_array()) {
    adapter.target_modules = errors.take(targets->strings());
  }
  if (const auto layers = config.find_not_null("layers_to_transform")) {
    adapter.layers_to_transform.emplace();
    if (layers->json().is_array()) {
      for (const JsonView& layer : errors.take(layers->elements())) {
        adapter.layers_to_transform->push_back(errors.take(layer.integer()));
      }
    } else {
      adapter.layers_to_transform->push_back(errors.take(layers->integer()));
    }
  }
  if (const auto excluded = config.find_not_null("exclude_modules");
      excluded && !excluded->json().empty()) {
    adapter.narrowed_by.emplace_back("exclude_modules");
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

bool is_targeted(const PeftAdapter& adapter, const PeftModule& module) {
  const auto& layers = adapter.layers_to_transform;
  if (layers && std::find(layers->begin(), layers->end(), module.layer) == layers->end()) {
    return false;
  }
  return !adapter.target_modules ||
         std::any_of(adapter.target_modules->begin(), adapter.target_modules->end(),
                     [&](const std::string& name) {
                       return module.path == name || module.path.ends_with("." + name);
                     });
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

}  // namespace tplora::core
