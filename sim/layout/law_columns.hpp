// Law 2, the columns: each one gets one delta.
#pragma once

#include <vector>

#include "sim/base/interval_map.hpp"
#include "sim/layout/pool_steps.hpp"
#include "sim/layout/rank_state.hpp"
#include "sim/layout/violation.hpp"

namespace tplora::core {

/// What is due in a stretch of a rank's due columns. Precondition: something is.
[[nodiscard]] DueRows due_rows(const Segment& column);

/// Whether every due column of a part that the adapter targets is written by exactly one launch.
/// What launches write there is no matter here. Precondition: as of check_delta.
void check_columns(const RankState& rank, const LiveAdapter& live,
                   std::vector<Violation>& violations);

}  // namespace tplora::core
