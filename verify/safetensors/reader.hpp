// safetensors files, read strictly: what the header promises is what the file has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/safetensors/input_file.hpp"
#include "verify/safetensors/tensor_type.hpp"

namespace tplora::core {

/// Where a tensor lies: row-major, little-endian.
struct TensorEntry {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0;  ///< of its bytes in the file
  std::int64_t bytes = 0;
};

/// An open file with its header read. Of the data nothing is held.
class SafetensorsFile {
 public:
  /// Refused, each with a sentence: a file shorter than its header says, a header above 16 MiB or
  /// that is not strict JSON, a name given twice, an element type that is none, a negative size, a
  /// shape that does not fill its bytes, tensors that overlap, leave a gap, or end elsewhere than
  /// the file does.
  [[nodiscard]] static Result<SafetensorsFile> open(const std::filesystem::path& file);

  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }
  [[nodiscard]] const InputFile& file() const { return file_; }
  /// The open file alone, of which entries are read further.
  [[nodiscard]] InputFile take_file() && { return std::move(file_); }
  /// In the order of their bytes.
  [[nodiscard]] std::span<const TensorEntry> tensors() const { return tensors_; }
  /// nullptr: there is none of that name.
  [[nodiscard]] const TensorEntry* find(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// Fills `into` with the tensor's bytes from `first_byte` on. Precondition: the tensor is this
  /// file's and has them.
  [[nodiscard]] Result<void> read(const TensorEntry& tensor, std::int64_t first_byte,
                                  std::span<std::byte> into) const;

 private:
  explicit SafetensorsFile(InputFile file) : file_(std::move(file)) {}

  InputFile file_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace tplora::core
