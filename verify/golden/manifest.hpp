// manifest.json of a golden folder: written here, read by `check`.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/golden/checkpoint.hpp"
#include "verify/golden/golden.hpp"
#include "verify/golden/owned_heads.hpp"
#include "verify/safetensors/tensor_type.hpp"

namespace tplora::core {

/// A tensor of a rank's file.
struct GoldenTensor {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<std::int64_t> shape;
};

struct ManifestRank {
  OwnedHeads heads;
  std::vector<GoldenTensor> tensors;
};

/// What the manifest is made of.
struct Manifest {
  std::string version;
  const PreparedCase& item;
  const GoldenSummary& summary;
  const std::vector<ManifestRank>& ranks;
  std::vector<AdapterSpec> adapters;  ///< as the steps leave them
  ModuleNames modules;
  std::vector<int> resident;  ///< by slot: number of its adapter, -1 for none
  std::vector<std::string> vacuous;
};
[[nodiscard]] std::string manifest_text(const Manifest& manifest);

/// What tells a golden from any other: SHA-256 of its case line and of its files' sums and names.
[[nodiscard]] std::string identity_of(const std::string& case_line,
                                      const std::map<std::string, std::string>& sums);

/// A manifest as `check` reads it.
struct ReadManifest {
  std::string case_line;
  std::string identity;
  std::vector<std::int64_t> ranks;            ///< tp_ranks that the folder has
  std::map<std::string, std::string> sha256;  ///< by file
  std::vector<std::string> vacuous;
  std::string layer;  ///< what stands before the modules' names: "model.layers.0."
};

/// Refused: a folder without one, another format or version, fields that are missing, an identity
/// that is not that of its case and files.
[[nodiscard]] Result<ReadManifest> read_manifest(const std::filesystem::path& folder);

}  // namespace tplora::core
