#include "verify/check/read_labels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "sim/base/ensure.hpp"
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

/// Collects wrong columns into runs: one part, one adapter, consecutive holders.
class Runs {
 public:
  Runs(const LabelContext& context, std::string tensor, std::optional<int> adapter,
       std::optional<std::int64_t> slot, std::int64_t first_column)
      : context_(context),
        tensor_(std::move(tensor)),
        adapter_(adapter),
        slot_(slot),
        first_column_(first_column) {}

  void add(std::int64_t column, const Holder& found, bool nothing_due = false) {
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
  [[nodiscard]] std::vector<PlaceFinding> take() { return std::move(runs_); }

 private:
  [[nodiscard]] CheckLaw law(const Holder& found) const {
    const auto* row = std::get_if<FoundRow>(&found);
    const bool others = row != nullptr && adapter_ && row->row.adapter != *adapter_;
    return others                                    ? CheckLaw::residue
           : std::holds_alternative<FoundEnd>(found) ? CheckLaw::fit
                                                     : CheckLaw::identity;
  }

  const LabelContext& context_;
  std::string tensor_;
  std::optional<int> adapter_;
  std::optional<std::int64_t> slot_;
  std::int64_t first_column_;
  std::vector<PlaceFinding> runs_;
};

/// The digit whose stored form, after `stored`, is `value`.
std::optional<int> digit_behind(float value, const std::array<float, 256>& stored) {
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

/// What each digit of B becomes: in a slot, and in an output.
struct StoredDigits {
  std::array<float, 256> in_slot{}, in_delta{}, in_output{};
};

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

/// The holder behind values of which each should be the stored form of one digit.
class Reading {
 public:
  void see(int place, float value, std::optional<int> digit) {
    ++seen_;
    zeros_ += value == 0 ? 1 : 0;
    not_finite_ += std::isfinite(value) ? 0 : 1;
    auto& seen = digits_[static_cast<std::size_t>(place)];
    unknown_ = unknown_ || !digit || (seen && *seen != *digit);
    seen = digit;
  }
  [[nodiscard]] bool anything() const { return seen_ > 0; }
  [[nodiscard]] Holder holder(const QkvGeometry& g, const LabelledRow& due, int adapters,
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

 private:
  int seen_ = 0, zeros_ = 0, not_finite_ = 0;
  bool unknown_ = false;
  LabelDigits digits_{};
};

bool is(const Holder& found, const FoundRow& due) {
  const auto* row = std::get_if<FoundRow>(&found);
  return row != nullptr && *row == due;
}

void append(std::vector<PlaceFinding>& all, std::vector<PlaceFinding> more) {
  all.insert(all.end(), more.begin(), more.end());
}

/// The base rows behind each column, off the tokens of one adapter (-1: of none).
std::vector<PlaceFinding> base_places(const LabelContext& context, const std::string& tensor,
                                      std::span<const float> values, int adapter) {
  Runs runs(context, tensor, std::nullopt, std::nullopt, 0);
  const auto tokens = static_cast<std::int64_t>(context.item.spec.tokens.size());
  for (std::int64_t column = 0; column < context.own.width; ++column) {
    Reading reading;
    for (std::int64_t token = 0; token < tokens; ++token) {
      const bool here = context.item.spec.tokens[static_cast<std::size_t>(token)] == adapter;
      if (here && !shows_delta(token)) {
        const float value = values[static_cast<std::size_t>(token * context.own.width + column)];
        reading.see(digit_of_token(token), value, digit_of(value));
      }
    }
    const LabelledRow due = context.due(column);
    const Holder found = reading.holder(*context.item.geometry, due, 1, true);
    if (reading.anything() && !is(found, {true, due})) {
      runs.add(column, found);
    }
  }
  return runs.take();
}

bool same_places(const std::vector<PlaceFinding>& a, const std::vector<PlaceFinding>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const PlaceFinding& one, const PlaceFinding& other) {
                      return one.first_column == other.first_column &&
                             one.last_column == other.last_column && one.found == other.found;
                    });
}

/// The same of all tokens: once where it does not depend on the adapter.
std::vector<PlaceFinding> base_places(const LabelContext& context, const std::string& tensor,
                                      std::span<const float> values) {
  const auto& tokens = context.item.spec.tokens;
  std::vector<std::pair<int, std::vector<PlaceFinding>>> groups;
  for (int adapter = -1; adapter < static_cast<int>(context.item.spec.adapters.size()); ++adapter) {
    if (std::find(tokens.begin(), tokens.end(), adapter) != tokens.end()) {
      groups.emplace_back(adapter, base_places(context, tensor, values, adapter));
    }
  }
  const bool alike = std::all_of(groups.begin(), groups.end(), [&](const auto& group) {
    return same_places(group.second, groups.front().second);
  });
  std::vector<PlaceFinding> all;
  for (auto& [adapter, places] : groups) {
    for (PlaceFinding& place : places) {
      place.tokens_of = alike ? std::nullopt : std::optional(adapter);
      all.push_back(std::move(place));
    }
    if (alike) {
      break;
    }
  }
  return all;
}

/// The rows of B behind each column, of one adapter's tokens.
std::vector<PlaceFinding> delta_places(const LabelContext& context, const std::string& tensor,
                                       std::span<const float> values, int adapter) {
  const auto& adapters = context.item.spec.adapters;
  const AdapterSpec spec =
      adapters_after_steps(context.item.spec)[static_cast<std::size_t>(adapter)];
  Runs runs(context, tensor, adapter, std::nullopt, 0);
  const auto tokens = static_cast<std::int64_t>(context.item.spec.tokens.size());
  std::array<StoredDigits, 3> stored;
  for (const Part part : kParts) {
    stored[static_cast<std::size_t>(part)] = stored_digits(context.item, spec, part);
  }
  for (std::int64_t column = 0; column < context.own.width; ++column) {
    LabelledRow due = context.due(column);
    due.adapter = adapter;
    const StoredDigits& forms = stored[static_cast<std::size_t>(due.part)];
    Reading reading;
    bool all_zero = true;
    for (std::int64_t token = 0; token < tokens; ++token) {
      const bool shown = digit_of_token(token) < spec.rank_of(due.part);
      if (context.item.spec.tokens[static_cast<std::size_t>(token)] == adapter &&
          shows_delta(token) && shown) {
        const float value = values[static_cast<std::size_t>(token * context.own.width + column)];
        all_zero = all_zero && value == 0;
        reading.see(digit_of_token(token), value,
                    digit_behind(value, tensor == "delta" ? forms.in_delta : forms.in_output));
      }
    }
    if (!reading.anything()) {
      continue;
    }
    const Holder found =
        reading.holder(*context.item.geometry, due, static_cast<int>(adapters.size()), false);
    if (spec.has(due.part) ? !is(found, {false, due}) : !all_zero) {
      runs.add(column, found, !spec.has(due.part));
    }
  }
  return runs.take();
}

}  // namespace

LabelledRow LabelContext::due(std::int64_t column) const {
  for (const ColumnsOfPart& part : own.columns) {
    if (column < part.at + part.rows) {
      return {.part = part.part, .row = part.first_row + column - part.at, .adapter = 0};
    }
  }
  ensure(false, "a column is one of the rank's");
  return {};
}

std::vector<PlaceFinding> places_of_output(const LabelContext& context, const std::string& tensor,
                                           std::span<const float> values) {
  std::vector<PlaceFinding> found;
  if (tensor != "delta") {
    found = base_places(context, tensor, values);
  }
  const auto& tokens = context.item.spec.tokens;
  for (int adapter = 0; adapter < static_cast<int>(context.item.spec.adapters.size()); ++adapter) {
    if (tensor != "y_base" && std::find(tokens.begin(), tokens.end(), adapter) != tokens.end()) {
      append(found, delta_places(context, tensor, values, adapter));
    }
  }
  return found;
}

std::vector<PlaceFinding> places_of_weight(const LabelContext& context,
                                           std::span<const float> values) {
  Runs runs(context, "weight", std::nullopt, std::nullopt, 0);
  const std::int64_t hidden = context.item.geometry->hidden_size;
  for (std::int64_t column = 0; column < context.own.width; ++column) {
    const auto row =
        values.subspan(static_cast<std::size_t>(column * hidden), static_cast<std::size_t>(hidden));
    Reading reading;
    for (std::int64_t k = 0; k < std::min<std::int64_t>(8, hidden); k += 2) {
      const float value = row[static_cast<std::size_t>(k)];
      reading.see(static_cast<int>(k / 2), value, digit_of(value));
    }
    const LabelledRow due = context.due(column);
    const Holder found = reading.holder(*context.item.geometry, due, 1, true);
    if (!is(found, {true, due})) {
      runs.add(column, found);
    }
  }
  return runs.take();
}

std::vector<PlaceFinding> places_of_b(const LabelContext& context, const SlotBuffer& buffer,
                                      std::span<const float> values,
                                      std::span<const std::int64_t> residue) {
  std::vector<PlaceFinding> all;
  const auto specs = adapters_after_steps(context.item.spec);
  for (std::size_t slot = 0; slot < context.resident.size(); ++slot) {
    const int number = context.resident[slot];
    if (number < 0) {
      continue;
    }
    const AdapterSpec& spec = specs[static_cast<std::size_t>(number)];
    std::array<StoredDigits, 3> stored;
    for (const Part part : kParts) {
      stored[static_cast<std::size_t>(part)] = stored_digits(context.item, spec, part);
    }
    Runs runs(context, buffer.tensor, number, static_cast<std::int64_t>(slot), buffer.first_column);
    for (std::int64_t i = 0; i < buffer.due_rows; ++i) {
      const std::int64_t column = buffer.first_column + i;
      LabelledRow due = context.due(column);
      due.adapter = number;
      if (i >= buffer.rows) {
        if (spec.has(due.part)) {
          runs.add(column, FoundEnd{});
        }
        continue;
      }
      const auto row =
          values.subspan(static_cast<std::size_t>(
                             (static_cast<std::int64_t>(slot) * buffer.rows + i) * buffer.cols),
                         static_cast<std::size_t>(std::min(buffer.cols, spec.rank_of(due.part))));
      Reading reading;
      bool all_zero = true;
      for (std::size_t col = 0; col < row.size(); ++col) {
        all_zero = all_zero && row[col] == 0;
        if (col < 4) {
          reading.see(static_cast<int>(col), row[col],
                      digit_behind(row[col], stored[static_cast<std::size_t>(due.part)].in_slot));
        }
      }
      const Holder found =
          reading.holder(*context.item.geometry, due, static_cast<int>(specs.size()), false);
      const bool spare = std::find(residue.begin(), residue.end(),
                                   static_cast<std::int64_t>(slot)) == residue.end();
      if (spec.has(due.part) ? !is(found, {false, due}) : !all_zero && !spare) {
        runs.add(column, found, !spec.has(due.part));
      }
    }
    append(all, runs.take());
  }
  return all;
}

namespace {

/// What each row of a slot of A holds.
std::vector<Holder> a_rows(std::span<const float> slot, std::int64_t rows, std::int64_t hidden) {
  std::vector<Holder> found;
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto row =
        slot.subspan(static_cast<std::size_t>(i * hidden), static_cast<std::size_t>(hidden));
    LabelDigits digits{};
    for (std::size_t k = 8; k < std::min<std::size_t>(12, row.size()); ++k) {
      digits[k % 4] = digit_of(row[k]);
    }
    const auto label = a_row_of_label(digits);
    if (label) {
      found.emplace_back(FoundARow{*label});
    } else if (std::any_of(row.begin(), row.end(), [](float v) { return !std::isfinite(v); })) {
      found.emplace_back(FoundNotFinite{});
    } else if (std::all_of(row.begin(), row.end(), [](float v) { return v == 0; })) {
      found.emplace_back(FoundZero{});
    } else {
      found.emplace_back(FoundUnknown{});
    }
  }
  return found;
}

}  // namespace

std::vector<std::int64_t> slots_with_residue(const LabelContext& context, const SlotBuffer& buffer,
                                             std::span<const float> values) {
  std::vector<std::int64_t> slots;
  const std::int64_t hidden = context.item.geometry->hidden_size;
  for (std::size_t slot = 0; slot < context.resident.size(); ++slot) {
    const auto size = static_cast<std::size_t>(buffer.rows * hidden);
    const auto holders = a_rows(values.subspan(slot * size, size), buffer.rows, hidden);
    const bool foreign = std::any_of(holders.begin(), holders.end(), [&](const Holder& one) {
      const auto* row = std::get_if<FoundARow>(&one);
      return !std::holds_alternative<FoundZero>(one) &&
             (row == nullptr || row->row.adapter != context.resident[slot]);
    });
    if (foreign) {
      slots.push_back(static_cast<std::int64_t>(slot));
    }
  }
  return slots;
}

std::vector<PlaceFinding> places_of_a(const LabelContext& context, const SlotBuffer& buffer,
                                      std::optional<Part> only, std::span<const float> values) {
  std::vector<PlaceFinding> all;
  const std::int64_t hidden = context.item.geometry->hidden_size;
  const auto specs = adapters_after_steps(context.item.spec);
  for (std::size_t slot = 0; slot < context.resident.size(); ++slot) {
    const int number = context.resident[slot];
    if (number < 0) {
      continue;
    }
    const AdapterSpec& spec = specs[static_cast<std::size_t>(number)];
    const auto holders =
        a_rows(values.subspan(slot * static_cast<std::size_t>(buffer.rows * hidden),
                              static_cast<std::size_t>(buffer.rows * hidden)),
               buffer.rows, hidden);
    PlaceFinding finding{.tensor = buffer.tensor,
                         .tp_rank = context.own.tp_rank,
                         .adapter = number,
                         .slot = static_cast<std::int64_t>(slot),
                         .found = FoundZero{}};
    for (const Part part : kParts) {
      if (!spec.has(part) || (only && *only != part) || (spec.shared_a && part != Part::q)) {
        continue;
      }
      // Where the part's rows begin is the engine's affair; that all of them follow is not.
      const FoundARow first{{.part = part, .row = 0, .adapter = number}};
      const auto begin = std::find(holders.begin(), holders.end(), Holder(first));
      for (std::int64_t row = 0; row < spec.rank_of(part); ++row) {
        const auto at =
            begin == holders.end() || holders.end() - begin <= row ? holders.end() : begin + row;
        FoundARow due = first;
        due.row.row = row;
        if (at == holders.end() || *at != Holder(due)) {
          finding.part = part;
          finding.first_row = row;
          finding.last_row = spec.rank_of(part) - 1;
          finding.first_column = finding.last_column =
              at == holders.end() ? 0 : at - holders.begin();
          finding.found = at == holders.end() ? Holder(FoundEnd{}) : *at;
          finding.law = CheckLaw::identity;
          all.push_back(finding);
          break;
        }
      }
    }
  }
  return all;
}

}  // namespace tplora::core
