// Reading `labels` data back: which row a value is of.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Digits of a label, lowest first, each 0 to 255; nothing where none was seen.
using LabelDigits = std::array<std::optional<int>, 4>;

/// A row of the base weight or of an adapter's B.
struct LabelledRow {
  Part part = Part::q;
  std::int64_t row = 0;  ///< of the part's own projection
  int adapter = 0;       ///< number; 0 for the base weight
  friend bool operator==(const LabelledRow&, const LabelledRow&) = default;
};

/// Digit `place` of a row's label.
[[nodiscard]] int digit_of_row(const QkvGeometry& geometry, const LabelledRow& row, int place);

/// The row that carries the label of these digits. `expected` decides where digits are missing: it
/// is taken if it agrees with all that were seen. Nothing: no row carries it, or several do.
[[nodiscard]] std::optional<LabelledRow> row_of_label(const QkvGeometry& geometry,
                                                      const LabelDigits& digits,
                                                      const LabelledRow& expected, int adapters);

/// A shorter row of A does not tell its label in full.
inline constexpr std::int64_t kColumnsOfALabel = 12;

/// A row of an adapter's A.
struct LabelledARow {
  Part part = Part::q;
  std::int64_t row = 0;
  int adapter = 0;
  friend bool operator==(const LabelledARow&, const LabelledARow&) = default;
};

/// Nothing: not all digits were seen, or they are no row's.
[[nodiscard]] std::optional<LabelledARow> a_row_of_label(const LabelDigits& digits);

/// The digit that a stored value shows, before any factor: value - 1 where that is 0 to 255.
[[nodiscard]] std::optional<int> digit_of(float value);

/// Token i shows digit (i % 8) / 2, of the base where i is even, of the delta where it is odd.
[[nodiscard]] constexpr int digit_of_token(std::int64_t token) {
  return static_cast<int>(token % 8 / 2);
}
[[nodiscard]] constexpr bool shows_delta(std::int64_t token) {
  return token % 2 == 1;
}

}  // namespace tplora::core
