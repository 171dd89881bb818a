// What a planner need not work out again. Everything here follows from Contract::dependences: a
// value, a copy or a launch is kept for as long as nothing that it depends on can have changed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/base/ensure.hpp"
#include "sim/contract/contract.hpp"
#include "sim/layout/deployment.hpp"
#include "sim/layout/rank_plan.hpp"

namespace tplora::core {

/// Values of formulas that are the same on every rank, or for everything one rank does.
class ValueCache {
 public:
  /// `contract` must outlive the cache.
  explicit ValueCache(const Contract& contract)
      : contract_(contract), kept_(contract.dependences.size()) {}

  /// Forgets the values of the rank before.
  void enter_rank() { ++rank_; }
  /// The value kept, or null. Precondition, here and below: a formula of the contract.
  [[nodiscard]] const std::int64_t* find(const Formula& formula) const {
    const Kept& kept = kept_[place_of(formula)];
    return kept.rank == rank_ || kept.rank == kEveryRank ? &kept.value : nullptr;
  }
  void keep(const Formula& formula, std::int64_t value) {
    const std::size_t number = place_of(formula);
    const Dependence& on = contract_.dependences[number];
    if (!on.index && !on.targets && !on.adapter) {
      kept_[number] = {value, on.tp_rank ? rank_ : kEveryRank};
    }
  }

 private:
  static constexpr std::int64_t kEveryRank = -1;
  struct Kept {
    std::int64_t value = 0;
    std::int64_t rank = 0;  ///< for which rank_; 0: nothing kept yet
  };
  [[nodiscard]] std::size_t place_of(const Formula& formula) const {
    const auto number = static_cast<std::size_t>(formula.number());
    ensure_checked([&] { return number < kept_.size(); }, "a formula of the contract is evaluated");
    return number;
  }

  const Contract& contract_;
  std::vector<Kept> kept_;  ///< by Formula::number
  std::int64_t rank_ = 1;   ///< counts the ranks entered
};

/// Copies and launches that another load repeats: copies of lora_b for the next adapter of equal
/// targets on the rank, copies of lora_a and launches for the same adapter on the next rank.
class LoadCache {
 public:
  /// `contract` must outlive the cache.
  explicit LoadCache(const Contract& contract) : contract_(contract) {}

  void enter_rank() { has_b_ = false; }

  /// Fills in what is kept and says so; else nothing is changed.
  [[nodiscard]] bool find_b(const AdapterShape& adapter, RankLoad& load) const;
  [[nodiscard]] bool find_a(const AdapterShape& adapter, RankLoad& load) const;
  [[nodiscard]] bool find_launches(const AdapterShape& adapter, RankLoad& load) const;

  /// Keeps that part of `load`, if it is one that repeats.
  void keep_b(const AdapterShape& adapter, const RankLoad& load);
  void keep_a(const AdapterShape& adapter, const RankLoad& load);
  void keep_launches(const AdapterShape& adapter, const RankLoad& load);

 private:
  struct KeptA {
    AdapterShape adapter;
    std::vector<Piece> pieces;
    std::vector<IntervalMap> maps;
  };
  struct KeptLaunches {
    AdapterShape adapter;
    std::vector<KernelLaunch> launches;
  };

  const Contract& contract_;
  // Found out when they are first asked for: most plans are of one rank and adapter.
  std::optional<bool> b_repeats_, a_repeats_, launches_repeat_;
  bool has_b_ = false;
  std::array<bool, 3> b_targets_ = {};
  std::array<std::int64_t, 3> b_rows_ = {};
  std::vector<Piece> b_pieces_;
  std::vector<IntervalMap> b_maps_;
  std::vector<std::int64_t> b_slice_rows_;
  std::vector<KeptA> a_;
  std::vector<KeptLaunches> launches_;
};

}  // namespace tplora::core
