// Contract x geometry x tp_size -> what each rank builds and loads. Integers only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/contract/contract.hpp"
#include "sim/layout/deployment.hpp"
#include "sim/layout/plan_cache.hpp"
#include "sim/layout/rank_plan.hpp"
#include "sim/layout/scope.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Evaluates one contract for one geometry and deployment. Not for use from two threads at once.
class Planner {
 public:
  /// `contract` must outlive the planner.
  Planner(const Contract& contract, const QkvGeometry& geometry, const Deployment& deployment,
          Detail detail = Detail::sentences);

  /// A failure that every tp_rank shares, because it and all checks before it do not depend on the
  /// rank; found when the first rank was built.
  [[nodiscard]] bool failed_on_every_rank() const { return scope_.failed_on_every_rank(); }

  /// Builds tp_rank, one of the deployment's, into `build` (reused to spare allocations: a sweep
  /// plans millions of ranks). Returns the failure, if any; buffers that did evaluate are filled in
  /// all the same.
  std::optional<PlanFailure> build(std::int64_t tp_rank, RankBuild& build);

  /// Plans the load of an adapter on the rank built last. On a failure of fit the pieces and
  /// slice_rows are filled in all the same. With `cut`, the adapter's tensors are no longer whole:
  /// they are the slices that `cut`, an earlier load of it on this rank, took of them.
  /// Precondition: `build` is that rank, could be built, and `cut` is not `load`.
  std::optional<PlanFailure> load(const AdapterShape& adapter, const RankBuild& build,
                                  RankLoad& load, const RankLoad* cut = nullptr);

  /// See Scope::enter_part.
  void enter_part(const AdapterShape& adapter, Part part) { scope_.enter_part(adapter, part); }
  /// See Scope::evaluated.
  [[nodiscard]] EvaluatedFormula evaluated(const Formula& formula) const {
    return scope_.evaluated(formula);
  }

 private:
  bool copy_weight(RankBuild& build);
  bool copy_view(RankBuild& build);
  bool copy_b(const AdapterShape& adapter, RankLoad& load, const RankLoad* cut);
  bool copy_a(const AdapterShape& adapter, const RankBuild& build, RankLoad& load,
              const RankLoad* cut);
  bool launch(const AdapterShape& adapter, RankLoad& load);
  bool factors(const AdapterShape& adapter, RankLoad& load);
  bool allocate(const std::vector<Buffer>& buffers, std::vector<std::int64_t>& rows);

  const Contract& contract_;
  QkvGeometry geometry_;
  Scope scope_;
  LoadCache cache_;
  std::vector<std::int64_t> a_extents_;  ///< a place to work in
};

}  // namespace tplora::core
