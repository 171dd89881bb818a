// Laws 4 and 7: heads, and the base weight.
#pragma once

#include <span>
#include <vector>

#include "sim/layout/rank_state.hpp"
#include "sim/layout/violation.hpp"

namespace tplora::core {

/// For one attention group (ranks in t order): each rank owns heads that belong together, all heads
/// are owned as often as they must, and the base weight's rows stand where they are due. Sets
/// `due` on each rank (cleared where heads do not exist).
void check_group(const Contract& contract, const QkvGeometry& geometry, std::span<RankState> group,
                 std::vector<Violation>& violations);

}  // namespace tplora::core
