// One contract, one layer, one deployment: plans, laws, verdict.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/layout/laws.hpp"
#include "sim/layout/plan.hpp"

namespace tplora {

/// A change to the adapter pool, applied on every rank.
struct PoolStep {
  enum class Kind { load, evict };
  Kind kind = Kind::load;
  int adapter = 0;        ///< number in the list of adapters
  std::int64_t slot = 0;  ///< load: where to; evict: where it was
  friend bool operator==(const PoolStep&, const PoolStep&) = default;
};

/// What to analyse. Precondition: steps name existing adapters and slots.
struct LayoutCase {
  QkvGeometry geometry;
  Deployment deployment;
  std::vector<AdapterShape> adapters;
  std::vector<PoolStep> steps;
};

/// What came out.
struct Analysis {
  Verdict verdict = Verdict::consistent;
  /// What a shape assertion alone would say.
  bool shape_check = true;
  std::vector<PlanFailure> failures;   ///< by tp_rank, then by step; one kind for all ranks
  std::vector<Violation> violations;
  /// Set when a formula is undefined here (division by zero, overflow): the contract is wrong as a
  /// description, and the verdict means nothing.
  std::optional<Error> bad_contract;
  std::vector<RankState> ranks;        ///< as far as they could be planned
  std::vector<LiveAdapter> live;       ///< resident after the last step, by slot
};

/// Analyses cases one after the other, reusing memory. Not for use from two threads at once.
class Analyser {
 public:
  /// With Detail::verdicts, failures have no sentences, and ranks that must fail like the first are
  /// not planned. Verdict, shape_check, violations and whether the contract is bad are the same.
  explicit Analyser(Detail detail = Detail::sentences) : detail_(detail) {}

  /// The result stays valid until the next call. What an engine would refuse is a verdict.
  const Analysis& run(const Contract& contract, const LayoutCase& input);

 private:
  bool build_all(Planner& planner, const Contract& contract, const LayoutCase& input);
  void check_laws(const Contract& contract, const LayoutCase& input);

  Detail detail_;
  Analysis analysis_;
};

/// The adapters resident after `steps`, by slot.
[[nodiscard]] std::vector<LiveAdapter> live_adapters(const std::vector<AdapterShape>& adapters,
                                                     const std::vector<PoolStep>& steps);

}  // namespace tplora
