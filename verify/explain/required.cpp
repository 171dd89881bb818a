#include "verify/explain/required.hpp"

#include <algorithm>
#include <optional>

#include "sim/layout/view.hpp"
#include "verify/explain/required_heads.hpp"
#include "verify/explain/ways.hpp"

namespace tplora::core {
namespace {

/// More than any formula has ways.
constexpr int kMostReasons = 16;
/// Of a let's value the multiples n/m up to here are looked at.
constexpr std::int64_t kMostTimes = 8;

void require_of_heads(Ways& ways, std::size_t site) {
  const GroupFacts& facts = ways.facts();
  const FormulaRole role = ways.site(site).role;
  const bool q = role == FormulaRole::first_q || role == FormulaRole::q_heads;
  const bool first = role == FormulaRole::first_q || role == FormulaRole::first_kv;
  const Part part = q ? Part::q : Part::k;
  const auto current = [&](const RankFacts& f) {
    const HeadRange own = owned_heads(f.trace.heads, part);
    return std::optional(first ? own.first : own.count);
  };
  if (!q) {
    ways.one(site, current, [&](const RankFacts& f) -> std::optional<std::int64_t> {
      const HeadRange own = owned_heads(f.trace.heads, Part::q);
      if (own.first < 0 || own.count < 1) {
        return std::nullopt;
      }
      const HeadRange due = due_kv_heads(facts.input.geometry, f.trace.heads);
      return first ? due.first : due.count;
    });
  }
  // By the base weight that the rank has.
  ways.one(site, current, [&](const RankFacts& f) -> std::optional<std::int64_t> {
    std::int64_t least = -1;
    std::int64_t rows = 0;
    for (const CopyTurn& turn : f.trace.weight) {
      const Source source = facts.contract.weight.copies[turn.entry].source;
      facts.base.of(source).visit(turn.from, turn.from + turn.rows, [&](const Segment& piece) {
        if (piece.space == space_of(part)) {
          least = least < 0 ? piece.from : std::min(least, piece.from);
          rows += piece.rows;
        }
      });
    }
    const std::int64_t head_rows = facts.input.geometry.rows_per_head(part);
    if (least < 0 || rows % head_rows != 0) {
      return std::nullopt;
    }
    return first ? least / head_rows : rows / head_rows;
  });
  for (const Dealing& dealing : ways.dealings()) {
    ways.one(site, current, [&](const RankFacts& f) -> std::optional<std::int64_t> {
      const Share& share = dealing[static_cast<std::size_t>(f.trace.tp_rank)];
      const HeadRange& due = q ? share.q : share.kv;
      return first ? due.first : due.count;
    });
  }
}

void require_of_group(Ways& ways, std::size_t site) {
  const Deployment& deployment = ways.facts().input.deployment;
  const int symbol = ways.facts().contract.lets[ways.site(site).entry].symbol;
  const std::int64_t size = deployment.tp_size / deployment.dp_size;
  ways.one(
      site,
      [&](const RankFacts& f) {
        return std::optional(f.trace.values[static_cast<std::size_t>(symbol)]);
      },
      [&](const RankFacts& f) {
        return std::optional(symbol == symbol::T ? size : f.trace.tp_rank % size);
      });
}

/// Values that a let may well have to have: on the line through it and a neighbour, for which
/// `at` gives what the formula comes to; then simple multiples of what it is. A formula that
/// divides exactly has no value at most neighbours: a step as wide as the group leads to one that
/// has.
template <class At>
std::vector<std::int64_t> likely_values(std::int64_t now, std::int64_t here, std::int64_t wanted,
                                        std::int64_t group_size, const At& at) {
  std::vector<std::int64_t> values;
  for (const std::int64_t step : {std::int64_t{1}, std::int64_t{-1}, std::int64_t{2},
                                  std::int64_t{-2}, group_size, -group_size}) {
    const auto there = at(now + step);
    if (there && *there != here && *there > -kMaxRows && *there < kMaxRows &&
        (wanted - here) * step % (*there - here) == 0) {
      values.push_back(now + (wanted - here) * step / (*there - here));
    }
  }
  for (std::int64_t times = 1; times <= kMostTimes; ++times) {
    for (std::int64_t parts = 1; parts <= kMostTimes; ++parts) {
      if (times != parts && now * times % parts == 0) {
        values.push_back(now * times / parts);
      }
    }
  }
  return values;
}

/// Whether a formula mentions one of the symbols.
bool looks_at(const Formula& formula, const std::vector<bool>& symbols) {
  const auto& used = formula.used_symbols();
  return std::any_of(used.begin(), used.end(), [&](const Formula::Used& one) {
    const auto number = static_cast<std::size_t>(one.symbol);
    return number < symbols.size() && symbols[number];
  });
}

/// By how much let number `let` must grow for a formula to grow by what is required of it.
std::optional<std::int64_t> solve(const Contract& contract, const RankTrace& trace, std::size_t let,
                                  const Formula& formula, const Correction& one,
                                  std::int64_t group_size) {
  std::vector<std::int64_t> values = trace.values;
  for (const auto& [symbol, value] : one.indices) {
    values[static_cast<std::size_t>(symbol)] = value;
  }
  const std::int64_t now = values[static_cast<std::size_t>(contract.lets[let].symbol)];
  const auto at = [&](std::int64_t value) {
    return formula.evaluate(values_with_let(contract, values, let, value));
  };
  const auto here = at(now);
  const auto small = [](std::int64_t value) { return value > -kMaxRows && value < kMaxRows; };
  if (!here || !small(now) || !small(*here) || !small(one.delta)) {
    return std::nullopt;  // nor is any right value as large
  }
  const std::int64_t wanted = *here + one.delta;
  for (const std::int64_t value : likely_values(now, *here, wanted, group_size, at)) {
    if (at(value) == wanted) {
      return value - now;
    }
  }
  return std::nullopt;
}

/// By symbol: whether its value depends on let number `let`.
std::vector<bool> dependents_of(const Contract& contract, std::size_t let) {
  std::vector<bool> depends;
  const auto mark = [&](int symbol) {
    const auto number = static_cast<std::size_t>(symbol);
    depends.resize(std::max(depends.size(), number + 1), false);
    depends[number] = true;
  };
  mark(contract.lets[let].symbol);
  for (std::size_t later = let + 1; later < contract.lets.size(); ++later) {
    if (looks_at(contract.lets[later].formula, depends)) {
      mark(contract.lets[later].symbol);
    }
  }
  return depends;
}

/// What a let would have to be for the formulas that look at it to come to what is required, each
/// alone; or what ranks own, all of it.
void require_of_let(Ways& ways, std::size_t site, const std::vector<Formula*>& formulas) {
  const GroupFacts& facts = ways.facts();
  const std::vector<bool> depends = dependents_of(facts.contract, ways.site(site).entry);
  for (std::size_t user = 0; user < ways.sites(); ++user) {
    if (ways.site(user).role == FormulaRole::let) {
      continue;
    }
    const bool looks = looks_at(*formulas[user], depends);
    for (const Way& way : ways.of(user)) {
      Corrections corrections;
      for (const Correction& one : way.corrections) {
        if (!looks && one.delta != 0) {
          continue;  // no value of the let changes it
        }
        if (!corrections.empty() && corrections.back().tp_rank == one.tp_rank) {
          continue;  // told by an earlier turn of the rank
        }
        const RankTrace& trace = facts.ranks[static_cast<std::size_t>(one.tp_rank)].trace;
        if (const auto delta = solve(facts.contract, trace, ways.site(site).entry, *formulas[user],
                                     one, facts.group_size())) {
          corrections.push_back({one.tp_rank, {}, *delta});
        }
      }
      ways.start_reasons(static_cast<int>(user) * kMostReasons + way.reason);
      ways.add(site, std::move(corrections));
    }
  }
  ways.start_reasons(static_cast<int>(ways.sites()) * kMostReasons);
  for (const Dealing& dealing : ways.dealings()) {
    ways.add(site,
             let_for_dealing(facts, ways.all_sites(), formulas, ways.site(site).entry, dealing));
  }
}

void require_directly(Ways& ways, std::size_t site) {
  using enum FormulaRole;
  switch (ways.site(site).role) {
    case first_q:
    case q_heads:
    case first_kv:
    case kv_heads: require_of_heads(ways, site); break;
    case weight_from:
    case weight_rows:
    case weight_at:
    case b_from:
    case b_rows:
    case b_at:
    case a_from:
    case a_rows:
    case a_at: require_of_copy(ways, site); break;
    case b_buffer:
    case a_buffer: require_of_buffer(ways, site); break;
    case kernel_a_at:
    case kernel_b_at:
    case kernel_out:
    case kernel_rows:
    case kernel_depth:
    case kernel_b_stride: require_of_kernel(ways, site); break;
    case scaling_numerator:
    case scaling_denominator:
    case scaling_root: require_of_scaling(ways, site); break;
    default: break;  // lets come later; of checks and loops no law requires a number
  }
}

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
                                              int adapter, Lets lets) {
  const GroupFacts facts(contract, input, analysis, adapter);
  Contract copy = contract;  // formulas_of gives formulas to change
  const std::vector<Formula*> formulas = formulas_of(copy);
  Ways ways(facts, sites);
  for (std::size_t site = 0; site < sites.size(); ++site) {
    ways.start_reasons(0);
    require_directly(ways, site);
  }
  for (std::size_t site = 0; site < sites.size() && lets == Lets::with; ++site) {
    if (says_what_a_group_is(contract, sites[site])) {
      ways.start_reasons(0);
      require_of_group(ways, site);
    } else if (sites[site].role == FormulaRole::let) {
      require_of_let(ways, site, formulas);
    }
  }
  return ways.take();
}

}  // namespace tplora::core
