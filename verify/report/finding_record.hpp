// Findings as a report keeps them: told by cause, without the program's own values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/place.hpp"
#include "sim/base/range.hpp"
#include "sim/layout/verdict.hpp"
#include "verify/explain/finding.hpp"

namespace tplora::core {

/// One kind of thing that is wrong, on all tp_ranks, heads and rows on which it is. Heads and rows
/// are logical, of `part`; both ascending.
struct StoryRecord {
  Law law = Law::check;
  std::vector<Range> tp_ranks;
  std::string adapter;               ///< whose delta is concerned; empty: the base layer
  std::optional<std::int64_t> slot;  ///< of that adapter
  std::string part;                  ///< "q", "k" or "v"; empty: no row of the model is concerned
  std::vector<Range> heads, rows;    ///< of `part`
  std::optional<Range> columns;      ///< of the first rank's output, where no part is concerned
  std::string found, expected;       ///< on the first rank; empty: `cause` tells all
  std::string cause;                 ///< on the first rank
  std::string failed;                ///< of a formula or check that fails by itself: how
  bool consequence = false;          ///< of what else the same cause does
  friend bool operator==(const StoryRecord&, const StoryRecord&) = default;
};

/// What one formula or word has done.
struct FindingRecord {
  Place place;                         ///< of that formula or word
  std::optional<Place> together_with;  ///< of a second one that is wrong too
  std::vector<Place> other_places;     ///< of those that may be wrong instead
  std::vector<StoryRecord> stories;    ///< at least one
  friend bool operator==(const FindingRecord&, const FindingRecord&) = default;
};

/// By cause, in order of discovery.
[[nodiscard]] std::vector<FindingRecord> record_findings(const std::vector<Finding>& findings);

/// Each formula or word with what it has done, indented; at most `most` of them.
[[nodiscard]] std::string findings_text(const std::vector<FindingRecord>& findings,
                                        std::size_t most);

/// One sentence: what is wrong in the first story, and why.
[[nodiscard]] std::string sentence_of(const FindingRecord& finding);

/// "0-3, 5".
[[nodiscard]] std::string ranges_text(const std::vector<Range>& ranges);

}  // namespace tplora::core
