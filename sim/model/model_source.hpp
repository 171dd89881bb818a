// What a model argument names: a collected config, a file, or a geometry written out.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Reads the model that `argument` names (docs/formats/model.md). Accepted, in this order:
///
/// - a path ending in ".json";
/// - a name "org/name" of the collection: the file `models`/org/name.json;
/// - any other path that exists (a directory is refused with a sentence);
/// - an inline geometry "H=16,KV=2,D=256,hidden=2048[,Dv=..][,gate=2][,bias=1][,per_group=1]": one
/// layer.
///
/// Post-condition: model.name == argument; every geometry is valid. Refused: what read_json_file
/// and read_config refuse; an unknown name, with near names; a name that would leave `models`.
[[nodiscard]] Result<Model> load_model(const std::string& argument,
                                       const std::filesystem::path& models);

/// The file from which load_model reads `argument`; nothing where it is an inline geometry or is
/// refused.
[[nodiscard]] std::optional<std::filesystem::path> model_file(const std::string& argument,
                                                              const std::filesystem::path& models);

/// Names "org/name" of the collection in `models`, sorted. index.json is not a model, and what it
/// pins as refused is not listed: every listed model loads. Refused, so that nothing is left out in
/// silence: a folder that is not there, cannot be read or holds none, a link that leads nowhere.
[[nodiscard]] Result<std::vector<std::string>> list_models(const std::filesystem::path& models);

}  // namespace tplora::core
