// 64-bit integer arithmetic in which overflow is an answer, never a wrap, and division says its
// intent.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "sim/base/ensure.hpp"

namespace tplora::core {

/// a + b, or nothing on overflow.
[[nodiscard]] inline std::optional<std::int64_t> checked_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional(sum);
}

/// a - b, or nothing on overflow.
[[nodiscard]] inline std::optional<std::int64_t> checked_sub(std::int64_t a, std::int64_t b) {
  std::int64_t difference = 0;
  return __builtin_sub_overflow(a, b, &difference) ? std::nullopt : std::optional(difference);
}

/// a * b, or nothing on overflow.
[[nodiscard]] inline std::optional<std::int64_t> checked_mul(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::nullopt : std::optional(product);
}

/// That a / b is a 64-bit integer's quotient.
constexpr void ensure_divides(std::int64_t a, std::int64_t b) {
  ensure_checked(
      [&] { return b != 0 && (b != -1 || a != std::numeric_limits<std::int64_t>::min()); },
      "a quotient is defined and fits 64 bits");
}

/// Largest integer not above a / b. Precondition: b != 0 and not (a = INT64_MIN, b = -1).
[[nodiscard]] constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  ensure_divides(a, b);
  const std::int64_t quotient = a / b;
  return (a % b != 0 && ((a < 0) != (b < 0))) ? quotient - 1 : quotient;
}

/// a - floor_div(a, b) * b: has the sign of b, as in Python. Same precondition as floor_div.
[[nodiscard]] constexpr std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
  ensure_divides(a, b);
  const std::int64_t remainder = a % b;
  return (remainder != 0 && ((remainder < 0) != (b < 0))) ? remainder + b : remainder;
}

/// Smallest integer not below a / b. Same precondition as floor_div.
[[nodiscard]] constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  ensure_divides(a, b);
  const std::int64_t quotient = a / b;
  return (a % b != 0 && ((a < 0) == (b < 0))) ? quotient + 1 : quotient;
}

}  // namespace tplora::core
