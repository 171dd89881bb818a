// A layer's weights and a case's adapters in the forms in which others read them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "sim/adapter/adapter.hpp"
#include "sim/base/result.hpp"
#include "sim/data/logical_tensors.hpp"
#include "verify/case/prepared_case.hpp"
#include "verify/safetensors/writer.hpp"

namespace tplora::core {

/// What the modules of the case's layer are called.
struct ModuleNames {
  std::string layer;                 ///< "model.layers.0."
  std::vector<std::string> modules;  ///< behind it: "self_attn.q_proj" .., or one fused name
};

/// By the checkpoint form of the layer kind and the family's prefix, or `prefix` in its place where
/// that is not empty ("model.language_model.layers.").
[[nodiscard]] ModuleNames module_names(const PreparedCase& item, const std::string& prefix);

/// The base weight (and bias) as the model's published checkpoint holds it: its names, its fused
/// order, transposed where it is.
[[nodiscard]] std::vector<TensorToWrite> checkpoint_tensors(const PreparedCase& item,
                                                            const LogicalTensors& logical,
                                                            const ModuleNames& names);

/// config.json of the checkpoint: the model's own file; of a geometry written out the one of a
/// Llama of these numbers, which no class reads where there is a gate or a v_head_dim of its own.
[[nodiscard]] Result<std::string> checkpoint_config(const PreparedCase& item,
                                                    const std::filesystem::path& models);

/// adapter_config.json and adapter_model.safetensors as PEFT writes them. An adapter of fused rows
/// is one of the checkpoint's fused module, in its order, or of `qkv_proj` where it fuses nothing.
struct AdapterFiles {
  std::string config;
  std::vector<TensorToWrite> tensors;
};
[[nodiscard]] AdapterFiles adapter_files(const PreparedCase& item, const Adapter& adapter,
                                         const ModuleNames& names);

}  // namespace tplora::core
