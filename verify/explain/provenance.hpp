// What wrong values really are: the pool's memory operations once more, on labels.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/contract/contract.hpp"
#include "sim/layout/analysis.hpp"

namespace tplora::core {

/// Output columns whose delta comes from consecutive rows.
struct Provenance {
  std::int64_t column = 0;  ///< first local output column
  std::int64_t rows = 0;
  Content found;                     ///< the B rows, or, where those are right, the A rows
  std::optional<std::int64_t> slot;  ///< where these were read; nothing: in none
};

/// Where the delta of `live` on `tp_rank` comes from in columns [begin, end): wrong stretches only.
/// Computed by running the steps on 64-bit labels through the same flat memory as the values, so
/// it owes nothing to the laws' interval maps.
[[nodiscard]] std::vector<Provenance> trace_delta(const Contract& contract, const LayoutCase& input,
                                                  const Analysis& analysis, std::int64_t tp_rank,
                                                  const LiveAdapter& live, std::int64_t begin,
                                                  std::int64_t end);

}  // namespace tplora::core
