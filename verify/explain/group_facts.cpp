#include "verify/explain/group_facts.hpp"

#include <algorithm>

#include "sim/layout/row_order.hpp"
#include "sim/layout/view.hpp"

namespace tplora::core {
namespace {

/// A map of segments in any order; of those that overlap the first stays.
IntervalMap sorted_map(std::vector<Segment> segments) {
  std::stable_sort(segments.begin(), segments.end(),
                   [](const Segment& a, const Segment& b) { return a.at < b.at; });
  IntervalMap map;
  std::int64_t end = 0;
  for (Segment segment : segments) {
    const std::int64_t cut = std::max<std::int64_t>(0, end - segment.at);
    if (cut < segment.rows) {
      segment.at += cut;
      segment.rows -= cut;
      segment.from += cut;
      map.append(segment);
      end = segment.end();
    }
  }
  return map;
}

/// The rows that turns of copies put into each buffer.
std::vector<IntervalMap> contents(const std::vector<Copy>& copies,
                                  const std::vector<CopyTurn>& turns, const Sources& sources,
                                  std::size_t buffers, std::vector<std::int64_t>& extents) {
  std::vector<IntervalMap> maps(buffers);
  extents.assign(buffers, 0);
  for (const CopyTurn& turn : turns) {
    const Copy& copy = copies[turn.entry];
    const auto buffer = static_cast<std::size_t>(copy.buffer);
    extents[buffer] = std::max(extents[buffer], turn.to + turn.rows);
    sources.of(copy.source).visit(turn.from, turn.from + turn.rows, [&](const Segment& piece) {
      if (piece.space >= 0) {
        maps[buffer].overwrite(turn.to + (piece.at - turn.from), piece.rows, piece.space,
                               piece.from);
      }
    });
  }
  return maps;
}

AdapterShape shape_of(const LayoutCase& input, int adapter) {
  if (input.adapters.empty()) {
    return {};
  }
  return input.adapters[adapter < 0 ? 0 : static_cast<std::size_t>(adapter)];
}

}  // namespace

/// Where rows of a map stand.
std::optional<std::int64_t> position(const IntervalMap& map, std::int32_t space, std::int64_t row) {
  for (const Segment& segment : map.segments()) {
    if (segment.space == space && segment.from <= row && row < segment.from + segment.rows) {
      return segment.at + (row - segment.from);
    }
  }
  return std::nullopt;
}

Sources::Sources(const QkvGeometry& geometry, FusedOrder order, FusedBy fused_by) {
  append_fused(geometry, true_order(geometry, order, fused_by), 0, geometry.total_rows(), 0,
               fused_);
  for (const Part part : kParts) {
    own_[static_cast<std::size_t>(part)].append(0, geometry.rows(part), space_of(part), 0);
  }
}

Sources::Sources(const AdapterShape& shape) {
  for (const Part part : kParts) {
    own_[static_cast<std::size_t>(part)].append(0, shape.rank_of(part), space_of(part), 0);
  }
  fused_.append(0, shape.lora_rank, kSharedA, 0);
}

GroupFacts::GroupFacts(const Contract& of_contract, const LayoutCase& of_input,
                       const Analysis& analysis, int adapter)
    : contract(of_contract),
      input(of_input),
      shape(shape_of(of_input, adapter)),
      base(of_input.geometry, of_contract.weight.order, of_contract.weight.fused_by),
      lora_b(of_input.geometry, of_contract.lora_b.order, of_contract.lora_b.fused_by),
      lora_a(shape) {
  for (std::int64_t rank = 0; rank < input.deployment.tp_size; ++rank) {
    ranks.emplace_back();
    ranks.back().trace = trace_rank(contract, input, rank, shape);
  }
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    fill(rank, analysis);
  }
}

void GroupFacts::fill(std::size_t rank, const Analysis& analysis) {
  RankFacts& facts = ranks[rank];
  facts.due = due_columns(rank, analysis);
  facts.b = contents(contract.lora_b.copies, facts.trace.b, lora_b, contract.lora_b.buffers.size(),
                     facts.b_extent);
  facts.a = contents(contract.lora_a.copies, facts.trace.a, lora_a, contract.lora_a.buffers.size(),
                     facts.a_extent);
  std::vector<std::vector<Segment>> b(facts.b.size());
  std::vector<std::vector<Segment>> a(facts.a.size());
  const std::vector<std::int64_t> begin = a_begin(rank);
  for (const LaunchTurn& turn : facts.trace.launches) {
    const KernelEntry& entry = contract.kernel[turn.entry];
    std::optional<Part> part;
    facts.due.visit(turn.out, turn.out + turn.rows, [&](const Segment& column) {
      if (column.space >= 0) {
        part = part ? part : std::optional(static_cast<Part>(column.space));
        b[static_cast<std::size_t>(entry.b)].push_back({.at = turn.b_at + (column.at - turn.out),
                                                        .rows = column.rows,
                                                        .space = column.space,
                                                        .from = column.from});
      }
    });
    if (part && shape.has(*part)) {
      // Of a gathered A this rank holds the rows behind those of the ranks before it.
      const auto buffer = static_cast<std::size_t>(entry.a);
      Segment rows{.at = turn.a_at - begin[buffer],
                   .rows = std::min(turn.depth, shape.rank_of(*part)),
                   .space = shape.shared_a ? kSharedA : space_of(*part),
                   .from = 0};
      const std::int64_t cut = std::max<std::int64_t>(0, -rows.at);
      rows.at += cut;
      rows.from += cut;
      rows.rows -= cut;
      if (contract.lora_a.gather == Gather::tp) {
        rows.rows = std::min(rows.rows, facts.trace.a_rows[buffer] - rows.at);
      }
      if (rows.rows > 0) {
        a[buffer].push_back(rows);
      }
    }
  }
  for (std::vector<Segment>& segments : b) {
    facts.due_b.push_back(sorted_map(std::move(segments)));
  }
  for (std::vector<Segment>& segments : a) {
    facts.due_a.push_back(sorted_map(std::move(segments)));
  }
}

/// Gathered A rows before this rank's own, by buffer.
std::vector<std::int64_t> GroupFacts::a_begin(std::size_t rank) const {
  std::vector<std::int64_t> begin(contract.lora_a.buffers.size(), 0);
  const auto group = static_cast<std::size_t>(group_size());
  for (std::size_t peer = rank / group * group; contract.lora_a.gather == Gather::tp && peer < rank;
       ++peer) {
    for (std::size_t i = 0; i < begin.size(); ++i) {
      begin[i] += ranks[peer].trace.a_rows[i];
    }
  }
  return begin;
}

std::int64_t GroupFacts::group_size() const {
  const std::int64_t size = ranks.front().trace.values[symbol::T];
  return size > 0 && size <= input.deployment.tp_size ? size : input.deployment.tp_size;
}

/// What is due in the rank's columns. Where outputs are gathered, an equal share of the layer:
/// that ranks before it are too wide is no reason for this one to be wrong.
IntervalMap GroupFacts::due_columns(std::size_t rank, const Analysis& analysis) const {
  const QkvGeometry& geometry = input.geometry;
  if (contract.view.gather == ViewGather::all && contract.view.copies.empty() &&
      geometry.total_rows() % group_size() == 0) {
    const std::int64_t share = geometry.total_rows() / group_size();
    IntervalMap all;
    IntervalMap due;
    append_fused(geometry, contract.view.order, 0, geometry.total_rows(), 0, all);
    const std::int64_t begin = static_cast<std::int64_t>(rank) % group_size() * share;
    all.visit(begin, begin + share, [&](Segment segment) {
      segment.at -= begin;
      due.append(segment);
    });
    return due;
  }
  if (rank < analysis.ranks.size() && !analysis.ranks[rank].due.empty()) {
    return analysis.ranks[rank].due;
  }
  // No law was looked at: by the heads it owns, as far as they exist.
  std::vector<RankState> group(1);
  group[0].build = ranks[rank].trace.heads;
  const HeadRange q = owned_heads(group[0].build, Part::q);
  if (q.first < 0 || q.count < 0 || q.count > geometry.num_attention_heads ||
      q.first > geometry.num_attention_heads - q.count) {
    return {};
  }
  set_due_columns(contract, geometry, group);
  return std::move(group[0].due);
}

}  // namespace tplora::core
