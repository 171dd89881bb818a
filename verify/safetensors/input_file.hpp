// Files that are read at places, and may change under the reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "sim/base/result.hpp"

namespace tplora::core {

/// A regular file, open for reading. It is read, not mapped: a mapped file that shrinks takes the
/// process with it, a read that finds too little is an Error.
class InputFile {
 public:
  /// Refused: what cannot be opened, and what is no regular file.
  [[nodiscard]] static Result<InputFile> open(const std::filesystem::path& file);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// When it was opened, in bytes.
  [[nodiscard]] std::int64_t size() const { return size_; }
  /// Fills `into` with the bytes from `begin` on. Refused: a file that has become too short.
  [[nodiscard]] Result<void> read(std::int64_t begin, std::span<std::byte> into) const;

 private:
  InputFile(std::filesystem::path path, int descriptor, std::int64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
};

/// SHA-256 of all its bytes, 64 hexadecimal digits.
[[nodiscard]] Result<std::string> sha256_of_file(const InputFile& file);

}  // namespace tplora::core
