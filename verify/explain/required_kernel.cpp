#include <algorithm>

#include "verify/explain/ways.hpp"

namespace tplora::core {
namespace {

/// a * b / c where that is a whole number.
std::optional<std::int64_t> quotient(std::int64_t a, std::int64_t b, std::int64_t c) {
  std::int64_t product = 0;
  if (c == 0 || __builtin_mul_overflow(a, b, &product) || product % c != 0) {
    return std::nullopt;
  }
  return product / c;
}

/// What numerator, denominator or root must be for the factor to be alpha / lora_rank, or with
/// rslora alpha / sqrt(lora_rank), the other two being as they are. Nothing: no whole number.
std::optional<std::int64_t> required_of_factor(FormulaRole role, const FactorTrace& now,
                                               std::int64_t alpha, std::int64_t lora_rank,
                                               bool rslora) {
  if (!now.numerator || !now.denominator || !now.root) {
    return std::nullopt;
  }
  // numerator / (denominator * sqrt(root)) = alpha / (whole * sqrt(under))
  const std::int64_t whole = rslora ? 1 : lora_rank;
  const std::int64_t under = rslora ? lora_rank : 1;
  if (role == FormulaRole::scaling_root) {
    const auto squared = quotient(*now.numerator, whole, *now.denominator);
    const auto root = squared ? quotient(*squared, 1, alpha) : std::nullopt;
    std::int64_t square = 0;
    return root && !__builtin_mul_overflow(*root, *root, &square) ? quotient(square, under, 1)
                                                                  : std::nullopt;
  }
  // A root that is another is made up for only where the quotient of the two is a square.
  for (std::int64_t ratio = 1; ratio <= 64; ++ratio) {
    const std::int64_t square = ratio * ratio;
    const bool more = *now.root == under * square;  // sqrt(root) = ratio * sqrt(under)
    const bool less = under == *now.root * square;
    if (!more && !less) {
      continue;
    }
    const bool numerator = role == FormulaRole::scaling_numerator;
    const auto plain = numerator ? quotient(*now.denominator, alpha, whole)
                                 : quotient(*now.numerator, whole, alpha);
    if (!plain || ratio == 1) {
      return plain;
    }
    return numerator == more ? quotient(*plain, ratio, 1) : quotient(*plain, 1, ratio);
  }
  return std::nullopt;
}

std::optional<std::int32_t> space_at(const IntervalMap& map, std::int64_t row) {
  std::optional<std::int32_t> space;
  map.visit(row, row + 1, [&](const Segment& piece) {
    space = piece.space >= 0 ? std::optional(piece.space) : std::nullopt;
  });
  return space;
}

void launch_rows(Ways& ways, std::size_t site, std::size_t b) {
  const auto launches = [](const RankFacts& f) -> auto& {
    return f.trace.launches;
  };
  const auto current = [](const LaunchTurn& turn) { return turn.rows; };
  using Value = std::optional<std::int64_t>;
  // As long as the B rows are those due in the columns.
  ways.way(site, launches, current, [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
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
  ways.way(site, launches, current, [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
    Value rows;
    const auto space = space_at(f.due, turn.out);
    for (const Segment& column : f.due.segments()) {
      if (space && column.space == *space && column.end() > turn.out) {
        rows = column.end() - turn.out;
      }
    }
    return rows;
  });
  ways.way(site, launches, current, [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
    const std::int64_t end = f.due.empty() ? 0 : f.due.segments().back().end();
    return std::max<std::int64_t>(0, end - turn.out);
  });
  ways.way(site, launches, current, [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
    Value next;
    for (const LaunchTurn& other : f.trace.launches) {
      if (other.out > turn.out && other.rows > 0 && (!next || other.out < *next)) {
        next = other.out;
      }
    }
    return next ? Value(*next - turn.out) : std::nullopt;
  });
}

}  // namespace

void require_of_kernel(Ways& ways, std::size_t site) {
  const GroupFacts& facts = ways.facts();
  using enum FormulaRole;
  const FormulaRole role = ways.site(site).role;
  const KernelEntry& entry = facts.contract.kernel[ways.site(site).entry];
  const auto a = static_cast<std::size_t>(entry.a);
  const auto b = static_cast<std::size_t>(entry.b);
  const auto launches = [](const RankFacts& f) -> auto& {
    return f.trace.launches;
  };
  using Value = std::optional<std::int64_t>;
  switch (role) {
    case kernel_a_at:
      ways.way(
          site, launches, [](const LaunchTurn& turn) { return turn.a_at; },
          [&](const RankFacts& f, const LaunchTurn& turn) -> Value {
            const auto space = space_at(f.due, turn.out);
            if (!space) {
              return std::nullopt;
            }
            const std::int32_t wanted = facts.shape.shared_a ? kSharedA : *space;
            if (facts.contract.lora_a.gather == Gather::none) {
              return position(f.a[a], wanted, 0);
            }
            std::int64_t begin = 0;
            for (std::int64_t peer = f.trace.tp_rank / facts.group_size() * facts.group_size();
                 peer <
                 f.trace.tp_rank / facts.group_size() * facts.group_size() + facts.group_size();
                 ++peer) {
              const RankFacts& other = facts.ranks[static_cast<std::size_t>(peer)];
              if (const auto at = position(other.a[a], wanted, 0)) {
                return begin + *at;
              }
              begin += other.trace.a_rows[a];
            }
            return std::nullopt;
          });
      return;
    case kernel_b_at:
      ways.way(
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
      ways.way(
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
    case kernel_rows: launch_rows(ways, site, b); return;
    case kernel_b_stride:
      ways.way(
          site, launches, [](const LaunchTurn& turn) { return turn.b_stride.value_or(0); },
          [&](const RankFacts&, const LaunchTurn&) -> Value {
            return facts.input.deployment.max_lora_rank;
          });
      return;
    default:
      ways.way(
          site, launches, [](const LaunchTurn& turn) { return turn.depth; },
          [&](const RankFacts&, const LaunchTurn&) -> Value { return facts.shape.lora_rank; });
      ways.way(
          site, launches, [](const LaunchTurn& turn) { return turn.depth; },
          [&](const RankFacts&, const LaunchTurn&) -> Value {
            return facts.input.deployment.max_lora_rank;
          });
  }
}

void require_of_buffer(Ways& ways, std::size_t site) {
  const GroupFacts& facts = ways.facts();
  const bool b = ways.site(site).role == FormulaRole::b_buffer;
  const std::size_t i = ways.site(site).entry;
  const auto current = [&](const RankFacts& f) {
    return std::optional((b ? f.trace.b_rows : f.trace.a_rows)[i]);
  };
  ways.one(site, current,
           [&](const RankFacts& f) { return std::optional((b ? f.b_extent : f.a_extent)[i]); });
  ways.one(site, current, [&](const RankFacts& f) {
    std::int64_t end = 0;
    for (const LaunchTurn& turn : f.trace.launches) {
      const KernelEntry& entry = facts.contract.kernel[turn.entry];
      if (static_cast<std::size_t>(b ? entry.b : entry.a) == i) {
        end = std::max(end, b ? turn.b_at + turn.rows : turn.a_at + turn.depth);
      }
    }
    const bool gathered = !b && facts.contract.lora_a.gather == Gather::tp;
    return std::optional(gathered ? (end + facts.group_size() - 1) / facts.group_size() : end);
  });
}

void require_of_scaling(Ways& ways, std::size_t site) {
  const GroupFacts& facts = ways.facts();
  const AdapterShape& shape = facts.shape;
  const FormulaRole role = ways.site(site).role;
  for (const Part part : kParts) {
    if (!shape.has(part)) {
      continue;
    }
    const auto of = [part](const RankFacts& f) -> const FactorTrace& {
      return f.trace.factors[static_cast<std::size_t>(part)];
    };
    ways.one(
        site,
        [&](const RankFacts& f) {
          return role == FormulaRole::scaling_numerator     ? of(f).numerator
                 : role == FormulaRole::scaling_denominator ? of(f).denominator
                                                            : of(f).root;
        },
        [&](const RankFacts& f) {
          return required_of_factor(role, of(f), shape.alpha_of(part), shape.rank_of(part),
                                    shape.rslora);
        });
  }
}

}  // namespace tplora::core
