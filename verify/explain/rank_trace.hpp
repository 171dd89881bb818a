// What the formulas of a contract come to on one rank, entry by entry: for those who ask which of
// them went wrong.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "sim/layout/analysis.hpp"

namespace tplora::core {

/// The loop indices of one turn of an entry: symbol and value, outermost first.
using Indices = std::vector<std::pair<int, std::int64_t>>;

/// One turn of a copy: rows [from, from + rows) of its source to rows from `to` on of its buffer.
struct CopyTurn {
  std::size_t entry = 0;
  Indices indices;
  std::int64_t from = 0, rows = 0, to = 0;
};

/// One turn of a kernel entry.
struct LaunchTurn {
  std::size_t entry = 0;
  Indices indices;
  std::int64_t a_at = 0, b_at = 0, out = 0, rows = 0, depth = 0;
  std::optional<std::int64_t> b_stride;  ///< nothing: none is said
};

/// What a part's delta is multiplied by.
struct FactorTrace {
  std::optional<std::int64_t> numerator, denominator, root;
};

/// What one rank does with one adapter. What has no value is left out.
struct RankTrace {
  std::int64_t tp_rank = 0;
  std::vector<std::int64_t> values;  ///< by symbol
  RankBuild heads;                   ///< owned heads only
  std::vector<CopyTurn> weight, b, a;
  std::vector<std::int64_t> b_rows, a_rows;  ///< of the buffers
  std::vector<LaunchTurn> launches;
  std::array<FactorTrace, 3> factors;  ///< by Part
};

/// Evaluates the contract's formulas, in their order. Turns are followed as far as kMostTurns.
[[nodiscard]] RankTrace trace_rank(const Contract& contract, const LayoutCase& input,
                                   std::int64_t tp_rank, const AdapterShape& adapter);
inline constexpr std::size_t kMostTurns = 4096;

/// The symbols' values if let number `let` had `value`, and those behind it followed.
[[nodiscard]] std::vector<std::int64_t> values_with_let(const Contract& contract,
                                                        std::vector<std::int64_t> values,
                                                        std::size_t let, std::int64_t value);

}  // namespace tplora::core
