#include "sim/layout/view.hpp"

#include <algorithm>

#include "sim/base/checked.hpp"
#include "sim/base/ensure.hpp"
#include "sim/layout/map_facts.hpp"
#include "sim/layout/row_order.hpp"
#include "sim/layout/spaces.hpp"

namespace tplora::core {
namespace {

/// The columns that a rank's attention reads in its own output, in the view's order.
void local_view(const QkvGeometry& geometry, const RankBuild& build, FusedOrder order,
                IntervalMap& due) {
  const HeadRange kv = due_kv_heads(geometry, build);
  std::int64_t at = 0;
  const auto put = [&](Part part, std::int64_t first_head, std::int64_t heads) {
    const std::int64_t rows = geometry.rows_per_head(part);
    if (part == Part::q) {
      append_q_heads(geometry, order, first_head, heads, at, due);
    } else {
      due.append(at, heads * rows, space_of(part), first_head * rows);
    }
    at += heads * rows;
  };
  const std::int64_t groups = order == FusedOrder::blocks ? 1 : std::max<std::int64_t>(1, kv.count);
  for (std::int64_t i = 0; i < groups; ++i) {
    const std::int64_t q_heads = build.q_heads / groups;
    const std::int64_t kv_heads = kv.count / groups;
    put(Part::q, build.first_q + i * q_heads, q_heads);
    put(Part::k, kv.first + i * kv_heads, kv_heads);
    put(Part::v, kv.first + i * kv_heads, kv_heads);
  }
  ensure(at == end_of(due), "each column that attention reads has a row");
}

std::int64_t width_of(std::span<const RankState> group) {
  std::int64_t width = 0;
  for (const RankState& rank : group) {
    width += rank.build.width;
  }
  return width;
}

/// Rows by place in attention's order -> rows by column, where the view has copies. Places behind
/// the last column keep their number.
IntervalMap by_column(const std::vector<ColumnRun>& view, const IntervalMap& by_place) {
  std::vector<Segment> pieces;
  std::int64_t place = 0;
  for (const ColumnRun& run : view) {
    by_place.visit(place, place + run.rows, [&](Segment piece) {
      if (piece.space >= 0) {
        piece.at += run.from - place;
        pieces.push_back(piece);
      }
    });
    place += run.rows;
  }
  by_place.visit(place, std::max(place, end_of(by_place)), [&](const Segment& piece) {
    if (piece.space >= 0) {
      pieces.push_back(piece);
    }
  });
  std::sort(pieces.begin(), pieces.end(),
            [](const Segment& a, const Segment& b) { return a.at < b.at; });
  IntervalMap map;
  for (const Segment& piece : pieces) {
    map.append(piece);
  }
  return map;
}

/// The rows that are due in all outputs of a group together.
std::int64_t due_rows(std::span<const RankState> group) {
  std::int64_t rows = 0;
  for (const RankState& rank : group) {
    rows += rows_of(rank.due);
  }
  return rows;
}

/// Whether the rows of a rank's due columns are those of parts of the layer.
bool rows_exist(const QkvGeometry& geometry, const IntervalMap& due) {
  const auto segments = due.segments();
  return in_order(segments) &&
         std::all_of(segments.begin(), segments.end(), [&](const Segment& segment) {
           return segment.from + segment.rows <= geometry.rows(part_of(segment.space));
         });
}

}  // namespace

HeadRange owned_heads(const RankBuild& build, Part part) {
  return part == Part::q ? HeadRange{build.first_q, build.q_heads}
                         : HeadRange{build.first_kv, build.kv_heads};
}

HeadRange due_kv_heads(const QkvGeometry& geometry, const RankBuild& build) {
  ensure(geometry.num_key_value_heads > 0, "a layer has KV heads");
  const auto end = checked_add(build.first_q, build.q_heads);
  if (build.q_heads <= 0 || !end) {
    return {build.first_kv, 0};
  }
  const std::int64_t run = geometry.num_attention_heads / geometry.num_key_value_heads;
  const std::int64_t first = build.first_q / run;
  return {first, (*end - 1) / run + 1 - first};
}

bool view_is_whole(const Contract& contract, std::span<const RankState> group,
                   const RankBuild& build) {
  if (contract.view.copies.empty()) {
    return true;
  }
  const bool gathered = contract.view.gather == ViewGather::all;
  if (gathered && build.view != group.front().build.view) {
    return false;  // all ranks look at the same
  }
  std::vector<ColumnRun> runs = build.view;
  std::sort(runs.begin(), runs.end(),
            [](const ColumnRun& a, const ColumnRun& b) { return a.from < b.from; });
  std::int64_t reached = 0;
  for (const ColumnRun& run : runs) {
    if (run.from != reached) {
      return false;
    }
    reached += run.rows;
  }
  return reached == (gathered ? width_of(group) : build.width);
}

bool owes_nothing(const Contract& contract, const RankBuild& build) {
  return contract.view.gather == ViewGather::none && build.q_heads == 0;
}

void set_due_columns(const Contract& contract, const QkvGeometry& geometry,
                     std::span<RankState> group) {
  for (const RankState& rank : group) {
    const HeadRange q = owned_heads(rank.build, Part::q);
    ensure(0 <= q.first && 0 <= q.count && q.first <= geometry.num_attention_heads - q.count,
           "the query heads that ranks own exist");
  }
  if (contract.view.gather == ViewGather::none) {
    for (RankState& rank : group) {
      rank.due.clear();
      local_view(geometry, rank.build, contract.view.order, rank.due);
      if (!contract.view.copies.empty()) {
        rank.due = by_column(rank.build.view, rank.due);
      }
      ensure_checked([&] { return rows_exist(geometry, rank.due); },
                     "the rows that attention reads exist");
    }
    return;
  }
  IntervalMap all;
  append_fused(geometry, contract.view.order, 0, geometry.total_rows(), 0, all);
  if (!contract.view.copies.empty()) {
    all = by_column(group.front().build.view, all);
  }
  std::int64_t begin = 0;
  for (RankState& rank : group) {
    ensure(rank.build.width >= 0, "a rank has no fewer than no columns");
    const bool last = &rank == &group.back();
    const std::int64_t end = begin + rank.build.width;
    rank.due.clear();
    all.visit(begin, last ? std::max(end, end_of(all)) : end, [&](Segment segment) {
      if (segment.space >= 0) {
        segment.at -= begin;
        rank.due.append(segment);
      }
    });
    begin = end;
  }
  ensure_checked([&] { return due_rows(group) == geometry.total_rows(); },
                 "each row of a gathered layer is due in one column");
}

std::vector<OwnedRows> owned_rows(const Contract& contract, const QkvGeometry& geometry,
                                  std::span<const RankState> group, std::size_t t) {
  ensure(t < group.size(), "a rank of the group");
  std::vector<OwnedRows> owned;
  const RankBuild& own = group[t].build;
  const bool gathered = contract.view.gather == ViewGather::all;
  const HeadRange kv = due_kv_heads(geometry, own);
  for (std::size_t source = gathered ? 0 : t; source < (gathered ? group.size() : t + 1);
       ++source) {
    for (const Segment& segment : group[source].due.segments()) {
      const auto part = part_of(segment.space);
      const HeadRange heads = part == Part::q ? owned_heads(own, part) : kv;
      const std::int64_t head_rows = geometry.rows_per_head(part);
      const std::int64_t from = std::max(heads.first * head_rows, segment.from);
      const std::int64_t stop = std::min(heads.end() * head_rows, segment.from + segment.rows);
      if (from < stop) {
        ensure(0 <= from && stop <= geometry.rows(part), "a rank owns rows that exist");
        owned.push_back({part, from, stop - from, static_cast<std::int64_t>(source),
                         segment.at + (from - segment.from)});
      }
    }
  }
  return owned;
}

}  // namespace tplora::core
