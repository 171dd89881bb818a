// Golden folders: everything a kernel or an engine needs, and what must come out of it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// The pieces of a golden folder (docs/formats/golden.md).
struct GoldenPieces {
  bool checkpoint = true;  ///< checkpoint/: config.json, model.safetensors
  bool adapters = true;    ///< adapters/NAME/: adapter_config.json, adapter_model.safetensors
  bool inputs = true;      ///< inputs.safetensors
  bool ranks = true;       ///< rankN.safetensors
};

struct GoldenOptions {
  std::filesystem::path folder;
  GoldenPieces pieces;
  std::vector<std::int64_t> ranks;  ///< tp_ranks, ascending; empty: all
  bool as_engine = false;           ///< as_engine/rankN.safetensors: what the contract would give
  std::string tensor_prefix;        ///< as module_names
  int threads = 0;
  std::string version;             ///< of the program, for the manifest
  std::vector<std::string> notes;  ///< what the reader should know of the case's tensors
  std::function<void(const std::string&)> progress;
};

/// A file of a golden folder.
struct GoldenFile {
  std::string name;  ///< relative to the folder
  std::int64_t bytes = 0;
  std::string sha256;
};

/// What was written.
struct GoldenSummary {
  std::vector<GoldenFile> files;  ///< in the order written, the manifest last
  std::string identity;           ///< SHA-256 over the other files' names and sums
  Verdict engine_verdict = Verdict::consistent;
  bool pool = false;               ///< rank files hold the engine's own buffers
  std::vector<std::string> notes;  ///< what the reader should know, a sentence each
};

/// Writes the folder of one case, whole or not at all: it gets its name when all of it is there.
///
/// Expected values come from the unsharded reference and the model, cut by what each rank must own
/// (owned_heads). Of the case's contract count the rounding program and, where it keeps every law,
/// the layout of its buffers. Refused: a folder that exists, a rank that does not, work that no
/// machine would finish, a tp_size that does not divide the query heads, adapters of another model.
[[nodiscard]] Result<GoldenSummary> write_golden(const PreparedCase& item,
                                                 const ConfigFolders& configs,
                                                 const GoldenOptions& options);

}  // namespace tplora::core
