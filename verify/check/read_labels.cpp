#include "verify/check/read_labels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "sim/base/ensure.hpp"
#include "verify/check/label_runs.hpp"

namespace tplora::core {
namespace {

void append(std::vector<PlaceFinding>& all, std::vector<PlaceFinding> more) {
  all.insert(all.end(), more.begin(), more.end());
}

/// The base rows behind each column, off the tokens of one adapter (-1: of none).
std::vector<PlaceFinding> base_places(const LabelContext& context, const std::string& tensor,
                                      std::span<const float> values, int adapter) {
  LabelRuns runs(context, tensor, std::nullopt, std::nullopt, 0);
  const auto tokens = static_cast<std::int64_t>(context.item.spec.tokens.size());
  for (std::int64_t column = 0; column < context.own.width; ++column) {
    LabelReading reading;
    for (std::int64_t token = 0; token < tokens; ++token) {
      const bool here = context.item.spec.tokens[static_cast<std::size_t>(token)] == adapter;
      if (here && !shows_delta(token)) {
        const float value = values[static_cast<std::size_t>(token * context.own.width + column)];
        if (adapter >= 0 && tensor == "y" && !std::isfinite(value)) {
          continue;  // a delta that is not finite hides what it is added to
        }
        reading.see(digit_of_token(token), value, digit_of(value));
      }
    }
    const LabelledRow due = context.due(column);
    const Holder found = reading.holder(*context.item.geometry, due, 1, true);
    if (reading.anything() && !is_row(found, {true, due})) {
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

/// What each digit of B becomes in an output, by adapter.
std::vector<std::array<float, 256>> output_forms(const PreparedCase& item, Part part, bool delta) {
  std::vector<std::array<float, 256>> forms;
  for (const AdapterSpec& spec : adapters_after_steps(item.spec)) {
    const StoredDigits stored = stored_digits(item, spec, part);
    forms.push_back(delta ? stored.in_delta : stored.in_output);
  }
  return forms;
}

/// The rows of B behind each column, of one adapter's tokens.
std::vector<PlaceFinding> delta_places(const LabelContext& context, const std::string& tensor,
                                       std::span<const float> values, int adapter) {
  const AdapterSpec spec =
      adapters_after_steps(context.item.spec)[static_cast<std::size_t>(adapter)];
  LabelRuns runs(context, tensor, adapter, std::nullopt, 0);
  const auto tokens = static_cast<std::int64_t>(context.item.spec.tokens.size());
  std::array<std::vector<std::array<float, 256>>, 3> forms;
  for (const Part part : kParts) {
    forms[static_cast<std::size_t>(part)] = output_forms(context.item, part, tensor == "delta");
  }
  for (std::int64_t column = 0; column < context.own.width; ++column) {
    LabelledRow due = context.due(column);
    due.adapter = adapter;
    std::vector<SeenValue> seen;
    for (std::int64_t token = 0; token < tokens; ++token) {
      const bool shown = digit_of_token(token) < spec.rank_of(due.part);
      if (context.item.spec.tokens[static_cast<std::size_t>(token)] == adapter &&
          shows_delta(token) && shown) {
        seen.push_back({digit_of_token(token),
                        values[static_cast<std::size_t>(token * context.own.width + column)]});
      }
    }
    if (seen.empty()) {
      continue;
    }
    const bool all_zero =
        std::all_of(seen.begin(), seen.end(), [](const SeenValue& one) { return one.value == 0; });
    const Holder found =
        holder_of_b(*context.item.geometry, due, forms[static_cast<std::size_t>(due.part)], seen);
    if (spec.has(due.part) ? !is_row(found, {false, due}) : !all_zero) {
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
  LabelRuns runs(context, "weight", std::nullopt, std::nullopt, 0);
  const std::int64_t hidden = context.item.geometry->hidden_size;
  for (std::int64_t column = 0; column < context.own.width; ++column) {
    const auto row =
        values.subspan(static_cast<std::size_t>(column * hidden), static_cast<std::size_t>(hidden));
    LabelReading reading;
    for (std::int64_t k = 0; k < std::min<std::int64_t>(8, hidden); k += 2) {
      const float value = row[static_cast<std::size_t>(k)];
      reading.see(static_cast<int>(k / 2), value, digit_of(value));
    }
    const LabelledRow due = context.due(column);
    const Holder found = reading.holder(*context.item.geometry, due, 1, true);
    if (!is_row(found, {true, due})) {
      runs.add(column, found);
    }
  }
  return runs.take();
}

}  // namespace tplora::core
