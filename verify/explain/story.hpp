// Findings of one cause, told once for all tp_ranks and rows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "verify/explain/finding.hpp"

namespace tplora::core {

/// Findings that differ only in tp_rank, heads and rows.
struct Story {
  Finding first;                    ///< on the lowest tp_rank that has it
  std::vector<std::int64_t> ranks;  ///< ascending
  std::vector<std::int64_t> heads;  ///< heads concerned, ascending
  std::vector<Range> rows;          ///< rows concerned, ascending and apart
};

/// What one formula or word has done. Its cause, with the values on the first rank concerned, is
/// the first story's.
struct FindingGroup {
  Place cause_place;
  std::optional<Place> together_with;  ///< as in the findings
  std::vector<Place> other_places;
  std::vector<Story> stories;
};

/// Findings by cause, in order of discovery.
[[nodiscard]] std::vector<FindingGroup> group_findings(const std::vector<Finding>& findings);

/// Ascending numbers as runs.
[[nodiscard]] std::vector<Range> runs_of(const std::vector<std::int64_t>& numbers);

}  // namespace tplora::core
