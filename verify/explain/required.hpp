// The values that the laws require of a formula, all others as they are.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "sim/contract/sites.hpp"
#include "sim/layout/analysis.hpp"
#include "verify/explain/rank_trace.hpp"

namespace tplora::core {

/// On one rank, in one turn of its entry, the formula would have to come to `delta` more.
struct Correction {
  std::int64_t tp_rank = 0;
  Indices indices;
  std::int64_t delta = 0;
  friend auto operator<=>(const Correction&, const Correction&) = default;
};

using Corrections = std::vector<Correction>;

/// One way in which a formula's values could be right: corrections where they are not. Not empty.
struct Way {
  int reason = 0;  ///< the same for the same formula and the same line of thought
  Corrections corrections;
};

/// Whether a formula is T or t. What these must be follows from the deployment alone: with another
/// T there would be other groups, and nothing to compare.
[[nodiscard]] bool says_what_a_group_is(const Contract& contract, const FormulaSite& site);

/// For each formula of `sites`, what the laws could require of it, each once. What is required of a
/// copy follows from the rows that are due where it puts its own; of a kernel entry, from the rows
/// that stand in its buffers; of what a rank owns, from the model and from its base weight; of a
/// let, from what is required of the formulas that look at it. `adapter` is the number of the one
/// whose delta is concerned. Lets take the longest and
/// can be left out.
enum class Lets { with, without };
[[nodiscard]] std::vector<std::vector<Way>> required_values(const Contract& contract,
                                                            const std::vector<FormulaSite>& sites,
                                                            const LayoutCase& input,
                                                            const Analysis& analysis, int adapter,
                                                            Lets lets);

}  // namespace tplora::core
