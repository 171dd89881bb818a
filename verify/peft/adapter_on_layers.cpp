// What an adapter is to the layers of a model.
#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <set>

#include "sim/base/printable.hpp"
#include "sim/model/checkpoint_modules.hpp"
#include "verify/peft/peft_adapter.hpp"
#include "verify/safetensors/tensor_type.hpp"

namespace tplora::core {
namespace {

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

/// Which of q, k, v a module is; nothing: the fused one of all, or another.
std::optional<Part> part_of_module(const std::string& name, const CheckpointForm& form) {
  const auto names = modules_of(form).names;
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
  const auto names = modules_of(form).names;
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
    if (!is_targeted(adapter_, module)) {
      problem("target_modules and layers_to_transform leave it out, and PEFT does not load it");
      return;
    }
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
