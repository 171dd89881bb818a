// Evaluates the kernel entries of a contract.
#pragma once

#include <vector>

#include "sim/layout/rank_plan.hpp"
#include "sim/layout/scope.hpp"

namespace tplora::core {

/// Appends the launches of all entries, in their order. False, with the reason left in `scope`: a
/// formula without a value, or a place or count that no buffer can have.
bool plan_launches(Scope& scope, const std::vector<KernelEntry>& kernel,
                   std::vector<KernelLaunch>& launches);

}  // namespace tplora::core
