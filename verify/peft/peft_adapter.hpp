// A PEFT adapter's folder: what its config says, what its tensors are, and what of both concerns q,
// k and v of a layer.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/adapter/adapter.hpp"
#include "sim/base/result.hpp"
#include "sim/contract/contract.hpp"
#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// Shapes of one module's tensors; a pair that is not there is 0, 0.
struct PeftModule {
  std::string path;         ///< "model.layers.0.self_attn.q_proj"
  std::string name;         ///< "q_proj"
  std::int64_t layer = -1;  ///< first number in the path; -1: none
  std::array<std::int64_t, 2> a = {}, b = {};
  std::string a_tensor, b_tensor;  ///< their names in the file
};

/// A lora_alpha of so many 1/unit.
struct PeftAlpha {
  std::int64_t units = 0, unit = 1;
};

/// An option of adapter_config.json that makes an adapter more than rows of A and B times a factor,
/// of kPeftOptions.
struct PeftOption {
  std::string name;
  std::string say;                  ///< what it means, for a report
  std::vector<std::string> values;  ///< the names under modules_to_save
};

struct PeftAdapter {
  std::filesystem::path folder;
  std::int64_t lora_rank = 8;
  PeftAlpha lora_alpha{8, 1};
  bool rslora = false;
  bool fan_in_fan_out = false;
  std::map<std::string, std::int64_t> rank_pattern;
  std::map<std::string, PeftAlpha> alpha_pattern;
  /// What PEFT puts it on, where the config lists names: modules that end so. Nothing: it says
  /// otherwise, or not at all.
  std::optional<std::vector<std::string>> target_modules;
  /// The layers that it is put on; nothing: all.
  std::optional<std::vector<std::int64_t>> layers_to_transform;
  std::vector<std::string> narrowed_by;  ///< other keys in use that leave modules out
  std::vector<PeftModule> modules;       ///< by path
  std::vector<std::string> others;       ///< names of tensors that are no A or B of a module
  std::vector<PeftOption> options;       ///< those in use
};

/// The options in use that the contract's engine refuses.
[[nodiscard]] std::vector<PeftOption> refused_options(const PeftAdapter& adapter,
                                                      const PeftSection& engine);

/// Refused, each with a sentence: no adapter_config.json or adapter_model.safetensors, a peft_type
/// that is not LORA, use_dora and lora_bias (which are not a product of two matrices times a
/// factor), numbers that are none, tensors that are neither A nor B of a module.
[[nodiscard]] Result<PeftAdapter> read_peft_adapter(const std::filesystem::path& folder);

/// Whether PEFT loads the module's tensors, by target_modules, where it lists names, and
/// layers_to_transform.
[[nodiscard]] bool is_targeted(const PeftAdapter& adapter, const PeftModule& module);

/// What the adapter is to one layer kind.
struct AdapterOnLayers {
  /// As cases have it, of the first layer of the kind that it has tensors for; nothing: none.
  std::optional<AdapterSpec> spec;
  std::vector<std::int64_t> layers;   ///< of the kind that have tensors, ascending
  std::vector<std::string> problems;  ///< why PEFT would not load it into this model
  std::vector<std::string> remarks;   ///< what is worth knowing
};

/// One for each way in which layers of the kind are adapted, by their first layers; one without a
/// spec where none is. Precondition: the kind has a geometry.
[[nodiscard]] std::vector<AdapterOnLayers> adapter_on_layers(const PeftAdapter& adapter,
                                                             const LayerKind& kind);

/// A module that is q, k or v of a layer, or all three fused.
struct PeftModuleOfLayer {
  const PeftModule* module = nullptr;  ///< of the adapter
  std::optional<Part> part;            ///< nothing: fused
};

/// Of one layer of the kind, by path.
[[nodiscard]] std::vector<PeftModuleOfLayer> modules_of_layer(const PeftAdapter& adapter,
                                                              const CheckpointForm& form,
                                                              std::int64_t layer);

/// Problems of the adapter with the model as a whole: layers that the model does not have.
[[nodiscard]] std::vector<std::string> foreign_layers(const PeftAdapter& adapter,
                                                      const Model& model);

/// Names of modules that are no q, k or v of any of the kinds, and of other tensors.
[[nodiscard]] std::vector<std::string> other_modules(const PeftAdapter& adapter,
                                                     const Model& model);

}  // namespace tplora::core
