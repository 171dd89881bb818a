// Findings: what is wrong, where, what stands there instead, and which formula put it there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/contract/contract.hpp"
#include "sim/layout/analysis.hpp"

namespace tplora {

/// One finding on one tp_rank, as values. Rows and heads are logical: rows of the part's own
/// projection, counted from its first; the last row is part of the range.
struct Finding {
  Law law = Law::check;
  Verdict verdict = Verdict::silent;  ///< what this finding alone makes of the case
  std::int64_t tp_rank = 0;
  std::string part;  ///< "q", "k", "v", or empty where a whole rank is concerned
  std::int64_t first_head = -1, last_head = -1;
  std::int64_t first_row = -1, last_row = -1;
  std::int64_t first_column = -1,
               last_column = -1;  ///< of the rank's output; -1: none in particular
  std::string adapter;            ///< the adapter whose delta is concerned; empty: the base layer
  std::int64_t slot = -1;         ///< its slot
  std::string expected;           ///< what should stand there
  std::string found;              ///< what stands there
  std::string cause;              ///< the formula responsible, with its values
  std::string cause_place;        ///< file and JSON pointer of that formula

  /// One sentence with all of it, for one rank.
  [[nodiscard]] std::string message() const;
};

/// All findings of an analysis, by tp_rank in order of discovery. `names` are the adapters' names
/// by adapter number.
[[nodiscard]] std::vector<Finding> explain(const Contract& contract, const LayoutCase& input,
                                           const Analysis& analysis,
                                           const std::vector<std::string>& names);

/// Findings that differ only in tp_rank, heads and rows, told once.
struct Story {
  Finding first;                                            ///< on the lowest tp_rank that has it
  std::vector<std::int64_t> ranks;                          ///< ascending
  std::vector<std::int64_t> heads;                          ///< heads concerned, ascending
  std::vector<std::pair<std::int64_t, std::int64_t>> rows;  ///< first and last, merged, ascending
};

/// What one formula has done.
struct FindingGroup {
  std::string cause;  ///< the formula with its values, on the first rank concerned
  std::string cause_place;
  std::vector<Story> stories;
};

/// Findings by root formula, in order of discovery.
[[nodiscard]] std::vector<FindingGroup> group_findings(const std::vector<Finding>& findings);

/// "0-3, 5": ascending numbers as ranges.
[[nodiscard]] std::string ranges(const std::vector<std::int64_t>& numbers);

}  // namespace tplora
