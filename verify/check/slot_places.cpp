#include <algorithm>
#include <array>
#include <cmath>

#include "verify/check/label_runs.hpp"
#include "verify/check/read_labels.hpp"

namespace tplora::core {

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
    std::array<std::vector<std::array<float, 256>>, 3> forms;
    for (const Part part : kParts) {
      for (const AdapterSpec& each : specs) {
        forms[static_cast<std::size_t>(part)].push_back(
            stored_digits(context.item, each, part).in_slot);
      }
    }
    LabelRuns runs(context, buffer.tensor, number, static_cast<std::int64_t>(slot),
                   buffer.first_column);
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
      std::vector<SeenValue> seen;
      bool all_zero = true;
      for (std::size_t col = 0; col < row.size(); ++col) {
        all_zero = all_zero && row[col] == 0;
        if (col < 4) {
          seen.push_back({static_cast<int>(col), row[col]});
        }
      }
      const Holder found =
          holder_of_b(*context.item.geometry, due, forms[static_cast<std::size_t>(due.part)], seen);
      const bool spare = std::find(residue.begin(), residue.end(),
                                   static_cast<std::int64_t>(slot)) == residue.end();
      if (spec.has(due.part) ? !is_row(found, {false, due}) : !all_zero && !spare) {
        runs.add(column, found, !spec.has(due.part));
      }
    }
    const auto more = runs.take();
    all.insert(all.end(), more.begin(), more.end());
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
