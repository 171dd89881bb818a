#include "verify/report/pieces.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

namespace tplora::core {
namespace {

/// Rows of a map, one entry for each head; A rows have no head and count as head 0.
std::vector<HeldRows> held_rows(const QkvGeometry& geometry, const IntervalMap& map,
                                std::int64_t begin, std::int64_t end, bool of_a) {
  std::vector<HeldRows> held;
  map.visit(begin, end, [&](const Segment& segment) {
    if (segment.space < 0) {
      return;
    }
    if (of_a) {
      held.push_back({segment.space == kSharedA
                          ? "shared"
                          : std::string(part_name(static_cast<Part>(segment.space))),
                      0, segment.from, segment.rows});
      return;
    }
    const auto part = static_cast<Part>(segment.space);
    const std::int64_t head_rows = geometry.rows_per_head(part);
    for (std::int64_t row = segment.from; row < segment.from + segment.rows;) {
      const std::int64_t head = row / head_rows;
      const std::int64_t stop = std::min(segment.from + segment.rows, (head + 1) * head_rows);
      held.push_back({std::string(part_name(part)), head, row, stop - row});
      row = stop;
    }
  });
  return held;
}

/// What is at local output column `column`, as attention will read it; nothing: it reads none
/// there.
std::optional<std::string> part_at(const PreparedCase& item, const RankBuild& build,
                                   std::int64_t column) {
  const QkvGeometry& geometry = *item.geometry;
  if (column >= build.width) {
    return std::nullopt;
  }
  if (item.contract->view.gather == ViewGather::none &&
      item.contract->view.order == FusedOrder::blocks) {
    const std::int64_t q = build.q_heads * geometry.rows_per_head(Part::q);
    const std::int64_t k = q + build.kv_heads * geometry.rows_per_head(Part::k);
    const std::int64_t v = k + build.kv_heads * geometry.rows_per_head(Part::v);
    return column >= v ? std::nullopt : std::optional(column < q ? "q" : column < k ? "k" : "v");
  }
  std::optional<std::string> part;
  build.columns.visit(column, column + 1, [&](const Segment& segment) {
    if (segment.space >= 0) {
      part = std::string(part_name(static_cast<Part>(segment.space)));
    }
  });
  return part;
}

}  // namespace

DescribedRank describe_rank(const PreparedCase& item, const RankState& rank) {
  const RankBuild& build = rank.build;
  const QkvGeometry& geometry = *item.geometry;
  DescribedRank described{
      .tp_rank = build.tp_rank,
      .b_buffer_rows = std::accumulate(build.b_rows.begin(), build.b_rows.end(), std::int64_t{0}),
      .b_slice_rows = 0,
      .weight = {},
      .b = {},
      .a = {}};
  const auto describe = [&](const Piece& piece, const IntervalMap& map, std::string buffer,
                            std::int64_t column, bool of_a) {
    const bool own_part = piece.source != Source::fused && piece.source != Source::shared;
    auto holds = held_rows(geometry, map, piece.to, piece.to + piece.rows, of_a);
    const auto met = own_part ? std::optional(std::string(source_name(piece.source)))
                              : part_at(item, build, column);
    return DescribedPiece{.part = met             ? *met
                                  : holds.empty() ? "-"
                                                  : holds.front().part,
                          .buffer = std::move(buffer),
                          .to = piece.to,
                          .from = piece.from,
                          .rows = piece.rows,
                          .wanted_rows = piece.wanted_rows,
                          .column = column,
                          .holds = std::move(holds)};
  };
  for (const Piece& piece : build.weight) {
    described.weight.push_back(describe(piece, build.columns, "weight", piece.to, false));
  }
  const auto events = pool_events(shapes_of(item.spec.adapters), item.spec.steps);
  int event = -1;  // the last that wrote the first adapter
  for (int i = 0; i < static_cast<int>(events.size()); ++i) {
    const PoolEvent& one = events[static_cast<std::size_t>(i)];
    event = one.adapter == 0 && one.slot >= 0 ? i : event;
  }
  if (event < 0 || !rank.has_load(event)) {
    return described;
  }
  const RankLoad& load = rank.load(event);
  described.b_slice_rows =
      std::accumulate(load.slice_rows.begin(), load.slice_rows.end(), std::int64_t{0});
  // A B piece feeds the columns of the first launch that reads its first row.
  for (const Piece& piece : load.b_pieces) {
    std::int64_t column = piece.to;
    for (const KernelLaunch& launch : load.launches) {
      if (launch.b == piece.buffer && launch.b_at <= piece.to &&
          piece.to < launch.b_at + launch.rows) {
        column = launch.out + (piece.to - launch.b_at);
        break;
      }
    }
    const auto buffer = static_cast<std::size_t>(piece.buffer);
    described.b.push_back(describe(piece, load.b_maps[buffer],
                                   item.contract->lora_b.buffers[buffer].name, column, false));
  }
  for (const Piece& piece : load.a_pieces) {
    const auto buffer = static_cast<std::size_t>(piece.buffer);
    described.a.push_back(
        describe(piece, load.a_maps[buffer], item.contract->lora_a.buffers[buffer].name, 0, true));
  }
  return described;
}

}  // namespace tplora::core
