// Findings: what is wrong, where, what stands there instead, and which formula or word put it
// there. Values; verify/report makes sentences of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/contract/contract.hpp"
#include "sim/layout/analysis.hpp"

namespace tplora::core {

/// What it takes to put a finding in words.
struct FindingContext {
  QkvGeometry geometry;
  std::vector<std::string> adapters;  ///< names, by adapter number
};

/// One finding on one tp_rank. Rows and heads are logical: rows of the part's own projection,
/// counted from its first; the last one is part of the range, and -1 stands for none in particular.
struct Finding {
  Law law = Law::check;
  Verdict verdict = Verdict::silent;  ///< what this finding alone makes of the case
  std::int64_t tp_rank = 0;
  /// Nothing where a formula or check failed, or where a rest is summed up: `cause` says all.
  std::optional<Violation> violation;
  std::optional<Part> part;  ///< nothing where no row of the model is concerned
  std::int64_t first_head = -1, last_head = -1;
  std::int64_t first_row = -1, last_row = -1;
  std::int64_t first_column = -1, last_column = -1;  ///< of the rank's output
  std::optional<Delta> delta;                        ///< nothing: the base layer
  std::string cause;        ///< the formula or word responsible, with its values
  std::string cause_place;  ///< file and JSON pointer of it
  /// Place of a second formula that is wrong too; empty: the cause stands alone.
  std::string together_with;
  /// Places of formulas and words that may as well be wrong instead, the likelier first.
  std::vector<std::string> other_places;
  std::shared_ptr<const FindingContext> context;  ///< set wherever `violation` is

  /// The name of the adapter whose delta is concerned; empty: the base layer.
  [[nodiscard]] std::string adapter() const;
};

/// All findings of an analysis, by tp_rank in order of discovery. `names` are the adapters' names
/// by adapter number.
[[nodiscard]] std::vector<Finding> explain(const Contract& contract, const LayoutCase& input,
                                           const Analysis& analysis,
                                           const std::vector<std::string>& names);

}  // namespace tplora::core
