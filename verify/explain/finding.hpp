// Findings: what is wrong, where, what stands there instead, and which formula or word put it
// there. Values; verify/report makes sentences of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/range.hpp"
#include "sim/contract/contract.hpp"
#include "sim/layout/analysis.hpp"
#include "verify/explain/cause.hpp"

namespace tplora::core {

/// What it takes to put a finding in words.
struct FindingContext {
  QkvGeometry geometry;
  std::vector<std::string> adapters;  ///< names, by adapter number
};

/// One finding on one tp_rank. Rows and heads are logical: rows of the part's own projection,
/// counted from its first.
struct Finding {
  Law law = Law::check;
  Verdict verdict = Verdict::silent;  ///< what this finding alone makes of the case
  std::int64_t tp_rank = 0;
  /// Nothing where a formula or check failed, or where a rest is summed up: `cause` tells all.
  std::optional<Violation> violation;
  std::optional<Part> part;          ///< nothing where no row of the model is concerned
  std::optional<Range> heads, rows;  ///< of `part`, set where it is
  std::optional<Range> columns;      ///< of the rank's output; nothing: none in particular
  std::optional<Delta> delta;        ///< nothing: the base layer
  Cause cause;
  Place cause_place;  ///< of what it says
  /// Whether it holds only because of what else the same cause does: replicas disagree because one
  /// of them is wrong.
  bool consequence = false;
  /// Of a second formula or word that is wrong too; nothing: the cause stands alone.
  std::optional<Place> together_with;
  /// Of formulas and words that may as well be wrong instead, the likelier first.
  std::vector<Place> other_places;
  std::shared_ptr<const FindingContext> context;  ///< set wherever `violation` is

  /// Whether rows of the model or columns of a rank are concerned: then something is expected and
  /// something found.
  [[nodiscard]] bool is_about_rows() const { return part || columns; }
  /// The name of the adapter whose delta is concerned; empty: the base layer.
  [[nodiscard]] std::string adapter() const;
};

struct ExplainOptions {
  bool causes = true;  ///< else what is wrong is told, and not why: that takes much longer
  std::function<bool()> over = [] { return false; };  ///< as of blame
};

/// All findings of an analysis, by tp_rank in order of discovery. `names` are the adapters' names
/// by adapter number.
[[nodiscard]] std::vector<Finding> explain(const Contract& contract, const LayoutCase& input,
                                           const Analysis& analysis,
                                           const std::vector<std::string>& names,
                                           const ExplainOptions& options = {});

}  // namespace tplora::core
