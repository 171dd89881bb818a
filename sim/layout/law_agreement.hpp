// Law 5: replicas of a KV head are equal.
#pragma once

#include <span>
#include <vector>

#include "sim/layout/rank_state.hpp"
#include "sim/layout/violation.hpp"

namespace tplora::core {

/// Where neighbouring ranks of a group to which the same KV head is due differ in what is wrong
/// with it, the replicas differ. Adds one violation for each such rank and part to those of the
/// other laws. Precondition: check_group has set what is due.
void check_agreement(const Contract& contract, const QkvGeometry& geometry,
                     std::span<const RankState> group, std::vector<Violation>& violations);

}  // namespace tplora::core
