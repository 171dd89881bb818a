// Where a value of a JSON document was written.
#pragma once

#include <compare>
#include <string>

namespace tplora::core {

/// A value of a file.
struct Place {
  std::string file;
  std::string pointer = {};  ///< JSON pointer; empty: the whole file

  /// "file#pointer", or the file alone.
  [[nodiscard]] std::string text() const { return pointer.empty() ? file : file + "#" + pointer; }
  friend auto operator<=>(const Place&, const Place&) = default;
};

}  // namespace tplora::core
