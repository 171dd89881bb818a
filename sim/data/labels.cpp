#include "sim/data/labels.hpp"

namespace tplora::core {
namespace {

std::int64_t label_of(const QkvGeometry& g, const LabelledRow& row) {
  const std::int64_t fused = row.row + (row.part == Part::q ? 0 : g.rows(Part::q)) +
                             (row.part == Part::v ? g.rows(Part::k) : 0);
  return fused | (std::int64_t{row.adapter} << 24);
}

bool agrees(std::int64_t label, const LabelDigits& digits) {
  for (std::size_t place = 0; place < digits.size(); ++place) {
    if (digits[place] && *digits[place] != ((label >> (8 * place)) & 255)) {
      return false;
    }
  }
  return true;
}

std::optional<LabelledRow> row_of(const QkvGeometry& g, std::int64_t label) {
  LabelledRow found{
      .part = Part::q, .row = label & 0xffffff, .adapter = static_cast<int>(label >> 24)};
  for (const Part part : kParts) {
    if (found.row < g.rows(part)) {
      found.part = part;
      return found;
    }
    found.row -= g.rows(part);
  }
  return std::nullopt;
}

}  // namespace

int digit_of_row(const QkvGeometry& g, const LabelledRow& row, int place) {
  return static_cast<int>((label_of(g, row) >> (8 * place)) & 255);
}

std::optional<LabelledRow> row_of_label(const QkvGeometry& g, const LabelDigits& digits,
                                        const LabelledRow& expected, int adapters) {
  if (agrees(label_of(g, expected), digits)) {
    return expected;
  }
  // What no digit tells is tried: the adapters, and rows in steps of what the digits fix.
  std::optional<LabelledRow> found;
  for (int adapter = 0; adapter < adapters; ++adapter) {
    const std::int64_t total = g.total_rows();
    for (std::int64_t row = digits[0].value_or(0); row < total; row += digits[0] ? 256 : 1) {
      const std::int64_t label = row | (std::int64_t{adapter} << 24);
      if (!agrees(label, digits)) {
        continue;
      }
      if (found) {
        return std::nullopt;
      }
      found = row_of(g, label);
    }
  }
  return found;
}

std::optional<LabelledARow> a_row_of_label(const LabelDigits& digits) {
  if (!digits[0] || !digits[1] || !digits[2] || !digits[3] || *digits[2] > 2) {
    return std::nullopt;
  }
  return LabelledARow{.part = static_cast<Part>(*digits[2]),
                      .row = *digits[0] + 256 * std::int64_t{*digits[1]},
                      .adapter = *digits[3]};
}

std::optional<int> digit_of(float value) {
  const bool whole =
      value >= 1 && value <= 256 && value == static_cast<float>(static_cast<int>(value));
  return whole ? std::optional(static_cast<int>(value) - 1) : std::nullopt;
}

}  // namespace tplora::core
