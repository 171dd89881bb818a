// A checkpoint's folder: which file holds which tensor.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/safetensors/reader.hpp"

namespace tplora::core {

/// A tensor in its open file.
struct StoredTensor {
  std::shared_ptr<const SafetensorsFile> file;
  const TensorEntry* entry = nullptr;  ///< of the file
  /// "model.safetensors: model.norm.weight", for sentences.
  [[nodiscard]] std::string place() const;
};

/// Reads only what is asked for: files are opened when one of their tensors is.
class BaseCheckpoint {
 public:
  /// Takes model.safetensors.index.json where there is one, else model.safetensors. Refused: a
  /// folder without either, an index that is none, a file of it outside the folder.
  [[nodiscard]] static Result<BaseCheckpoint> open(const std::filesystem::path& folder);

  /// The one tensor that is called so, or whose name ends with "." and `ending`. Refused: none,
  /// several, one that its file lacks.
  [[nodiscard]] Result<StoredTensor> find(const std::string& name, const std::string& ending);
  /// Whether there is one.
  [[nodiscard]] bool has(const std::string& name, const std::string& ending) const;

 private:
  [[nodiscard]] std::vector<std::string> names_like(const std::string& name,
                                                    const std::string& ending) const;
  Result<std::shared_ptr<const SafetensorsFile>> open_file(const std::string& name);

  std::filesystem::path folder_;
  std::filesystem::path listed_in_;             ///< the index, or the only file
  std::map<std::string, std::string> file_of_;  ///< by tensor
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> files_;
};

}  // namespace tplora::core
