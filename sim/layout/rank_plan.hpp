// What one rank builds and loads: row maps and launches, without the formulas they came from.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/ensure.hpp"
#include "sim/base/interval_map.hpp"
#include "sim/contract/contract.hpp"
#include "sim/layout/spaces.hpp"
#include "sim/layout/verdict.hpp"

namespace tplora::core {

/// One evaluated copy. Rows that a clip cut off the front or the end are not in `rows`.
struct Piece {
  int copy = 0;  ///< place in the section's list of copies
  Source source = Source::fused;
  int buffer = 0;
  std::int64_t to = 0;           ///< first row in the buffer (weight: first output column)
  std::int64_t from = 0;         ///< first row in the source tensor, as the formula says
  std::int64_t wanted_rows = 0;  ///< rows as the formula says
  std::int64_t rows = 0;         ///< rows really copied
};

/// One evaluated kernel entry.
struct KernelLaunch {
  int entry = 0;
  int a = 0, b = 0;
  std::int64_t a_at = 0, b_at = 0, out = 0, rows = 0, depth = 0;
  std::int64_t b_stride = 0;  ///< elements from one row of B to the next
};

/// Columns [from, from + rows).
struct ColumnRun {
  std::int64_t from = 0, rows = 0;
  friend bool operator==(const ColumnRun&, const ColumnRun&) = default;
};

/// What a rank is before any adapter: its group, its heads, its base weight, its buffers.
struct RankBuild {
  std::int64_t tp_rank = 0;
  std::int64_t group_size = 1;  ///< T
  std::int64_t group_rank = 0;  ///< t
  std::int64_t first_q = 0, q_heads = 0, first_kv = 0, kv_heads = 0;
  std::vector<Piece> weight;
  IntervalMap columns;     ///< local output column -> logical row (space: Part) of the base weight
  std::int64_t width = 0;  ///< local output columns
  std::vector<std::int64_t> b_rows;  ///< rows of each lora_b buffer, one slot
  std::vector<std::int64_t> a_rows;  ///< rows of each lora_a buffer, one slot
  /// Where the contract's view has copies: columns of what attention looks at, in its order.
  std::vector<ColumnRun> view;
};

/// A factor: numerator / alpha_unit / denominator / sqrt(root).
struct DeltaFactor {
  std::int64_t numerator = 1, alpha_unit = 1, denominator = 1, root = 1;

  /// As an engine computes it, in double, then in fp32. Precondition: there is a factor.
  [[nodiscard]] float value() const {
    ensure(denominator != 0 && root > 0, "a load without a factor has failed");
    const double quotient = static_cast<double>(numerator) / static_cast<double>(alpha_unit) /
                            static_cast<double>(denominator);
    return static_cast<float>(quotient / std::sqrt(static_cast<double>(root)));
  }
  friend bool operator==(const DeltaFactor&, const DeltaFactor&) = default;
};

/// What a rank does with one adapter shape.
struct RankLoad {
  std::vector<Piece> b_pieces, a_pieces;
  std::vector<IntervalMap> b_maps;  ///< for each buffer: slice row -> logical row (space: Part)
  std::vector<IntervalMap>
      a_maps;  ///< for each buffer: row -> adapter row (space: Part or kSharedA)
  std::vector<std::int64_t> slice_rows;  ///< rows of each buffer's slice, as concatenated
  std::vector<KernelLaunch> launches;
  std::array<DeltaFactor, 3> factors = {};  ///< by Part

  /// The factor of a part's delta, as in the engine's fp32 table. Precondition: the load could be
  /// planned.
  [[nodiscard]] float scaling(Part part) const {
    return factors[static_cast<std::size_t>(part)].value();
  }
};

/// Why a plan stops: refused or crash, at which formula or check.
struct PlanFailure {
  Verdict verdict = Verdict::refused;
  Law law = Law::check;
  std::int64_t tp_rank = 0;
  std::string sentence;  ///< what was asserted or failed, with the values of the symbols
  Place place;           ///< of that formula or check
  /// A formula divides by zero or overflows: no engine asserts that, the contract is at fault.
  bool undefined = false;
};

/// Whether failures carry their sentences. A sweep of millions of plans wants verdicts only.
enum class Detail { sentences, verdicts };

/// Row counts above this are refused: no device holds them, and sums of a few stay in 64 bits.
inline constexpr std::int64_t kMaxRows = std::int64_t{1} << 48;

}  // namespace tplora::core
