// Where in a JSON text a value stands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tplora::core {

/// Both from 1; the column counts characters, not bytes.
struct TextPosition {
  std::int64_t line = 1, column = 1;
  friend bool operator==(const TextPosition&, const TextPosition&) = default;
};

/// Of the value at a JSON pointer: its first character. Nothing where the text has none there, or
/// is no JSON up to it.
[[nodiscard]] std::optional<TextPosition> position_of(std::string_view text,
                                                      const std::string& pointer);

}  // namespace tplora::core
