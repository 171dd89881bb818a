// A folder that appears whole or not at all.
#pragma once

#include <filesystem>
#include <system_error>
#include <utility>

#include "sim/base/result.hpp"

namespace tplora::core {

/// Under a temporary name, removed unless it was given its own. Errors about the file system are of
/// output (Error::is_output).
class NewFolder {
 public:
  /// Refused: a folder, or anything else, that exists.
  [[nodiscard]] static Result<NewFolder> create(const std::filesystem::path& folder);
  NewFolder(NewFolder&& other) noexcept
      : folder_(std::move(other.folder_)), temporary_(std::exchange(other.temporary_, {})) {}
  NewFolder& operator=(NewFolder&&) = delete;
  ~NewFolder();

  /// Where to write until then.
  [[nodiscard]] const std::filesystem::path& path() const { return temporary_; }
  [[nodiscard]] Result<void> name_it();

 private:
  NewFolder(std::filesystem::path folder, std::filesystem::path temporary)
      : folder_(std::move(folder)), temporary_(std::move(temporary)) {}
  std::filesystem::path folder_, temporary_;
};

/// Makes a folder and those above it.
[[nodiscard]] Result<void> make_folders(const std::filesystem::path& folder);

}  // namespace tplora::core
