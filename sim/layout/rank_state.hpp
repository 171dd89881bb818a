// Everything the laws look at on one rank.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/ensure.hpp"
#include "sim/layout/plan.hpp"
#include "sim/layout/pool_map.hpp"

namespace tplora::core {

struct RankState {
  RankBuild build;
  /// Local output column -> logical row (space: Part) that is due there, see due_columns. Empty
  /// where the heads that the rank owns do not exist.
  IntervalMap due;
  std::vector<RankLoad> loads;        ///< one for each shape that was loaded, then leftovers
  std::vector<std::int32_t> load_of;  ///< by pool event: place in loads, -1 if not planned
  PoolMap pool;

  [[nodiscard]] bool has_load(int event) const {
    return static_cast<std::size_t>(event) < load_of.size() &&
           load_of[static_cast<std::size_t>(event)] >= 0;
  }
  /// What the rank does at a pool event. Precondition: has_load(event).
  [[nodiscard]] const RankLoad& load(int event) const {
    ensure(has_load(event), "a load is planned before it is looked at");
    const auto place = static_cast<std::size_t>(load_of[static_cast<std::size_t>(event)]);
    ensure(place < loads.size(), "an event's load is one of the rank's");
    return loads[place];
  }
};

}  // namespace tplora::core
