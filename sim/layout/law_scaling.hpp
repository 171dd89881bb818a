// Law 8: the factor of an adapter's delta. And whose adapter it is.
#pragma once

#include <span>
#include <vector>

#include "sim/layout/pool_steps.hpp"
#include "sim/layout/rank_state.hpp"
#include "sim/layout/violation.hpp"

namespace tplora::core {

/// For one live adapter on one rank; `events` are those of scaling_events, all planned there.
void check_scaling(const RankState& rank, const LiveAdapter& live, std::span<const int> events,
                   std::vector<Violation>& violations);

/// For one live adapter on one rank: tensors of B that are not of this layer. True: there are some.
bool check_rows(const QkvGeometry& geometry, const RankState& rank, const LiveAdapter& live,
                std::vector<Violation>& violations);

}  // namespace tplora::core
