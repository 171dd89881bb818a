// Which files were read, by digest: what a result depends on.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "sim/base/result.hpp"

namespace tplora::core {

/// While one stands, it knows every file that read_text_file gives back, on whatever thread. One at
/// a time.
class ReadLog {
 public:
  ReadLog();
  ReadLog(const ReadLog&) = delete;
  ReadLog& operator=(const ReadLog&) = delete;
  ~ReadLog();

  /// SHA-256 of each file, by the path under which it was read. Refused: one that was read twice
  /// and had changed in between.
  [[nodiscard]] Result<std::map<std::string, std::string>> files() const;
};

/// For those who read files.
void note_read(const std::filesystem::path& file, const std::string& text);

}  // namespace tplora::core
