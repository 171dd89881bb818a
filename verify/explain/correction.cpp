#include "verify/explain/correction.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tplora::core {

Corrector::Corrector(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
                     Lets lets)
    : contract_(contract),
      input_(input),
      sites_(formula_sites(contract)),
      copy_(contract),
      formulas_(formulas_of(copy_)) {
  const auto adapters = input.adapters.size();
  for (std::size_t adapter = 0; adapter < std::max<std::size_t>(1, adapters); ++adapter) {
    const auto at = input.adapters.begin() + static_cast<std::ptrdiff_t>(adapter);
    const bool again = adapter > 0 && std::find(input.adapters.begin(), at, *at) != at;
    required_.push_back(again ? std::vector<std::vector<Way>>(sites_.size())
                              : required_values(contract, sites_, input, analysis,
                                                adapters == 0 ? -1 : static_cast<int>(adapter),
                                                lets));
  }
}

std::vector<std::string> Corrector::texts(std::size_t site) const {
  std::vector<int> reasons;
  for (const auto& of_adapter : required_) {
    for (const Way& way : of_adapter[site]) {
      if (std::find(reasons.begin(), reasons.end(), way.reason) == reasons.end()) {
        reasons.push_back(way.reason);
      }
    }
  }
  std::vector<std::string> texts;
  const auto put = [&](const std::string& all) {
    std::string text = fmt::format("({}){}", formulas_[site]->text(), all);
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) {
      texts.push_back(std::move(text));
    }
  };
  for (const int reason : reasons) {
    std::string all;
    for (std::size_t adapter = 0; adapter < required_.size(); ++adapter) {
      for (const Way& way : required_[adapter][site]) {
        if (way.reason != reason) {
          continue;
        }
        const std::string own = terms(site, way.corrections, static_cast<int>(adapter));
        if (knows_adapter(site)) {
          all += own;
        } else {
          put(own);  // one value for all adapters: that of any may be the right one
        }
      }
    }
    if (!all.empty()) {
      put(all);
    }
  }
  return texts;
}

std::vector<std::string> Corrector::texts_by_rank(std::size_t site) const {
  std::vector<std::string> texts;
  for (std::size_t adapter = 0; is_same_on_all_ranks(site) && adapter < required_.size();
       ++adapter) {
    for (const Way& way : required_[adapter][site]) {
      texts.push_back(fmt::format("({}){}", formulas_[site]->text(),
                                  by_rank(site, way.corrections, static_cast<int>(adapter))));
    }
  }
  return texts;
}

/// Corrections as terms to be added to the formula, each only where it is due.
std::string Corrector::terms(std::size_t site, const Corrections& corrections, int adapter) const {
  const bool same = std::all_of(corrections.begin(), corrections.end(), [&](const Correction& one) {
    return one.delta == corrections.front().delta;
  });
  if (is_same_on_all_ranks(site) || (same && everywhere(corrections))) {
    return fmt::format(" + {}({})", condition_on_adapter(site, adapter), corrections.front().delta);
  }
  return by_rank(site, corrections, adapter);
}

std::string Corrector::by_rank(std::size_t site, const Corrections& corrections,
                               int adapter) const {
  const SymbolTable scope = scope_of(contract_, *formulas_[site]);
  const std::string whose = condition_on_adapter(site, adapter);
  std::string text;
  for (const Correction& one : corrections) {
    std::string where = fmt::format("tp_rank == {}", one.tp_rank);
    for (const auto& [symbol, value] : one.indices) {
      where += fmt::format(" and {} == {}", scope.name(symbol), value);
    }
    text += fmt::format(" + {}({})*({})", whose, where, one.delta);
  }
  return text;
}

bool Corrector::is_same_on_all_ranks(std::size_t site) const {
  return sites_[site].role == FormulaRole::let &&
         contract_.lets[sites_[site].entry].phase == Phase::deployment;
}

/// Whether each rank has a correction in its only turn.
bool Corrector::everywhere(const Corrections& way) const {
  return static_cast<std::int64_t>(way.size()) == input_.deployment.tp_size &&
         std::all_of(way.begin(), way.end(),
                     [](const Correction& one) { return one.indices.empty(); });
}

bool Corrector::knows_adapter(std::size_t site) const {
  return sites_[site].latest >= Phase::adapter &&
         (sites_[site].role != FormulaRole::let ||
          contract_.lets[sites_[site].entry].phase >= Phase::adapter);
}

/// A factor that is 1 for loads of adapters of the same shape and 0 for others.
std::string Corrector::condition_on_adapter(std::size_t site, int adapter) const {
  if (!knows_adapter(site) || input_.adapters.size() < 2) {
    return "";
  }
  const AdapterShape& shape = input_.adapters[static_cast<std::size_t>(adapter)];
  std::string parts;
  if (shape.part_ranks != std::array<std::int64_t, 3>{}) {
    parts = fmt::format(" and r_q == {} and r_k == {} and r_v == {}", shape.rank_of(Part::q),
                        shape.rank_of(Part::k), shape.rank_of(Part::v));
  }
  return fmt::format(
      "(r == {} and alpha == {} and has_q == {:d} and has_k == {:d} and has_v == {:d}{}{})*",
      shape.lora_rank, shape.lora_alpha, shape.has(Part::q), shape.has(Part::k), shape.has(Part::v),
      shape.rslora ? " and rslora" : "", parts);
}

}  // namespace tplora::core
