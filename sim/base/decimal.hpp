// The one reader of integers in text: options, case lines, inline geometries, accumulators.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tplora::core {

/// `text` as an integer in decimal. Nothing for anything else: a plus sign, a blank, another base,
/// a leading zero (which C and command lines read as base 8), a minus before 0, a value that
/// `Integer` cannot hold. Post-condition: what is read prints as `text`.
template <std::integral Integer = std::int64_t>
[[nodiscard]] std::optional<Integer> parse_decimal(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.starts_with('0') && text != "0") {
    return std::nullopt;
  }
  Integer value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                 : std::nullopt;
}

/// As parse_decimal; nothing outside [least, most] either.
[[nodiscard]] inline std::optional<std::int64_t> parse_decimal(std::string_view text,
                                                               std::int64_t least,
                                                               std::int64_t most) {
  const auto value = parse_decimal(text);
  return value && *value >= least && *value <= most ? value : std::nullopt;
}

}  // namespace tplora::core
