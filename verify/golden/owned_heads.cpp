#include "verify/golden/owned_heads.hpp"

#include <fmt/format.h>

namespace tplora::core {

Result<OwnedHeads> owned_heads(const QkvGeometry& g, std::int64_t tp_rank,
                               std::int64_t group_size) {
  if (g.num_attention_heads % group_size != 0) {
    return fail(
        fmt::format("{} ranks for {} query heads: expected a number of ranks that divides "
                    "num_attention_heads",
                    group_size, g.num_attention_heads));
  }
  OwnedHeads own;
  own.tp_rank = tp_rank;
  own.q_heads = g.num_attention_heads / group_size;
  own.first_q = tp_rank % group_size * own.q_heads;
  const std::int64_t q_per_kv = g.num_attention_heads / g.num_key_value_heads;
  own.first_kv = own.first_q / q_per_kv;
  own.kv_heads = (own.first_q + own.q_heads - 1) / q_per_kv + 1 - own.first_kv;
  for (const Part part : kParts) {
    const bool q = part == Part::q;
    const std::int64_t rows = (q ? own.q_heads : own.kv_heads) * g.rows_per_head(part);
    own.columns.push_back({.part = part,
                           .at = own.width,
                           .first_row = (q ? own.first_q : own.first_kv) * g.rows_per_head(part),
                           .rows = rows});
    own.width += rows;
  }
  return own;
}

}  // namespace tplora::core
