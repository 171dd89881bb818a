// Cases whose base weights and adapters are somebody's own: read from a checkpoint and from PEFT
// adapters, by the model's names, in its order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// Where the tensors of a case are.
struct TensorFolders {
  std::filesystem::path base;
  struct AdapterFolder {
    std::string name;
    std::filesystem::path folder;
  };
  std::vector<AdapterFolder> adapters;
  std::optional<std::int64_t> layer;  ///< 0-based; nothing: the first of the layer kind
  std::string tensor_prefix;          ///< as module_names
};

/// Those that a golden folder of the case has itself; `layer` is what stands before its modules'
/// names: "model.layers.0.".
[[nodiscard]] TensorFolders golden_tensors(const std::filesystem::path& golden,
                                           const std::string& layer, const Case& one);

/// A case line without adapters, with those of the folders, numbered in their order, and data=file.
/// Refused: what parse_case, prepare and read_peft_adapter refuse; a layer that is none of the kind
/// or that an adapter does not adapt; an adapter that PEFT would not load into the model, or that
/// is more than A, B and a factor.
[[nodiscard]] Result<Case> parse_own_case(const std::string& line, const TensorFolders& folders,
                                          const ConfigFolders& configs);

/// A case with data=file, and what happened to its tensors, a sentence each.
struct OwnCase {
  PreparedCase item;
  std::vector<std::string> notes;
};

/// Reads one layer's q, k and v of the base and of each adapter of the case, by its name, into the
/// case's dtype, rounding as engines do when they load. Refused: what prepare refuses, tensors that
/// are missing, ambiguous, of another shape, of a type that is not F32, F16 or BF16, or not finite.
[[nodiscard]] Result<OwnCase> prepare_own(Case one, const TensorFolders& folders,
                                          const ConfigFolders& configs);

}  // namespace tplora::core
