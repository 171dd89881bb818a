// What each rank must own, by the model alone.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/result.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Columns [at, at + rows) of a rank are rows [first_row, first_row + rows) of `part`.
struct ColumnsOfPart {
  Part part = Part::q;
  std::int64_t at = 0;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
};

/// Heads of one tp_rank: its share of the query heads, and the KV heads to which these belong.
struct OwnedHeads {
  std::int64_t tp_rank = 0;
  std::int64_t first_q = 0, q_heads = 0;
  std::int64_t first_kv = 0, kv_heads = 0;
  std::int64_t width = 0;              ///< columns
  std::vector<ColumnsOfPart> columns;  ///< q, k, v, one behind the other
};

/// Refused: a group of ranks that does not divide num_attention_heads, for which no rule says who
/// owns what. `group_size`: tp_size / dp_size.
[[nodiscard]] Result<OwnedHeads> owned_heads(const QkvGeometry& geometry, std::int64_t tp_rank,
                                             std::int64_t group_size);

}  // namespace tplora::core
