// The symbols of a contract while ranks are planned: what they are worth, and what stopped them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/ensure.hpp"
#include "sim/contract/contract.hpp"
#include "sim/layout/deployment.hpp"
#include "sim/layout/evaluated_formula.hpp"
#include "sim/layout/plan_cache.hpp"
#include "sim/layout/rank_plan.hpp"

namespace tplora::core {

/// Evaluates a contract's formulas for one deployment, on one rank after the other, there for one
/// adapter after the other. Whatever gives false has left behind why, for `failure`.
class Scope {
 public:
  /// All but `contract` are copied; that must outlive the scope.
  Scope(const Contract& contract, const QkvGeometry& geometry, const Deployment& deployment,
        Detail detail);

  /// Gives tp_rank its values: its lets, then the checks of a build. The failure is the first check
  /// among those that are known which does not hold, else a let that has no value. Precondition: a
  /// rank of the deployment.
  std::optional<PlanFailure> enter_rank(std::int64_t tp_rank);
  /// Whether the last enter_rank fails on every rank: neither what failed nor any check before it
  /// depends on the rank.
  [[nodiscard]] bool failed_on_every_rank() const { return failed_on_every_rank_; }
  /// The same for an adapter on that rank, with the checks of a load.
  std::optional<PlanFailure> enter_adapter(const AdapterShape& adapter);
  /// Gives the part's symbols their values. Precondition: the adapter was entered.
  void enter_part(const AdapterShape& adapter, Part part) { put_part(adapter, part, values_); }

  /// The formula's value; false where it has none. Precondition: all that it mentions has one.
  bool eval(const Formula& formula, std::int64_t& out) {
    ensure_checked([&] { return can_evaluate(formula); },
                   "a formula is evaluated when the lets that it mentions are");
    if (const std::int64_t* kept = cache_.find(formula)) {
      ensure_checked([&] { return formula.evaluate(values_) == *kept; },
                     "a value that is kept is still the formula's");
      out = *kept;
      return true;
    }
    if (!formula.evaluate(values_, out)) {
      return stop_at(formula);
    }
    cache_.keep(formula, out);
    return true;
  }

  /// Evaluates `body`, which may be false, for every combination of the loops' indices. False as
  /// well: a count has no value, or there are more steps on a rank, or more copies and launches on
  /// all, than a contract may have.
  template <class Body>
  bool for_each_index(const std::vector<Loop>& loops, const Body& body) {
    return for_each_index_from(loops, 0, body);
  }
  /// Counts copies and launches against that limit.
  bool count_pieces(std::size_t count);

  /// Leaves behind why planning stops; always false. `sentence` gives a string and is asked only
  /// where it is wanted. `undefined`: the contract's mistake, no assertion of the engine.
  template <class Sentence>
  bool stop(const Sentence& sentence, const Place& place, bool undefined = false) {
    stop_.undefined = undefined;
    if (detail_ == Detail::sentences) {
      stop_.sentence = sentence();
      stop_.place = place;
    }
    return false;
  }
  /// What was left behind last. Precondition: something gave false.
  [[nodiscard]] PlanFailure failure(Verdict verdict) const;

  [[nodiscard]] std::int64_t value(int symbol) const {
    const auto number = static_cast<std::size_t>(symbol);
    ensure_checked([&] { return number < values_.size(); }, "a symbol of the contract has a value");
    return values_[number];
  }
  [[nodiscard]] Detail detail() const { return detail_; }

  /// With the values of the rank and adapter entered last, loop indices at their last value.
  [[nodiscard]] EvaluatedFormula evaluated(const Formula& formula) const;
  /// The same in words.
  [[nodiscard]] std::string describe(const Formula& formula) const {
    return text_of(evaluated(formula));
  }

 private:
  std::optional<PlanFailure> run_checks(Check::When when, Verdict unnamed);
  bool run_lets(Phase phase);
  void forget_lets(Phase phase);
  bool stop_at(const Formula& formula);
  [[nodiscard]] bool known(const Formula& formula) const;
  /// Whether all has a value but T and t, which have one before their let and after it failed.
  [[nodiscard]] bool can_evaluate(const Formula& formula) const;
  [[nodiscard]] PlanFailure check_failure(const Check& check) const;
  bool enter_loop(const Loop& loop, std::int64_t& count);

  template <class Body>
  bool for_each_index_from(const std::vector<Loop>& loops, std::size_t level, const Body& body) {
    if (level == loops.size()) {
      return count_pieces(1) && body();
    }
    std::int64_t count = 0;
    if (!enter_loop(loops[level], count)) {
      return false;
    }
    for (std::int64_t i = 0; i < count; ++i) {
      values_[static_cast<std::size_t>(loops[level].symbol)] = i;
      if (!for_each_index_from(loops, level + 1, body)) {
        return false;
      }
    }
    return true;
  }

  const Contract& contract_;
  Detail detail_;
  std::vector<std::int64_t> values_;
  std::vector<std::uint8_t> known_;  ///< by symbol: its value is defined at this point
  bool all_known_ = true;            ///< no let has failed yet
  ValueCache cache_;
  Formula::Stop stop_;                       ///< why something gave false last
  std::optional<Formula::Stop> deployment_;  ///< why a let of the deployment did, if one did
  std::int64_t group_size_ = 0;              ///< T before any formula of a rank
  std::optional<std::int64_t> group_rank_;   ///< t, where a let makes it the same on all ranks
  bool checks_of_rank_ = false;              ///< a check evaluated last may differ between ranks
  bool failed_on_every_rank_ = false;
  std::int64_t loop_steps_ = 0;  ///< of the rank's build, or of the adapter's load
  std::int64_t pieces_ = 0;      ///< on all ranks so far
};

}  // namespace tplora::core
