#include "sim/layout/row_order.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/layout/map_facts.hpp"
#include "sim/layout/spaces.hpp"

namespace tplora::core {

void append_q_heads(const QkvGeometry& geometry, FusedOrder order, std::int64_t first_head,
                    std::int64_t heads, std::int64_t at, IntervalMap& map) {
  ensure(0 <= first_head && 0 <= heads && first_head <= geometry.num_attention_heads - heads,
         "only heads that a layer has are appended");
  const std::int64_t rows = geometry.rows_per_head(Part::q);
  const std::int64_t halves = order == FusedOrder::per_group_halves ? geometry.q_multiplier : 1;
  for (std::int64_t half = 0; half < halves; ++half) {
    if (halves == 1) {
      map.append(at, heads * rows, space_of(Part::q), first_head * rows);
      return;
    }
    for (std::int64_t head = first_head; head < first_head + heads; ++head) {
      map.append(at, rows / halves, space_of(Part::q), head * rows + half * (rows / halves));
      at += rows / halves;
    }
  }
}

void append_fused(const QkvGeometry& geometry, FusedOrder order, std::int64_t from,
                  std::int64_t rows, std::int64_t at, IntervalMap& map) {
  ensure(0 <= from && 0 <= rows && from <= geometry.total_rows() - rows,
         "only rows that a fused tensor has are appended");
  ensure(at >= end_of(map), "rows are appended behind those of the map");
  // A fused tensor is a number of equal groups, each q | k | v; `blocks` is one group of all.
  const std::int64_t groups = order == FusedOrder::blocks ? 1 : geometry.num_key_value_heads;
  // A division by one is as slow as any, and this is where sweeps spend their time.
  const auto per_group = [&](std::int64_t count) { return groups == 1 ? count : count / groups; };
  const std::int64_t group_rows = per_group(geometry.total_rows());
  const std::int64_t end = from + rows;
  for (std::int64_t group = groups == 1 ? 0 : from / group_rows; from < end; ++group) {
    std::int64_t part_begin = group * group_rows;
    for (const Part part : kParts) {
      const std::int64_t part_rows = per_group(geometry.rows(part));
      const std::int64_t stop = std::min(end, part_begin + part_rows);
      if (from < stop) {
        if (part == Part::q && order == FusedOrder::per_group_halves) {
          const std::int64_t heads = per_group(geometry.num_attention_heads);
          IntervalMap q;
          append_q_heads(geometry, order, group * heads, heads, 0, q);
          q.visit(from - part_begin, stop - part_begin, [&](const Segment& segment) {
            map.append(at + segment.at - (from - part_begin), segment.rows, segment.space,
                       segment.from);
          });
        } else {
          map.append(at, stop - from, space_of(part), group * part_rows + (from - part_begin));
        }
        at += stop - from;
        from = stop;
      }
      part_begin += part_rows;
    }
  }
  ensure(rows == 0 || end_of(map) == at,
         "as many rows of a fused tensor are appended as asked for");
}

FusedOrder true_order(const QkvGeometry& geometry, FusedOrder assumed, FusedBy fused_by) {
  if (fused_by == FusedBy::engine) {
    return assumed;
  }
  // per_head has a KV head for each q head, and is then the same as per_group.
  return geometry.fused_order == RowOrder::blocks ? FusedOrder::blocks : FusedOrder::per_group;
}

}  // namespace tplora::core
