// Files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "sim/base/result.hpp"
#include "sim/base/sha256.hpp"

namespace tplora::core {

/// What was written.
struct WrittenFile {
  std::int64_t bytes = 0;
  std::string sha256;  ///< 64 hexadecimal digits
};

/// What a system call left behind in errno, as an Error of output.
[[nodiscard]] tl::unexpected<Error> output_error(const std::filesystem::path& file,
                                                 const char* what, int code);

/// A file under a temporary name beside its own until `finish` has brought it to the disk and given
/// it its name; whatever stood there before is replaced. One that is not finished is removed.
/// Every Error is one of output (Error::is_output).
class OutputFile {
 public:
  [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& file);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  [[nodiscard]] Result<void> write(std::span<const std::byte> bytes);
  [[nodiscard]] Result<WrittenFile> finish();

 private:
  OutputFile(std::filesystem::path file, std::filesystem::path temporary, int descriptor)
      : file_(std::move(file)), temporary_(std::move(temporary)), descriptor_(descriptor) {}
  [[nodiscard]] tl::unexpected<Error> failed(const char* what, int code) const;

  std::filesystem::path file_, temporary_;
  int descriptor_ = -1;
  std::int64_t bytes_ = 0;
  Sha256 digest_;
};

/// A whole text, in the same way.
[[nodiscard]] Result<WrittenFile> write_text_file(const std::filesystem::path& file,
                                                  const std::string& text);

}  // namespace tplora::core
