#include "verify/golden/golden_notes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sim/data/labels.hpp"
#include "verify/golden/integers.hpp"

namespace tplora::core {
namespace {

/// Whether some token of the adapter shows the part's delta on the rank; nothing: none uses it.
bool hides_delta(const PreparedCase& item, const Unsharded& unsharded, const OwnedHeads& own,
                 int adapter, Part part) {
  const auto y = unsharded.reference().output(part);
  const auto base = unsharded.reference().base_output(part);
  const ColumnsOfPart& columns = own.columns[static_cast<std::size_t>(part)];
  bool used = false;
  for (std::size_t token = 0; token < item.spec.tokens.size(); ++token) {
    const std::size_t from = token * static_cast<std::size_t>(item.geometry->rows(part)) +
                             static_cast<std::size_t>(columns.first_row);
    if (item.spec.tokens[token] != adapter) {
      continue;
    }
    used = true;
    for (std::size_t row = 0; row < static_cast<std::size_t>(columns.rows); ++row) {
      if (!same_bits(y[from + row], base[from + row])) {
        return false;
      }
    }
  }
  return used;
}

/// Places of a label in which rows or adapters of the case differ.
std::vector<int> places_that_tell(const PreparedCase& item, bool of_base) {
  std::vector<int> places = {0};
  for (const int place : {1, 2}) {
    if (item.geometry->total_rows() > (std::int64_t{1} << (8 * place))) {
      places.push_back(place);
    }
  }
  if (!of_base && item.spec.adapters.size() > 1) {
    places.push_back(3);
  }
  return places;
}

/// Whether some token of the adapter (nothing: any) shows that digit.
bool shows(const PreparedCase& item, std::optional<int> adapter, int place) {
  for (std::size_t token = 0; token < item.spec.tokens.size(); ++token) {
    const auto number = static_cast<std::int64_t>(token);
    if ((!adapter || item.spec.tokens[token] == *adapter) &&
        shows_delta(number) == adapter.has_value() && digit_of_token(number) == place) {
      return true;
    }
  }
  return false;
}

/// What labels do not tell here: whoever exchanges such rows passes.
void add_untold_labels(const PreparedCase& item, std::vector<std::string>& vacuous) {
  const auto told = [&](std::optional<int> adapter, std::int64_t lora_rank) {
    const auto places = places_that_tell(item, !adapter);
    return std::all_of(places.begin(), places.end(), [&](int place) {
      return shows(item, adapter, place) && (!adapter || place < lora_rank);
    });
  };
  constexpr const char* kWhy =
      "token i shows digit i % 8, so eight tokens in a row are needed of each adapter";
  if (!told(std::nullopt, 0)) {
    vacuous.push_back(
        fmt::format("these tokens do not tell rows of the base weight in full: {}", kWhy));
  }
  for (std::size_t number = 0; number < item.spec.adapters.size(); ++number) {
    const AdapterSpec& adapter = item.spec.adapters[number];
    const auto& tokens = item.spec.tokens;
    if (std::find(tokens.begin(), tokens.end(), static_cast<int>(number)) == tokens.end()) {
      continue;
    }
    std::int64_t least = adapter.lora_rank;
    for (const Part part : kParts) {
      least = adapter.has(part) ? std::min(least, adapter.rank_of(part)) : least;
    }
    if (!told(static_cast<int>(number), least)) {
      vacuous.push_back(fmt::format(
          "these tokens do not tell rows of adapter {} in full: {}, and a lora_rank of 4",
          adapter.name, kWhy));
    }
  }
}

}  // namespace

std::vector<std::string> vacuous_deltas(const PreparedCase& item, const Unsharded& unsharded,
                                        const std::vector<OwnedHeads>& heads) {
  std::vector<std::string> vacuous;
  for (std::size_t number = 0; number < item.spec.adapters.size(); ++number) {
    for (const Part part : kParts) {
      for (const OwnedHeads& own : heads) {
        if (unsharded.adapters()[number].spec().has(part) &&
            hides_delta(item, unsharded, own, static_cast<int>(number), part)) {
          vacuous.push_back(
              fmt::format("the delta of adapter {} changes no bit of {} on tp_rank {}",
                          item.spec.adapters[number].name, part_name(part), own.tp_rank));
        }
      }
    }
  }
  if (std::all_of(item.spec.tokens.begin(), item.spec.tokens.end(),
                  [](int adapter) { return adapter < 0; })) {
    vacuous.emplace_back("no token uses an adapter");
  } else if (item.spec.data == DataKind::labels) {
    add_untold_labels(item, vacuous);
  }
  return vacuous;
}

std::vector<std::string> data_notes(const PreparedCase& item) {
  std::vector<std::string> notes;
  if (item.spec.data == DataKind::labels && item.geometry->hidden_size < kColumnsOfALabel) {
    notes.push_back(
        fmt::format("rows of A have {} elements: labels of A take {}, so that those are "
                    "compared and not named",
                    item.geometry->hidden_size, kColumnsOfALabel));
  }
  const bool fused = item.checkpoint.fusion != Fusion::separate;
  if (fused && std::any_of(item.spec.adapters.begin(), item.spec.adapters.end(),
                           [](const AdapterSpec& one) { return !one.shared_a; })) {
    notes.push_back(fmt::format(
        "adapters have q_proj, k_proj and v_proj, and the checkpoint has {}: engines that "
        "split it take them, peft itself does not",
        item.checkpoint.tensors));
  }
  if (item.spec.data == DataKind::integers) {
    if (const auto budget = integer_budget(item)) {
      notes.push_back("one right answer for every order of summation: " + budget->text());
    }
  }
  return notes;
}

}  // namespace tplora::core
