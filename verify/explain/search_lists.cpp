#include <fmt/format.h>

#include <algorithm>

#include "verify/explain/search.hpp"

namespace tplora::core {
namespace {

/// Behind all formulas and words: a list is blamed only where these explain nothing.
constexpr int kListDistance = 11;

Formula constant(const char* text, const Place& place) {
  auto parsed = Formula::parse(text, place, predefined_symbols());
  return std::move(*parsed);
}

/// The site of a list's entry with a role.
std::optional<std::size_t> site_of(const std::vector<FormulaSite>& sites,
                                   const std::string& pointer) {
  const auto at = std::find_if(sites.begin(), sites.end(),
                               [&](const FormulaSite& site) { return site.pointer == pointer; });
  return at == sites.end() ? std::nullopt
                           : std::optional(static_cast<std::size_t>(at - sites.begin()));
}

/// A contract with another text for one formula; nothing if it does not parse.
std::optional<Contract> with_text(const Contract& contract, std::size_t site,
                                  const std::string& text) {
  std::optional<Contract> changed = contract;
  Formula& formula = *formulas_of(*changed)[site];
  auto parsed = Formula::parse(text, formula.place(), scope_of(contract, formula));
  if (!parsed) {
    return std::nullopt;
  }
  formula = std::move(*parsed);
  index_formulas(*changed);
  return changed;
}

}  // namespace

void Search::lists() {
  for (const ListSite& list : list_sites(contract_)) {
    for (std::size_t i = 0; i + 1 < list.size && list.order_matters; ++i) {
      Contract changed = contract_;
      list.swap(changed, i);
      try_entry(list.pointer, i, changed, WrongEntry::Fault::exchanged);
    }
    for (std::size_t i = 0; i < list.size; ++i) {
      Contract changed = contract_;
      list.erase(changed, i);
      try_entry(list.pointer, i, changed, WrongEntry::Fault::surplus);
    }
  }
  if (found_.empty()) {
    missing_entries();
  }
}

bool Search::try_entry(const std::string& list, std::size_t i, Contract& changed,
                       WrongEntry::Fault fault) {
  const auto after = symptoms(changed);
  if (!repairs(after)) {
    return false;
  }
  const std::string pointer = fmt::format("{}/{}", list, i);
  return accept(kListDistance,
                {.pointer = pointer,
                 .place = place_of_entry(pointer),
                 .formula = -1,
                 .wrong = WrongEntry{fault}},
                *after);
}

/// Of an entry, or of what a more derived file wrote into it or into the next.
Place Search::place_of_entry(const std::string& pointer) const {
  Place place = contract_.place_of(pointer);
  const auto slash = pointer.rfind('/');
  const std::string next =
      fmt::format("{}/{}", pointer.substr(0, slash), std::stoll(pointer.substr(slash + 1)) + 1);
  for (const auto& [at, written] : contract_.written_at) {
    if ((at.starts_with(pointer + "/") || at.starts_with(next + "/")) &&
        file_of(written) < file_of(place)) {
      place = written;
    }
  }
  return place;
}

// --- what is not there -----------------------------------------------------------------------
void Search::missing_entries() {
  missing_copies(
      "weight", [](Contract & c) -> auto& { return c.weight.copies; }, 1);
  missing_copies(
      "lora_b", [](Contract & c) -> auto& { return c.lora_b.copies; },
      contract_.lora_b.buffers.size());
  missing_copies(
      "lora_a", [](Contract & c) -> auto& { return c.lora_a.copies; },
      contract_.lora_a.buffers.size());
  missing_launches();
}

/// A copy of no rows is put at each place of the list, from each part that no other copy takes rows
/// of and to each buffer, and is then asked what the laws require of it.
template <class ListOf>
void Search::missing_copies(const std::string& section, ListOf list_of, std::size_t buffers) {
  const auto& list = list_of(work_);
  const bool has_at = !list.empty() && list.front().at.has_value();
  const bool fused = !list.empty() && (list.front().source == Source::fused ||
                                       list.front().source == Source::shared);
  std::vector<Source> sources =
      fused ? std::vector{list.front().source} : std::vector{Source::q, Source::k, Source::v};
  std::erase_if(sources, [&](Source source) {
    return !fused && std::any_of(list.begin(), list.end(),
                                 [&](const Copy& copy) { return copy.source == source; });
  });
  const std::string pointer = fmt::format("/{}/copies", section);
  for (std::size_t i = 0; i <= list.size(); ++i) {
    const Place place = contract_.place_of(fmt::format("{}/{}", pointer, i));
    for (const Source source : sources) {
      for (std::size_t buffer = 0; buffer < buffers; ++buffer) {
        Contract changed = contract_;
        auto& copies = list_of(changed);
        copies.insert(copies.begin() + static_cast<std::ptrdiff_t>(i),
                      Copy{.source = source,
                           .buffer = static_cast<int>(buffer),
                           .from = constant("0", place),
                           .rows = constant("0", place),
                           .at = has_at ? std::optional(constant("0", place)) : std::nullopt,
                           .loops = {},
                           .place = place});
        index_formulas(changed);
        if (fill_copy(pointer, i, changed)) {
          return;
        }
      }
    }
  }
}

/// Tries what is required of a new copy: first of where it begins, then of where it puts its rows,
/// then of how many these are.
bool Search::fill_copy(const std::string& list, std::size_t i, const Contract& with_copy) {
  std::vector<Contract> begun = {with_copy};
  for (const char* field : {"from", "at"}) {
    std::vector<Contract> next = begun;
    for (const Contract& contract : begun) {
      const Corrector corrector(contract, input_, analysis_, Lets::without);
      const auto site = site_of(corrector.sites(), fmt::format("{}/{}/{}", list, i, field));
      for (const std::string& text : site ? corrector.texts(*site) : std::vector<std::string>{}) {
        if (auto changed = with_text(contract, *site, text)) {
          next.push_back(std::move(*changed));
        }
      }
    }
    begun = std::move(next);
  }
  for (const Contract& contract : begun) {
    const Corrector corrector(contract, input_, analysis_, Lets::without);
    const auto site = site_of(corrector.sites(), fmt::format("{}/{}/rows", list, i));
    for (const std::string& text : site ? corrector.texts(*site) : std::vector<std::string>{}) {
      auto changed = with_text(contract, *site, text);
      if (changed && try_entry(list, i, *changed, WrongEntry::Fault::missing)) {
        return true;
      }
    }
  }
  return false;
}

/// A launch on the columns that no launch writes, of each part and from each pair of buffers.
void Search::missing_launches() {
  for (const Part part : kParts) {
    std::string out = "0";
    std::string rows = "0";
    std::vector<std::int64_t> told;
    std::size_t place = 0;
    for (const Violation& violation : analysis_.violations) {
      const auto* hole = std::get_if<NoDelta>(&violation);
      if (hole == nullptr || hole->due.part != part ||
          (adapter_ >= 0 && hole->delta.adapter != adapter_) ||
          std::find(told.begin(), told.end(), hole->tp_rank) != told.end()) {
        continue;
      }
      told.push_back(hole->tp_rank);
      out += fmt::format(" + (tp_rank == {})*{}", hole->tp_rank, hole->due.column);
      rows += fmt::format(" + (tp_rank == {})*{}", hole->tp_rank, hole->due.rows);
      const RankState& rank = analysis_.ranks[static_cast<std::size_t>(hole->tp_rank)];
      for (const KernelLaunch& launch : rank.loads.front().launches) {
        if (launch.out < hole->due.column) {
          place = std::max(place, static_cast<std::size_t>(launch.entry) + 1);
        }
      }
    }
    const Place at = contract_.place_of(fmt::format("/kernel/{}", place));
    for (std::size_t b = 0; b < contract_.lora_b.buffers.size() && !told.empty(); ++b) {
      for (std::size_t a = 0; a < contract_.lora_a.buffers.size(); ++a) {
        Contract changed = contract_;
        changed.kernel.insert(changed.kernel.begin() + static_cast<std::ptrdiff_t>(place),
                              KernelEntry{.a = static_cast<int>(a),
                                          .b = static_cast<int>(b),
                                          .a_at = constant("0", at),
                                          .b_at = constant("0", at),
                                          .out = constant(out.c_str(), at),
                                          .rows = constant(rows.c_str(), at),
                                          .depth = constant("r", at),
                                          .b_stride = {},
                                          .loops = {},
                                          .place = at});
        index_formulas(changed);
        if (fill_launch(place, changed)) {
          return;
        }
      }
    }
  }
}

bool Search::fill_launch(std::size_t i, const Contract& with_entry) {
  const Corrector corrector(with_entry, input_, analysis_, Lets::without);
  const auto a_site = site_of(corrector.sites(), fmt::format("/kernel/{}/a_at", i));
  const auto b_site = site_of(corrector.sites(), fmt::format("/kernel/{}/b_at", i));
  std::vector<std::string> a_texts = corrector.texts(*a_site);
  std::vector<std::string> b_texts = corrector.texts(*b_site);
  a_texts.emplace_back("0");
  b_texts.emplace_back("0");
  for (const std::string& a : a_texts) {
    for (const std::string& b : b_texts) {
      auto changed = with_text(with_entry, *a_site, a);
      changed = changed ? with_text(*changed, *b_site, b) : std::nullopt;
      if (changed && try_entry("/kernel", i, *changed, WrongEntry::Fault::missing)) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace tplora::core
