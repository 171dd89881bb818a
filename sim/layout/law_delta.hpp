// Laws 2, 3 and 6: the delta of a live adapter, through every kernel launch.
#pragma once

#include <span>
#include <vector>

#include "sim/layout/pool_steps.hpp"
#include "sim/layout/rank_state.hpp"
#include "sim/layout/violation.hpp"

namespace tplora::core {

/// The A rows of a live adapter's slot as a group's kernels see them, for each lora_a buffer: with
/// `gather: tp` the buffers of all its ranks in t order, else nothing (each rank sees its own).
void gather_a(const Contract& contract, std::span<const RankState> group, const LiveAdapter& live,
              std::vector<IntervalMap>& gathered);

/// Laws 2, 3 and 6 for one live adapter on one rank, whose due columns are set; `gathered` comes
/// from gather_a. Precondition, here and above: the adapter is in a slot of the deployment, and
/// pools hold what its event has loaded.
void check_delta(const Contract& contract, const Deployment& deployment, const RankState& rank,
                 const LiveAdapter& live, const std::vector<IntervalMap>& gathered,
                 std::vector<Violation>& violations);

}  // namespace tplora::core
