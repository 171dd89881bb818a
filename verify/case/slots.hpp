// Which slot an adapter gets where a case leaves it to the engine.
#pragma once

#include "sim/base/result.hpp"
#include "sim/contract/contract.hpp"
#include "verify/case/case.hpp"

namespace tplora::core {

/// Whether some step leaves its slot to the engine.
[[nodiscard]] bool leaves_slots_open(const Case& one);

/// The case with every step's slot chosen, and without `use` steps. Where a step names none, an
/// adapter gets the lowest empty slot, or else that of a resident: by pool.evict the
/// one loaded, activated or used the longest ago, or the one loaded the longest ago. With pool.base
/// `slot` the base model holds slot 0 while some token has no adapter, and loses it last. Refused:
/// a step on an adapter that is resident, not resident or was never loaded at that point, and
/// tokens whose adapter is not resident after the steps.
[[nodiscard]] Result<Case> choose_slots(Case one, const PoolSection& pool);

}  // namespace tplora::core
