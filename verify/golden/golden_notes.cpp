#include "verify/golden/golden_notes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

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

void add_label_notes(const PreparedCase& item, std::vector<std::string>& notes) {
  for (std::size_t number = 0; number < item.spec.adapters.size(); ++number) {
    std::array<bool, 8> digits{};
    bool used = false;
    for (std::size_t token = 0; token < item.spec.tokens.size(); ++token) {
      if (item.spec.tokens[token] == static_cast<int>(number)) {
        digits[token % 8] = true;
        used = true;
      }
    }
    const AdapterSpec& adapter = item.spec.adapters[number];
    if (used && std::find(digits.begin(), digits.end(), false) != digits.end()) {
      notes.push_back(fmt::format(
          "outputs of adapter {} do not tell their rows in full: token i shows digit i % 8, so "
          "eight tokens in a row are needed of each adapter",
          adapter.name));
    }
    if (adapter.lora_rank < 4) {
      notes.push_back(fmt::format(
          "adapter {} has lora_rank {}: its rows of B are told modulo {} only, lora_rank 4 tells "
          "them and the adapter",
          adapter.name, adapter.lora_rank, std::int64_t{1} << (8 * adapter.lora_rank)));
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
  }
  return vacuous;
}

std::vector<std::string> data_notes(const PreparedCase& item) {
  std::vector<std::string> notes;
  if (item.spec.data == DataKind::labels) {
    add_label_notes(item, notes);
  }
  if (item.spec.data == DataKind::integers) {
    if (const auto budget = integer_budget(item)) {
      notes.push_back("one right answer for every order of summation: " + budget->text());
    }
  }
  return notes;
}

}  // namespace tplora::core
