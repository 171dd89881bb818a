// Law 1, fit: what a load puts into a buffer must have the shape that the engine demands of it.
#pragma once

#include <optional>

#include "sim/layout/rank_plan.hpp"
#include "sim/layout/scope.hpp"

namespace tplora::core {

/// The first buffer that the load does not fit, by the contract's `fit` for lora_b; rows of lora_a
/// may not reach past the end. `scope` is that of the load, for the adapter's lora_rank and the
/// sentence. Precondition: rank and load have the contract's buffers.
[[nodiscard]] std::optional<PlanFailure> check_fit(const Scope& scope, const Contract& contract,
                                                   const AdapterShape& adapter,
                                                   const RankBuild& build, const RankLoad& load);

}  // namespace tplora::core
