#include "verify/check/label_runs.hpp"

#include <cmath>

#include "sim/numerics/program.hpp"

namespace tplora::core {
namespace {

/// Whether `next` stands one row behind `first + rows - 1`.
bool continues(const Holder& first, std::int64_t rows, const Holder& next) {
  if (first.index() != next.index()) {
    return false;
  }
  if (const auto* row = std::get_if<FoundRow>(&first)) {
    FoundRow due = *row;
    due.row.row += rows;
    return due == std::get<FoundRow>(next);
  }
  if (const auto* row = std::get_if<FoundARow>(&first)) {
    FoundARow due = *row;
    due.row.row += rows;
    return due == std::get<FoundARow>(next);
  }
  return true;
}

}  // namespace

void LabelRuns::add(std::int64_t column, const Holder& found, bool nothing_due) {
  const LabelledRow due = context_.due(column);
  if (!runs_.empty()) {
    PlaceFinding& last = runs_.back();
    if (last.part == due.part && last.last_column + 1 == column - first_column_ &&
        last.last_row + 1 == due.row &&
        continues(last.found, last.last_row + 1 - last.first_row, found)) {
      last.last_row = due.row;
      last.last_column = column - first_column_;
      last.last_head = due.row / context_.item.geometry->rows_per_head(due.part);
      return;
    }
  }
  const std::int64_t head = due.row / context_.item.geometry->rows_per_head(due.part);
  runs_.push_back({.tensor = tensor_,
                   .tp_rank = context_.own.tp_rank,
                   .law = law(found),
                   .part = due.part,
                   .first_head = head,
                   .last_head = head,
                   .first_row = due.row,
                   .last_row = due.row,
                   .first_column = column - first_column_,
                   .last_column = column - first_column_,
                   .adapter = adapter_,
                   .slot = slot_,
                   .found = found,
                   .nothing_due = nothing_due});
}

CheckLaw LabelRuns::law(const Holder& found) const {
  const auto* row = std::get_if<FoundRow>(&found);
  const bool others = row != nullptr && adapter_ && row->row.adapter != *adapter_;
  return others                                    ? CheckLaw::residue
         : std::holds_alternative<FoundEnd>(found) ? CheckLaw::fit
                                                   : CheckLaw::identity;
}

std::optional<int> digit_behind(float value, const std::array<float, 256>& stored, int expected) {
  if (same_bits(stored[static_cast<std::size_t>(expected)], value)) {
    return expected;
  }
  std::optional<int> found;
  for (std::size_t digit = 0; digit < stored.size(); ++digit) {
    if (same_bits(stored[digit], value)) {
      if (found) {
        return std::nullopt;  // two digits round to it
      }
      found = static_cast<int>(digit);
    }
  }
  return found;
}

Holder holder_of_b(const QkvGeometry& g, const LabelledRow& due,
                   const std::vector<std::array<float, 256>>& forms,
                   const std::vector<SeenValue>& seen) {
  const auto read_with = [&](int adapter) {
    LabelReading reading;
    LabelledRow expected = due;
    expected.adapter = adapter;
    for (const SeenValue& one : seen) {
      reading.see(one.place, one.value,
                  digit_behind(one.value, forms[static_cast<std::size_t>(adapter)],
                               digit_of_row(g, expected, one.place)));
    }
    return reading.holder(g, due, static_cast<int>(forms.size()), false);
  };
  const Holder own = read_with(due.adapter);
  for (int other = 0; other < static_cast<int>(forms.size()); ++other) {
    if (!std::holds_alternative<FoundUnknown>(own)) {
      return own;
    }
    const Holder found = other == due.adapter ? own : read_with(other);
    const auto* row = std::get_if<FoundRow>(&found);
    if (row != nullptr && row->row.adapter == other) {
      return found;
    }
  }
  return own;
}

StoredDigits stored_digits(const PreparedCase& item, const AdapterSpec& adapter, Part part) {
  const RoundingProgram& program = *find_program(item.contract->program);
  const ScalarType dtype = item.spec.dtype;
  const float scaling = adapter.scaling(part);
  const float u =
      apply(program.expand_input, apply(program.shrink, 1.0F, 1.0F, dtype), scaling, dtype);
  StoredDigits stored;
  for (std::size_t digit = 0; digit < 256; ++digit) {
    stored.in_slot[digit] = apply(program.load_b, static_cast<float>(digit + 1), scaling, dtype);
    stored.in_delta[digit] = apply(program.delta, u * stored.in_slot[digit], scaling, dtype);
    stored.in_output[digit] = apply(program.sum, 0.0F + stored.in_delta[digit], scaling, dtype);
  }
  return stored;
}

void LabelReading::see(int place, float value, std::optional<int> digit) {
  ++seen_;
  zeros_ += value == 0 ? 1 : 0;
  not_finite_ += std::isfinite(value) ? 0 : 1;
  auto& seen = digits_[static_cast<std::size_t>(place)];
  unknown_ = unknown_ || !digit || (seen && *seen != *digit);
  seen = digit;
}

Holder LabelReading::holder(const QkvGeometry& g, const LabelledRow& due, int adapters,
                            bool of_base) const {
  if (not_finite_ > 0) {
    return FoundNotFinite{};
  }
  if (zeros_ == seen_) {
    return FoundZero{};
  }
  const auto row = unknown_ ? std::nullopt : row_of_label(g, digits_, due, adapters);
  return row ? Holder(FoundRow{of_base, *row}) : Holder(FoundUnknown{});
}

bool is_row(const Holder& found, const FoundRow& due) {
  const auto* row = std::get_if<FoundRow>(&found);
  return row != nullptr && *row == due;
}

}  // namespace tplora::core
