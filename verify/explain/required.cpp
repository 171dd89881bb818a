#include "verify/explain/required.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "sim/base/ensure.hpp"
#include "sim/layout/view.hpp"

namespace tplora {
namespace {

/// Where rows of a map stand.
std::optional<std::int64_t> position(const IntervalMap& map, std::int32_t space, std::int64_t row) {
  for (const Segment& segment : map.segments()) {
    if (segment.space == space && segment.from <= row && row < segment.from + segment.rows) {
      return segment.at + (row - segment.from);
    }
  }
  return std::nullopt;
}

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

/// What stands in the tensors that a section's copies read.
class Sources {
 public:
  Sources(const QkvGeometry& geometry, FusedOrder order, FusedBy fused_by) {
    append_fused(geometry, true_order(geometry, order, fused_by), 0, geometry.total_rows(), 0,
                 fused_);
    for (const Part part : kParts) {
      own_[static_cast<std::size_t>(part)].append(0, geometry.rows(part), space_of(part), 0);
    }
  }
  /// Of an adapter's A.
  explicit Sources(std::int64_t lora_rank) {
    for (const Part part : kParts) {
      own_[static_cast<std::size_t>(part)].append(0, lora_rank, space_of(part), 0);
    }
    fused_.append(0, lora_rank, kSharedA, 0);
  }
  [[nodiscard]] const IntervalMap& of(Source source) const {
    return source == Source::fused || source == Source::shared
               ? fused_
               : own_[static_cast<std::size_t>(source)];
  }

 private:
  IntervalMap fused_;
  std::array<IntervalMap, 3> own_;
};

/// Everything on one rank that requirements follow from.
struct RankFacts {
  RankTrace trace;
  IntervalMap due;                        ///< output column -> row
  std::vector<IntervalMap> b, a;          ///< by buffer: what the copies put where
  std::vector<IntervalMap> due_b, due_a;  ///< by buffer: what kernels look for there
  std::vector<std::int64_t> b_extent, a_extent;
};

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

class Requirements {
 public:
  Requirements(const Contract& contract, const std::vector<FormulaSite>& sites,
               const LayoutCase& input, const Analysis& analysis, int adapter)
      : contract_(contract),
        sites_(sites),
        input_(input),
        shape_(adapter < 0 || input.adapters.empty()
                   ? (input.adapters.empty() ? AdapterShape{} : input.adapters.front())
                   : input.adapters[static_cast<std::size_t>(adapter)]),
        base_(input.geometry, contract.weight.order, contract.weight.fused_by),
        b_(input.geometry, contract.lora_b.order, contract.lora_b.fused_by),
        a_(shape_.lora_rank),
        result_(sites.size()) {
    for (std::int64_t rank = 0; rank < input.deployment.tp_size; ++rank) {
      ranks_.push_back({.trace = trace_rank(contract, input, rank, shape_),
                        .due = {},
                        .b = {},
                        .a = {},
                        .due_b = {},
                        .due_a = {},
                        .b_extent = {},
                        .a_extent = {}});
    }
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
      fill(rank, analysis);
    }
  }

  std::vector<std::vector<Way>> run() {
    for (std::size_t site = 0; site < sites_.size(); ++site) {
      if (sites_[site].role != FormulaRole::let) {
        reason_ = 0;
        direct(site);
      }
    }
    for (std::size_t site = 0; site < sites_.size(); ++site) {
      if (says_what_a_group_is(contract_, sites_[site])) {
        group(site);
      } else if (sites_[site].role == FormulaRole::let) {
        inverted(site);
      }
    }
    return std::move(result_);
  }

 private:
  // --- facts -------------------------------------------------------------------------------
  void fill(std::size_t rank, const Analysis& analysis) {
    RankFacts& facts = ranks_[rank];
    facts.due = due_columns(rank, analysis);
    facts.b = contents(contract_.lora_b.copies, facts.trace.b, b_, contract_.lora_b.buffers.size(),
                       facts.b_extent);
    facts.a = contents(contract_.lora_a.copies, facts.trace.a, a_, contract_.lora_a.buffers.size(),
                       facts.a_extent);
    std::vector<std::vector<Segment>> b(facts.b.size());
    std::vector<std::vector<Segment>> a(facts.a.size());
    const std::vector<std::int64_t> begin = a_begin(rank);
    for (const LaunchTurn& turn : facts.trace.launches) {
      const KernelEntry& entry = contract_.kernel[turn.entry];
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
      if (part && shape_.has(*part)) {
        // Of a gathered A this rank holds the rows behind those of the ranks before it.
        const auto buffer = static_cast<std::size_t>(entry.a);
        Segment rows{.at = turn.a_at - begin[buffer],
                     .rows = std::min(turn.depth, shape_.lora_rank),
                     .space = shape_.shared_a ? kSharedA : space_of(*part),
                     .from = 0};
        const std::int64_t cut = std::max<std::int64_t>(0, -rows.at);
        rows.at += cut;
        rows.from += cut;
        rows.rows -= cut;
        if (contract_.lora_a.gather == Gather::tp) {
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
  [[nodiscard]] std::vector<std::int64_t> a_begin(std::size_t rank) const {
    std::vector<std::int64_t> begin(contract_.lora_a.buffers.size(), 0);
    const auto group = static_cast<std::size_t>(group_size());
    for (std::size_t peer = rank / group * group;
         contract_.lora_a.gather == Gather::tp && peer < rank; ++peer) {
      for (std::size_t i = 0; i < begin.size(); ++i) {
        begin[i] += ranks_[peer].trace.a_rows[i];
      }
    }
    return begin;
  }

  [[nodiscard]] std::int64_t group_size() const {
    const std::int64_t size = ranks_.front().trace.values[symbol::T];
    return size > 0 && size <= input_.deployment.tp_size ? size : input_.deployment.tp_size;
  }

  /// What is due in the rank's columns. Where outputs are gathered, an equal share of the layer:
  /// that ranks before it are too wide is no reason for this one to be wrong.
  [[nodiscard]] IntervalMap due_columns(std::size_t rank, const Analysis& analysis) const {
    const QkvGeometry& geometry = input_.geometry;
    if (contract_.view.gather == ViewGather::all && geometry.total_rows() % group_size() == 0) {
      const std::int64_t share = geometry.total_rows() / group_size();
      IntervalMap all;
      IntervalMap due;
      append_fused(geometry, contract_.view.order, 0, geometry.total_rows(), 0, all);
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
    group[0].build = ranks_[rank].trace.heads;
    const HeadRange q = owned_heads(group[0].build, Part::q);
    if (q.first < 0 || q.count < 0 || q.end() > geometry.num_attention_heads) {
      return {};
    }
    set_due_columns(contract_, geometry, group);
    return std::move(group[0].due);
  }

  // --- direct requirements -----------------------------------------------------------------
  /// One way: for each turn on each rank, the value required of it, where there is one.
  template <class Turns, class Current, class Required>
  void way(std::size_t site, const Turns& turns_of, const Current& current,
           const Required& required) {
    Corrections corrections;
    for (const RankFacts& facts : ranks_) {
      for (const auto& turn : turns_of(facts)) {
        if (turn.entry != sites_[site].entry) {
          continue;
        }
        const std::optional<std::int64_t> value = required(facts, turn);
        if (value && *value != current(turn)) {
          corrections.push_back({facts.trace.tp_rank, turn.indices, *value - current(turn)});
        }
      }
    }
    add(site, std::move(corrections));
  }

  void add(std::size_t site, Corrections corrections) {
    const int reason = reason_++;
    const bool is_new =
        std::none_of(result_[site].begin(), result_[site].end(),
                     [&](const Way& one) { return one.corrections == corrections; });
    if (!corrections.empty() && is_new) {
      result_[site].push_back({reason, std::move(corrections)});
    }
  }

  /// As way, for a formula without turns: `current` and `required` may have no value.
  template <class Current, class Required>
  void one(std::size_t site, const Current& current, const Required& required) {
    Corrections corrections;
    for (const RankFacts& facts : ranks_) {
      const std::optional<std::int64_t> now = current(facts);
      const std::optional<std::int64_t> value = required(facts);
      if (now && value && *now != *value) {
        corrections.push_back({facts.trace.tp_rank, {}, *value - *now});
      }
    }
    add(site, std::move(corrections));
  }

  void direct(std::size_t site) {
    using enum FormulaRole;
    switch (sites_[site].role) {
      case first_q:
      case q_heads:
      case first_kv:
      case kv_heads: heads(site); break;
      case weight_from:
      case weight_rows:
      case weight_at:
        copies(site, contract_.weight.copies, base_,
               {weight_from, weight_rows, [](const RankFacts& f) -> auto& { return f.trace.weight;
    }
    , [](const RankFacts& f, int) -> const IntervalMap& { return f.due; },
        [](const RankFacts&, int) { return std::optional<std::int64_t>(); }
  });
  break;
  case b_from:
  case b_rows:
  case b_at:
        copies(site, contract_.lora_b.copies, b_,
               {b_from, b_rows, [](const RankFacts& f) -> auto& { return f.trace.b;
},
    [](const RankFacts& f, int buffer) -> const IntervalMap& {
      return f.due_b[static_cast<std::size_t>(buffer)];
    },
    [](const RankFacts& f, int buffer) {
      const auto i = static_cast<std::size_t>(buffer);
      return std::optional(f.trace.b_rows[i] - f.b_extent[i]);
    }
}  // namespace
);
break;
case a_from:
case a_rows:
case a_at:
        copies(site, contract_.lora_a.copies, a_,
               {a_from, a_rows, [](const RankFacts& f) -> auto& { return f.trace.a;
}  // namespace tplora
,
    [](const RankFacts& f, int buffer) -> const IntervalMap& {
      return f.due_a[static_cast<std::size_t>(buffer)];
    },
    [](const RankFacts& f, int buffer) {
      const auto i = static_cast<std::size_t>(buffer);
      return std::optional(f.trace.a_rows[i] - f.a_extent[i]);
    }
});
break;
case b_buffer:
case a_buffer: buffers(site); break;
case kernel_a_at:
case kernel_b_at:
case kernel_out:
case kernel_rows:
case kernel_depth: kernel(site); break;
case scaling_numerator:
case scaling_denominator: scaling(site); break;
default: break;  // lets come later; checks and loops have no required number
  }
  }

  void heads(std::size_t site) {
    const FormulaRole role = sites_[site].role;
    const bool q = role == FormulaRole::first_q || role == FormulaRole::q_heads;
    const bool first = role == FormulaRole::first_q || role == FormulaRole::first_kv;
    const Part part = q ? Part::q : Part::k;
    const auto current = [&](const RankFacts& f) {
      const HeadRange own = owned_heads(f.trace.heads, part);
      return std::optional(first ? own.first : own.count);
    };
    if (!q) {
      one(site, current, [&](const RankFacts& f) -> std::optional<std::int64_t> {
        const HeadRange own = owned_heads(f.trace.heads, Part::q);
        if (own.first < 0 || own.count < 1) {
          return std::nullopt;
        }
        const HeadRange due = due_kv_heads(input_.geometry, f.trace.heads);
        return first ? due.first : due.count;
      });
    }
    // By the base weight that the rank has.
    one(site, current, [&](const RankFacts& f) -> std::optional<std::int64_t> {
      std::int64_t least = -1;
      std::int64_t rows = 0;
      for (const CopyTurn& turn : f.trace.weight) {
        const Source source = contract_.weight.copies[turn.entry].source;
        base_.of(source).visit(turn.from, turn.from + turn.rows, [&](const Segment& piece) {
          if (piece.space == space_of(part)) {
            least = least < 0 ? piece.from : std::min(least, piece.from);
            rows += piece.rows;
          }
        });
      }
      const std::int64_t head_rows = input_.geometry.rows_per_head(part);
      if (least < 0 || rows % head_rows != 0) {
        return std::nullopt;
      }
      return first ? least / head_rows : rows / head_rows;
    });
    // An equal share.
    const std::int64_t all =
        q ? input_.geometry.num_attention_heads : input_.geometry.num_key_value_heads;
    one(site, current, [&](const RankFacts& f) -> std::optional<std::int64_t> {
      const std::int64_t t = f.trace.tp_rank % group_size();
      if (all % group_size() == 0) {
        return first ? t * (all / group_size()) : all / group_size();
      }
      if (!q && group_size() % all == 0) {
        return first ? t / (group_size() / all) : 1;
      }
      return std::nullopt;
    });
  }

  struct CopySection {
    FormulaRole from, rows;
    std::function<const std::vector<CopyTurn>&(const RankFacts&)> turns;
    std::function<const IntervalMap&(const RankFacts&, int)> due;
    /// Rows by which a buffer is longer than what is put into it.
    std::function<std::optional<std::int64_t>(const RankFacts&, int)> room;
  };

  void copies(std::size_t site, const std::vector<Copy>& list, const Sources& sources,
              const CopySection& section) {
    const Copy& copy = list[sites_[site].entry];
    const IntervalMap& source = sources.of(copy.source);
    const FormulaRole role = sites_[site].role;
    if (role == section.from) {
      for (const bool first_wrong : {false, true}) {
        way(
            site, section.turns, [](const CopyTurn& turn) { return turn.from; },
            [&](const RankFacts& f, const CopyTurn& turn) {
              return from_of(section.due(f, copy.buffer), source, turn, first_wrong);
            });
      }
      // The first due row of the part that it takes now.
      way(
          site, section.turns, [](const CopyTurn& turn) { return turn.from; },
          [&](const RankFacts& f, const CopyTurn& turn) {
            return first_due(section.due(f, copy.buffer), source, turn);
          });
    } else if (role == section.rows) {
      const auto current = [](const CopyTurn& turn) { return turn.rows; };
      way(site, section.turns, current, [&](const RankFacts& f, const CopyTurn& turn) {
        return run_of(section.due(f, copy.buffer), source, turn);
      });
      way(site, section.turns, current, [&](const RankFacts& f, const CopyTurn& turn) {
        return due_rows(section.due(f, copy.buffer), source, turn);
      });
      way(site, section.turns, current, [&](const RankFacts& f, const CopyTurn& turn) {
        return up_to_next(section, list, sources, f, turn);
      });
      way(site, section.turns, current, [&](const RankFacts& f, const CopyTurn& turn) {
        const auto room = section.room(f, copy.buffer);
        return room && turn.rows + *room >= 0 ? std::optional(turn.rows + *room) : std::nullopt;
      });
      way(site, section.turns, current,
          [&](const RankFacts&, const CopyTurn& turn) -> std::optional<std::int64_t> {
            const std::int64_t size = source.segments().back().end();
            return std::clamp<std::int64_t>(size - turn.from, 0, turn.rows);
          });
    } else {
      way(
          site, section.turns, [](const CopyTurn& turn) { return turn.to; },
          [&](const RankFacts& f, const CopyTurn& turn) -> std::optional<std::int64_t> {
            std::optional<std::int64_t> at;
            source.visit(turn.from, turn.from + 1, [&](const Segment& piece) {
              if (piece.space >= 0) {
                at = position(section.due(f, copy.buffer), piece.space, piece.from);
              }
            });
            return at;
          });
    }
  }

  /// Where in the source the row stands that is due at the turn's first row, or at its first wrong
  /// row, less the rows before it.
  static std::optional<std::int64_t> from_of(const IntervalMap& due, const IntervalMap& source,
                                             const CopyTurn& turn, bool first_wrong) {
    std::optional<std::int64_t> from;
    due.visit(turn.to, turn.to + std::max<std::int64_t>(1, turn.rows), [&](const Segment& piece) {
      if (from || piece.space < 0) {
        return;
      }
      const auto at = position(source, piece.space, piece.from);
      if (at && !(first_wrong && *at == turn.from + (piece.at - turn.to))) {
        from = *at - (piece.at - turn.to);
      }
    });
    return from;
  }

  /// The part that the turn takes rows of now; of a fused source, the one it begins in.
  static std::optional<std::int32_t> part_of(const IntervalMap& source, const CopyTurn& turn) {
    std::optional<std::int32_t> space;
    const auto segments = source.segments();
    for (const Segment& piece : segments) {
      if (piece.at <= std::max<std::int64_t>(0, turn.from)) {
        space = piece.space;
      }
    }
    return space;
  }

  static std::optional<std::int64_t> first_due(const IntervalMap& due, const IntervalMap& source,
                                               const CopyTurn& turn) {
    const auto space = part_of(source, turn);
    for (const Segment& piece : due.segments()) {
      if (space && piece.space == *space) {
        return position(source, piece.space, piece.from);
      }
    }
    return std::nullopt;
  }

  /// How many rows from the turn's first on are due where it puts them.
  static std::optional<std::int64_t> run_of(const IntervalMap& due, const IntervalMap& source,
                                            const CopyTurn& turn) {
    const std::int64_t size = source.segments().back().end();
    std::int64_t run = 0;
    source.visit(turn.from, std::max(turn.from, size), [&](const Segment& piece) {
      const std::int64_t to = turn.to + (piece.at - turn.from);
      due.visit(to, to + piece.rows, [&](const Segment& row) {
        if (run == row.at - turn.to && row.space == piece.space && row.space >= 0 &&
            row.from == piece.from + (row.at - to)) {
          run += row.rows;
        }
      });
    });
    return run;
  }

  /// All rows that are due of the part that the turn takes.
  static std::optional<std::int64_t> due_rows(const IntervalMap& due, const IntervalMap& source,
                                              const CopyTurn& turn) {
    const auto space = part_of(source, turn);
    std::int64_t rows = 0;
    for (const Segment& piece : due.segments()) {
      rows += space && piece.space == *space ? piece.rows : 0;
    }
    return rows;
  }

  /// As many rows as bring the first row of the next turn on the buffer where it is due.
  static std::optional<std::int64_t> up_to_next(const CopySection& section,
                                                const std::vector<Copy>& list,
                                                const Sources& sources, const RankFacts& f,
                                                const CopyTurn& turn) {
    const int buffer = list[turn.entry].buffer;
    const auto& turns = section.turns(f);
    bool behind = false;
    for (const CopyTurn& next : turns) {
      if (behind && list[next.entry].buffer == buffer && next.rows > 0) {
        std::optional<std::int64_t> at;
        sources.of(list[next.entry].source)
            .visit(next.from, next.from + 1, [&](const Segment& piece) {
              if (piece.space >= 0) {
                at = position(section.due(f, buffer), piece.space, piece.from);
              }
            });
        return at && *at >= turn.to ? std::optional(*at - turn.to) : std::nullopt;
      }
      behind = behind || &next == &turn;
    }
    return std::nullopt;
  }

  void buffers(std::size_t site) {
    const bool b = sites_[site].role == FormulaRole::b_buffer;
    const std::size_t i = sites_[site].entry;
    const auto current = [&](const RankFacts& f) {
      return std::optional((b ? f.trace.b_rows : f.trace.a_rows)[i]);
    };
    one(site, current,
        [&](const RankFacts& f) { return std::optional((b ? f.b_extent : f.a_extent)[i]); });
    one(site, current, [&](const RankFacts& f) {
      std::int64_t end = 0;
      for (const LaunchTurn& turn : f.trace.launches) {
        const KernelEntry& entry = contract_.kernel[turn.entry];
        if (static_cast<std::size_t>(b ? entry.b : entry.a) == i) {
          end = std::max(end, b ? turn.b_at + turn.rows : turn.a_at + turn.depth);
        }
      }
      const bool gathered = !b && contract_.lora_a.gather == Gather::tp;
      return std::optional(gathered ? (end + group_size() - 1) / group_size() : end);
    });
  }

  void kernel(std::size_t site) {
    using enum FormulaRole;
    const FormulaRole role = sites_[site].role;
    const KernelEntry& entry = contract_.kernel[sites_[site].entry];
    const auto a = static_cast<std::size_t>(entry.a);
    const auto b = static_cast<std::size_t>(entry.b);
    const auto launches = [](const RankFacts& f) -> auto& {
      return f.trace.launches;
    };
    using Value = std::optional<std::int64_t>;
    switch (role) {
      case kernel_a_at:
        way(
            site, launches, [](const LaunchTurn& turn) { return turn.a_at; },
            [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
              const auto space = space_at(f.due, turn.out);
              if (!space) {
                return std::nullopt;
              }
              const std::int32_t wanted = shape_.shared_a ? kSharedA : *space;
              if (contract_.lora_a.gather == Gather::none) {
                return position(f.a[a], wanted, 0);
              }
              std::int64_t begin = 0;
              for (std::int64_t peer = f.trace.tp_rank / group_size() * group_size();
                   peer < f.trace.tp_rank / group_size() * group_size() + group_size(); ++peer) {
                const RankFacts& other = ranks_[static_cast<std::size_t>(peer)];
                if (const auto at = position(other.a[a], wanted, 0)) {
                  return begin + *at;
                }
                begin += other.trace.a_rows[a];
              }
              return std::nullopt;
            });
        return;
      case kernel_b_at:
        way(
            site, launches, [](const LaunchTurn& turn) { return turn.b_at; },
            [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
              Value at;
              f.due.visit(turn.out, turn.out + 1, [&](const Segment& column) {
                if (column.space >= 0) {
                  at = position(f.b[b], column.space, column.from);
                }
              });
              return at;
            });
        return;
      case kernel_out:
        way(
            site, launches, [](const LaunchTurn& turn) { return turn.out; },
            [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
              Value at;
              f.b[b].visit(turn.b_at, turn.b_at + 1, [&](const Segment& row) {
                if (row.space >= 0) {
                  at = position(f.due, row.space, row.from);
                }
              });
              return at;
            });
        return;
      case kernel_rows: launch_rows(site, b); return;
      default:
        way(
            site, launches, [](const LaunchTurn& turn) { return turn.depth; },
            [&](const RankFacts&, const LaunchTurn&) -> Value { return shape_.lora_rank; });
        way(
            site, launches, [](const LaunchTurn& turn) { return turn.depth; },
            [&](const RankFacts&, const LaunchTurn&) -> Value {
              return input_.deployment.max_lora_rank;
            });
    }
  }

  void launch_rows(std::size_t site, std::size_t b) {
    const auto launches = [](const RankFacts& f) -> auto& {
      return f.trace.launches;
    };
    const auto current = [](const LaunchTurn& turn) { return turn.rows; };
    using Value = std::optional<std::int64_t>;
    // As long as the B rows are those due in the columns.
    way(site, launches, current, [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
      std::int64_t run = 0;
      const std::int64_t end = f.due.empty() ? 0 : f.due.segments().back().end();
      f.due.visit(turn.out, std::max(turn.out, end), [&](const Segment& column) {
        const std::int64_t row = turn.b_at + (column.at - turn.out);
        f.b[b].visit(row, row + column.rows, [&](const Segment& piece) {
          if (run == piece.at - turn.b_at && piece.space >= 0 && piece.space == column.space &&
              piece.from == column.from + (piece.at - row)) {
            run += piece.rows;
          }
        });
      });
      return run;
    });
    // To the end of the part, of the output row, or to the next launch.
    way(site, launches, current, [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
      Value rows;
      const auto space = space_at(f.due, turn.out);
      for (const Segment& column : f.due.segments()) {
        if (space && column.space == *space && column.end() > turn.out) {
          rows = column.end() - turn.out;
        }
      }
      return rows;
    });
    way(site, launches, current, [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
      const std::int64_t end = f.due.empty() ? 0 : f.due.segments().back().end();
      return std::max<std::int64_t>(0, end - turn.out);
    });
    way(site, launches, current, [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
      Value next;
      for (const LaunchTurn& other : f.trace.launches) {
        if (other.out > turn.out && other.rows > 0 && (!next || other.out < *next)) {
          next = other.out;
        }
      }
      return next ? Value(*next - turn.out) : std::nullopt;
    });
  }

  static std::optional<std::int32_t> space_at(const IntervalMap& map, std::int64_t row) {
    std::optional<std::int32_t> space;
    map.visit(row, row + 1, [&](const Segment& piece) {
      space = piece.space >= 0 ? std::optional(piece.space) : std::nullopt;
    });
    return space;
  }

  void scaling(std::size_t site) {
    const bool numerator = sites_[site].role == FormulaRole::scaling_numerator;
    const auto current = [&](const RankFacts& f) {
      return numerator ? f.trace.scaling_numerator : f.trace.scaling_denominator;
    };
    one(site, current, [&](const RankFacts& f) -> std::optional<std::int64_t> {
      const auto other = numerator ? f.trace.scaling_denominator : f.trace.scaling_numerator;
      std::int64_t product = 0;
      const std::int64_t up = numerator ? shape_.lora_alpha : shape_.lora_rank;
      const std::int64_t down = numerator ? shape_.lora_rank : shape_.lora_alpha;
      if (!other || down == 0 || __builtin_mul_overflow(*other, up, &product) ||
          product % down != 0) {
        return std::nullopt;
      }
      return product / down;
    });
  }

  // --- lets --------------------------------------------------------------------------------
  void group(std::size_t site) {
    const int symbol = contract_.lets[sites_[site].entry].symbol;
    const std::int64_t size = input_.deployment.tp_size / input_.deployment.dp_size;
    reason_ = 0;
    one(
        site,
        [&](const RankFacts& f) {
          return std::optional(f.trace.values[static_cast<std::size_t>(symbol)]);
        },
        [&](const RankFacts& f) {
          return std::optional(symbol == symbol::T ? size : f.trace.tp_rank % size);
        });
  }

  /// What a let would have to be for the formulas that look at it to come to what is required.
  void inverted(std::size_t site) {
    const std::size_t let = sites_[site].entry;
    for (std::size_t user = 0; user < sites_.size(); ++user) {
      if (sites_[user].role == FormulaRole::let) {
        continue;
      }
      for (const Way& way : result_[user]) {
        Corrections corrections;
        for (const Correction& one : way.corrections) {
          const bool told =
              std::any_of(corrections.begin(), corrections.end(),
                          [&](const Correction& other) { return other.tp_rank == one.tp_rank; });
          const RankFacts& facts = ranks_[static_cast<std::size_t>(one.tp_rank)];
          if (const auto delta = told ? std::nullopt : solve(facts.trace, let, user, one)) {
            corrections.push_back({one.tp_rank, {}, *delta});
          }
        }
        reason_ = static_cast<int>(user) * kMostReasons + way.reason;
        add(site, std::move(corrections));
      }
    }
  }

  /// By how much a let must grow for a formula to grow by what is required of it, found along the
  /// line through its neighbours.
  [[nodiscard]] std::optional<std::int64_t> solve(const RankTrace& trace, std::size_t let,
                                                  std::size_t user, const Correction& one) const {
    const Formula& formula = *formulas_[user];
    std::vector<std::int64_t> values = trace.values;
    for (const auto& [symbol, value] : one.indices) {
      values[static_cast<std::size_t>(symbol)] = value;
    }
    const std::int64_t now = values[static_cast<std::size_t>(contract_.lets[let].symbol)];
    const auto at = [&](std::int64_t value) {
      return formula.evaluate(values_with_let(contract_, values, let, value));
    };
    const auto here = at(now);
    for (const std::int64_t step : {1, -1, 2, -2}) {
      const auto there = at(now + step);
      if (!here || !there || *there == *here || (one.delta * step) % (*there - *here) != 0) {
        continue;
      }
      const std::int64_t delta = one.delta * step / (*there - *here);
      if (const auto reached = at(now + delta); reached && *reached - *here == one.delta) {
        return delta;
      }
    }
    return std::nullopt;
  }

  /// More than any formula has ways.
  static constexpr int kMostReasons = 16;

  const Contract& contract_;
  const std::vector<FormulaSite>& sites_;
  const LayoutCase& input_;
  AdapterShape shape_;
  int reason_ = 0;
  Sources base_, b_, a_;
  std::vector<RankFacts> ranks_;
  std::vector<std::vector<Way>> result_;
  Contract copy_ = contract_;  // formulas_of gives formulas to change
  std::vector<Formula*> formulas_ = formulas_of(copy_);
  }
  ;

  }  // namespace

  bool says_what_a_group_is(const Contract& contract, const FormulaSite& site) {
    if (site.role != FormulaRole::let) {
      return false;
    }
    const int symbol = contract.lets[site.entry].symbol;
    return symbol == symbol::T || symbol == symbol::t;
  }

  std::vector<std::vector<Way>> required_values(const Contract& contract,
                                                const std::vector<FormulaSite>& sites,
                                                const LayoutCase& input, const Analysis& analysis,
                                                int adapter) {
    return Requirements(contract, sites, input, analysis, adapter).run();
  }

  }  // namespace tplora
