// One contract, one layer, one deployment: plans, laws, verdict.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/layout/plan.hpp"
#include "sim/layout/pool_steps.hpp"
#include "sim/layout/rank_state.hpp"
#include "sim/layout/violation.hpp"

namespace tplora::core {

/// What to analyse. Precondition: steps name existing adapters and slots.
struct LayoutCase {
  QkvGeometry geometry;
  Deployment deployment;
  std::vector<AdapterShape> adapters;
  std::vector<PoolStep> steps;
};

/// Far more than anybody reads, and no more than fit memory with their sentences.
constexpr std::size_t kMaxViolations = std::size_t{1} << 18;

/// What came out.
struct Analysis {
  Verdict verdict = Verdict::consistent;
  /// What a shape assertion alone would say.
  bool shape_check = true;
  std::vector<PlanFailure> failures;  ///< by tp_rank, then by step; one kind for all ranks
  /// Of each rank and adapter in turn, until there are kMaxViolations or more.
  std::vector<Violation> violations;
  /// Set when a formula is undefined here (division by zero, overflow): the contract is wrong as a
  /// description, and the verdict means nothing.
  std::optional<Error> bad_contract;
  /// Every rank fails when it is built, at a formula or check that does not depend on the rank;
  /// what adapters would be loaded changes nothing.
  bool failed_before_adapters = false;
  /// Some rank fails when it is built: whatever adapters are loaded, the verdict is no better.
  bool some_rank_unbuilt = false;
  std::vector<RankState> ranks;   ///< as far as they could be planned
  std::vector<PoolEvent> events;  ///< what the steps do, in order
  std::vector<LiveAdapter> live;  ///< resident after the last step, by slot
};

/// Analyses cases one after the other, reusing memory. Not for use from two threads at once.
class Analyser {
 public:
  /// With Detail::verdicts, failures have no sentences, ranks that must fail like the first are not
  /// planned, and `ranks` may be longer than tp_size (a sweep keeps their memory). Verdict,
  /// shape_check, violations and whether the contract is bad are the same.
  explicit Analyser(Detail detail = Detail::sentences) : detail_(detail) {}

  /// What an engine would refuse is a verdict. The result stays valid until the next call; that of
  /// an analyser which is used once is the caller's.
  const Analysis& run(const Contract& contract, const LayoutCase& input) &;
  [[nodiscard]] Analysis run(const Contract& contract, const LayoutCase& input) &&;
  /// As run, for an input that differs from the last one in its adapters only, under the same
  /// contract: what failed before any adapter was known fails again and is not planned again.
  const Analysis& run_again(const Contract& contract, const LayoutCase& input) &;
  /// What came out last.
  [[nodiscard]] const Analysis& last() const { return analysis_; }

 private:
  /// Of which shape a load is planned, how often its tensors were cut before, and how that ended.
  struct PlannedLoad {
    AdapterShape shape;
    int cuts = 0;
    std::optional<PlanFailure> failure;
  };

  const PlannedLoad& plan_load(Planner& planner, const Contract& contract, std::size_t rank,
                               int event);
  bool build_all(Planner& planner, const Contract& contract, const LayoutCase& input);
  std::optional<PlanFailure> load_all(Planner& planner, const Contract& contract,
                                      const LayoutCase& input, std::size_t rank);
  void check_laws(const Contract& contract, const LayoutCase& input);

  Detail detail_;
  bool again_ = false;
  std::vector<std::optional<PlanFailure>> failed_builds_;  ///< by tp_rank, of the last run
  std::vector<std::vector<PlannedLoad>> planned_;          ///< by tp_rank, beside loads
  RankBuild scratch_build_;
  Analysis analysis_;
  std::vector<std::vector<IntervalMap>> gathered_;  ///< by live adapter: A rows over the group
};

/// Plans event number `event` on the rank that `planner` built last, with the uses before it where
/// the contract cuts in place. Precondition: `event` is one of `events`.
std::optional<PlanFailure> plan_event(Planner& planner, const Contract& contract,
                                      const std::vector<PoolEvent>& events, int event,
                                      const RankBuild& build, RankLoad& load);

}  // namespace tplora::core
