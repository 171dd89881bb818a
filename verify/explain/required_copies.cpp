#include <algorithm>
#include <functional>

#include "verify/explain/ways.hpp"

namespace tplora::core {
namespace {

struct CopySection {
  FormulaRole from, rows;
  std::function<const std::vector<CopyTurn>&(const RankFacts&)> turns;
  std::function<const IntervalMap&(const RankFacts&, int)> due;
  /// Rows by which a buffer is longer than what is put into it.
  std::function<std::optional<std::int64_t>(const RankFacts&, int)> room;
};

/// Where in the source the row stands that is due at the turn's first row, or at its first wrong
/// row, less the rows before it.
std::optional<std::int64_t> from_of(const IntervalMap& due, const IntervalMap& source,
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
std::optional<std::int32_t> part_of(const IntervalMap& source, const CopyTurn& turn) {
  std::optional<std::int32_t> space;
  const auto segments = source.segments();
  for (const Segment& piece : segments) {
    if (piece.at <= std::max<std::int64_t>(0, turn.from)) {
      space = piece.space;
    }
  }
  return space;
}

std::optional<std::int64_t> first_due(const IntervalMap& due, const IntervalMap& source,
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
std::optional<std::int64_t> run_of(const IntervalMap& due, const IntervalMap& source,
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
std::optional<std::int64_t> due_rows(const IntervalMap& due, const IntervalMap& source,
                                     const CopyTurn& turn) {
  const auto space = part_of(source, turn);
  std::int64_t rows = 0;
  for (const Segment& piece : due.segments()) {
    rows += space && piece.space == *space ? piece.rows : 0;
  }
  return rows;
}

/// As many rows as bring the first row of the next turn on the buffer where it is due.
std::optional<std::int64_t> up_to_next(const CopySection& section, const std::vector<Copy>& list,
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

void require(Ways& ways, std::size_t site, const std::vector<Copy>& list, const Sources& sources,
             const CopySection& section) {
  const Copy& copy = list[ways.site(site).entry];
  const IntervalMap& source = sources.of(copy.source);
  const FormulaRole role = ways.site(site).role;
  if (role == section.from) {
    for (const bool first_wrong : {false, true}) {
      ways.way(
          site, section.turns, [](const CopyTurn& turn) { return turn.from; },
          [&](const RankFacts& f, const CopyTurn& turn) {
            return from_of(section.due(f, copy.buffer), source, turn, first_wrong);
          });
    }
    // The first due row of the part that it takes now.
    ways.way(
        site, section.turns, [](const CopyTurn& turn) { return turn.from; },
        [&](const RankFacts& f, const CopyTurn& turn) {
          return first_due(section.due(f, copy.buffer), source, turn);
        });
  } else if (role == section.rows) {
    const auto current = [](const CopyTurn& turn) { return turn.rows; };
    ways.way(site, section.turns, current, [&](const RankFacts& f, const CopyTurn& turn) {
      return run_of(section.due(f, copy.buffer), source, turn);
    });
    ways.way(site, section.turns, current, [&](const RankFacts& f, const CopyTurn& turn) {
      return due_rows(section.due(f, copy.buffer), source, turn);
    });
    ways.way(site, section.turns, current, [&](const RankFacts& f, const CopyTurn& turn) {
      return up_to_next(section, list, sources, f, turn);
    });
    ways.way(site, section.turns, current, [&](const RankFacts& f, const CopyTurn& turn) {
      const auto room = section.room(f, copy.buffer);
      return room && turn.rows + *room >= 0 ? std::optional(turn.rows + *room) : std::nullopt;
    });
    ways.way(site, section.turns, current,
             [&](const RankFacts&, const CopyTurn& turn) -> std::optional<std::int64_t> {
               const std::int64_t size = source.segments().back().end();
               return std::clamp<std::int64_t>(size - turn.from, 0, turn.rows);
             });
  } else {
    ways.way(
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

}  // namespace

void require_of_copy(Ways& ways, std::size_t site) {
  using enum FormulaRole;
  const GroupFacts& facts = ways.facts();
  switch (ways.site(site).role) {
    case weight_from:
    case weight_rows:
    case weight_at:
      require(ways, site, facts.contract.weight.copies, facts.base,
              {weight_from, weight_rows, [](const RankFacts& f) -> auto& { return f.trace.weight;
  }
  , [](const RankFacts& f, int) -> const IntervalMap& { return f.due; },
      [](const RankFacts&, int) { return std::optional<std::int64_t>(); }
});
break;
case b_from:
case b_rows:
case b_at:
      require(ways, site, facts.contract.lora_b.copies, facts.lora_b,
              {b_from, b_rows, [](const RankFacts& f) -> auto& { return f.trace.b;
}  // namespace tplora::core
,
    [](const RankFacts& f, int buffer) -> const IntervalMap& {
      return f.due_b[static_cast<std::size_t>(buffer)];
    },
    [](const RankFacts& f, int buffer) {
      const auto i = static_cast<std::size_t>(buffer);
      return std::optional(f.trace.b_rows[i] - f.b_extent[i]);
    }
});
break;
default:
      require(ways, site, facts.contract.lora_a.copies, facts.lora_a,
              {a_from, a_rows, [](const RankFacts& f) -> auto& { return f.trace.a;
      }
      ,
          [](const RankFacts& f, int buffer) -> const IntervalMap& {
            return f.due_a[static_cast<std::size_t>(buffer)];
          },
          [](const RankFacts& f, int buffer) {
            const auto i = static_cast<std::size_t>(buffer);
            return std::optional(f.trace.a_rows[i] - f.a_extent[i]);
          }
      });
      }
      }

      }  // namespace tplora
