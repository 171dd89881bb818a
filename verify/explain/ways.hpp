// Collects the ways in which formulas could be right.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "verify/explain/group_facts.hpp"
#include "verify/explain/required.hpp"
#include "verify/explain/required_heads.hpp"

namespace tplora::core {

class Ways {
 public:
  Ways(const GroupFacts& facts, const std::vector<FormulaSite>& sites)
      : facts_(facts), sites_(sites), dealings_(core::dealings(facts)), result_(sites.size()) {}

  [[nodiscard]] const GroupFacts& facts() const { return facts_; }
  [[nodiscard]] const FormulaSite& site(std::size_t number) const { return sites_[number]; }
  [[nodiscard]] std::size_t sites() const { return sites_.size(); }
  [[nodiscard]] const std::vector<FormulaSite>& all_sites() const { return sites_; }
  [[nodiscard]] const std::vector<Dealing>& dealings() const { return dealings_; }
  [[nodiscard]] const std::vector<Way>& of(std::size_t site) const { return result_[site]; }
  [[nodiscard]] std::vector<std::vector<Way>> take() { return std::move(result_); }

  /// The reason of the next way; each way counts it up.
  void start_reasons(int reason) { reason_ = reason; }

  /// One way: for each turn on each rank, the value required of it, where there is one.
  template <class Turns, class Current, class Required>
  void way(std::size_t site, const Turns& turns_of, const Current& current,
           const Required& required) {
    Corrections corrections;
    for (const RankFacts& facts : facts_.ranks) {
      for (const auto& turn : turns_of(facts)) {
        if (turn.entry != sites_[site].entry) {
          continue;
        }
        const std::optional<std::int64_t> value = required(facts, turn);
        if (value && *value != current(turn)) {
          corrections.push_back({facts.trace.tp_rank, turn.indices, *value - current(turn)});
        }
      }
    }
    add(site, std::move(corrections));
  }

  void add(std::size_t site, Corrections corrections) {
    const int reason = reason_++;
    const bool is_new =
        std::none_of(result_[site].begin(), result_[site].end(),
                     [&](const Way& one) { return one.corrections == corrections; });
    if (!corrections.empty() && is_new) {
      result_[site].push_back({reason, std::move(corrections)});
    }
  }

  /// As way, for a formula without turns: `current` and `required` may have no value.
  template <class Current, class Required>
  void one(std::size_t site, const Current& current, const Required& required) {
    Corrections corrections;
    for (const RankFacts& facts : facts_.ranks) {
      const std::optional<std::int64_t> now = current(facts);
      const std::optional<std::int64_t> value = required(facts);
      if (now && value && *now != *value) {
        corrections.push_back({facts.trace.tp_rank, {}, *value - *now});
      }
    }
    add(site, std::move(corrections));
  }

 private:
  const GroupFacts& facts_;
  const std::vector<FormulaSite>& sites_;
  std::vector<Dealing> dealings_;
  std::vector<std::vector<Way>> result_;
  int reason_ = 0;
};

/// What is required of formulas of copies; of kernel entries, buffers and the scaling.
void require_of_copy(Ways& ways, std::size_t site);
void require_of_kernel(Ways& ways, std::size_t site);
void require_of_buffer(Ways& ways, std::size_t site);
void require_of_scaling(Ways& ways, std::size_t site);

}  // namespace tplora::core
