#include "verify/explain/finding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>

namespace tplora {
namespace {

/// Factors that a sentence on scaling shows: a case may have thousands.
constexpr std::size_t kMaxFactors = 16;

std::string plural_range(const char* noun, std::int64_t first, std::int64_t last) {
  return first == last ? fmt::format("{} {}", noun, first)
                       : fmt::format("{}s {}-{}", noun, first, last);
}

std::string rows_text(const QkvGeometry& geometry, std::int32_t space, std::int64_t first,
                      std::int64_t rows) {
  if (space == kSharedA) {
    return plural_range("A row", first, first + rows - 1);
  }
  const auto part = static_cast<Part>(space);
  const std::int64_t head_rows = geometry.rows_per_head(part);
  return fmt::format("{} {} ({})", part_name(part), plural_range("row", first, first + rows - 1),
                     plural_range("head", first / head_rows, (first + rows - 1) / head_rows));
}

/// Turns violations into words; knows names and can evaluate formulas on a rank again.
class Narrator {
 public:
  Narrator(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
           const std::vector<std::string>& names)
      : contract_(contract),
        input_(input),
        analysis_(analysis),
        names_(names),
        planner_(contract, input.geometry, input.deployment) {}

  Finding tell(const Violation& v) {
    Finding finding;
    finding.law = v.law;
    finding.tp_rank = v.tp_rank;
    if (v.law == Law::scaling) {
      finding.adapter = name(v.adapter);
      finding.slot = v.slot;
      finding.cause = scaling(v);
      finding.cause_place = formula_at(contract_, v.cause).place();
      return finding;
    }
    const bool heads = v.side == Violation::Side::heads;
    if (v.part) {
      place_rows(v, finding);
    }
    if (!heads && v.law != Law::agreement) {
      finding.first_column = v.column;
      finding.last_column = v.column + v.rows - 1;
    }
    finding.adapter = name(v.adapter);
    finding.slot = v.slot;
    finding.expected = expected(v);
    finding.found = found(v);
    finding.cause = cause(v);
    finding.cause_place = formula_at(contract_, v.cause).place();
    return finding;
  }

 private:
  /// The logical rows and heads concerned. Precondition: a part is.
  void place_rows(const Violation& v, Finding& finding) const {
    const bool heads = v.side == Violation::Side::heads;
    const std::int64_t head_rows = input_.geometry.rows_per_head(*v.part);
    finding.part = part_name(*v.part);
    finding.first_head = heads ? v.first_row : v.first_row / head_rows;
    finding.last_head = heads ? v.first_row + v.rows - 1 : (v.first_row + v.rows - 1) / head_rows;
    finding.first_row = heads ? v.first_row * head_rows : v.first_row;
    finding.last_row = heads ? (v.first_row + v.rows) * head_rows - 1 : v.first_row + v.rows - 1;
  }

  [[nodiscard]] std::string name(int adapter) const {
    return adapter < 0 ? "" : names_[static_cast<std::size_t>(adapter)];
  }

  [[nodiscard]] std::string expected(const Violation& v) const {
    using Side = Violation::Side;
    if (v.law == Law::agreement) {
      return fmt::format("the same bits as on tp_rank {}, which owns the same KV head",
                         v.holder.first_row);
    }
    if (v.side == Side::heads) {
      if (v.law == Law::pairing) {
        return fmt::format("KV head {}, to which this rank's query heads belong",
                           v.holder.first_row);
      }
      return v.part == Part::q ? "each query head on one rank of the group"
                               : "each KV head on as many ranks as it has replicas";
    }
    if (!v.part) {
      return v.side == Side::kernel ? "no write there" : "no column there";
    }
    const bool targeted =
        v.adapter < 0 || input_.adapters[static_cast<std::size_t>(v.adapter)].has(*v.part);
    if (v.law == Law::residue && (!targeted || v.side == Side::lora_a)) {
      return "no contribution";
    }
    const std::string rows = rows_text(input_.geometry, space_of(*v.part), v.first_row, v.rows);
    return v.adapter < 0 ? rows + " of the base weight"
                         : fmt::format("adapter {}'s {}", name(v.adapter), rows);
  }

  [[nodiscard]] std::string found(const Violation& v) const {
    if (v.law == Law::agreement) {
      return "other rows";
    }
    if (v.side == Violation::Side::heads) {
      if (v.law == Law::pairing) {
        return fmt::format("KV head {}", v.first_row);
      }
      if (v.holder.kind == Holder::Kind::outside) {
        return "heads that do not exist";
      }
      return fmt::format("{} owners", v.holder.first_row);
    }
    if (!v.part && v.side == Violation::Side::kernel) {
      return "a delta behind the end of the output row";
    }
    const Holder& holder = v.holder;
    const std::string where =
        holder.slot >= 0 && holder.slot != v.slot
            ? fmt::format(" of slot {}, read past the end of slot {}", holder.slot, v.slot)
        : holder.slot >= 0 ? fmt::format(" in slot {}", holder.slot)
                           : "";
    switch (holder.kind) {
      case Holder::Kind::zeros: return "zeros" + where;
      case Holder::Kind::outside: return "memory outside the pool";
      case Holder::Kind::twice: return "a second delta on the same columns";
      case Holder::Kind::nothing:
        return v.adapter >= 0 && v.side == Violation::Side::kernel ? "no delta at all"
                                                                   : "nothing that was loaded";
      case Holder::Kind::rows: break;
    }
    const bool a_side = v.side == Violation::Side::lora_a;
    if (a_side && holder.adapter >= 0) {
      const std::string part = holder.part_space == kSharedA
                                   ? "shared"
                                   : std::string(part_name(static_cast<Part>(holder.part_space)));
      return fmt::format("adapter {}'s A of {} from row {}{}", name(holder.adapter), part,
                         holder.first_row, where);
    }
    const std::string rows =
        rows_text(input_.geometry, holder.part_space, holder.first_row, v.rows);
    return holder.adapter < 0 ? rows + " of the base weight"
                              : fmt::format("adapter {}'s {}{}", name(holder.adapter), rows, where);
  }

  [[nodiscard]] const LiveAdapter& live(const Violation& v) const {
    return *std::find_if(analysis_.live.begin(), analysis_.live.end(),
                         [&](const LiveAdapter& one) { return one.adapter == v.adapter; });
  }

  [[nodiscard]] std::string scaling(const Violation& v) {
    planner_.build(v.tp_rank, build_);
    const LiveAdapter& one = live(v);
    const auto events =
        scaling_events(contract_.pool.scale, analysis_.events, one.event, one.scaled);
    std::string factors;
    for (const int event : std::span(events).first(std::min(events.size(), kMaxFactors))) {
      plan_event(planner_, contract_, analysis_.events, event, build_, load_);
      factors += fmt::format("{}({}) / ({})", factors.empty() ? "" : " times ",
                             planner_.describe(contract_.scaling_numerator),
                             planner_.describe(contract_.scaling_denominator));
    }
    factors += events.size() > kMaxFactors ? " times ..." : "";
    const std::string again =
        events.size() > 1 ? fmt::format(", once for each of its {} uses since it was read [{}]",
                                        events.size(), contract_.pool.scale_place)
                          : "";
    return fmt::format("adapter {} is scaled by {}{}, expected alpha / lora_rank = {} / {}",
                       name(v.adapter), factors, again, one.shape.lora_alpha, one.shape.lora_rank);
  }

  [[nodiscard]] std::string cause(const Violation& v) {
    planner_.build(v.tp_rank, build_);
    std::string before;
    if (v.adapter >= 0) {
      const LiveAdapter& one = live(v);
      plan_event(planner_, contract_, analysis_.events, one.event, build_, load_);
      const PoolEvent& event = analysis_.events[static_cast<std::size_t>(one.event)];
      if (contract_.pool.cut == PoolCut::in_place && event.previous >= 0) {
        before = fmt::format(
            "; the host's copy of adapter {} was cut for this rank before, and is "
            "cut again [{}]",
            name(v.adapter), contract_.pool.cut_place);
      }
      if (contract_.pool.lookup == PoolLookup::first && event.slot != one.slot) {
        before += fmt::format(
            "; adapter {} is in slot {} now, and its tokens still read slot {} "
            "[{}]",
            name(v.adapter), event.slot, one.slot, contract_.pool.lookup_place);
      }
    }
    std::string text = planner_.describe(formula_at(contract_, v.cause));
    const bool b = v.cause.section == FormulaRef::Section::lora_b;
    if (b || v.cause.section == FormulaRef::Section::lora_a) {
      for (const Piece& piece : b ? load_.b_pieces : load_.a_pieces) {
        if (piece.copy == v.cause.index && piece.rows != piece.wanted_rows) {
          text +=
              fmt::format("; {} of the {} rows wanted are there", piece.rows, piece.wanted_rows);
          break;
        }
      }
    }
    return text + before;
  }

  const Contract& contract_;
  const LayoutCase& input_;
  const Analysis& analysis_;
  const std::vector<std::string>& names_;
  Planner planner_;
  RankBuild build_;
  RankLoad load_;
};

}  // namespace

std::string Finding::message() const {
  if (part.empty() && first_column < 0) {
    return fmt::format("tp_rank {}: {} [{}]", tp_rank, cause, cause_place);
  }
  const std::string whose =
      adapter.empty() ? "" : fmt::format(" of adapter {} (slot {})", adapter, slot);
  if (part.empty()) {
    return fmt::format("tp_rank {}, output columns {}-{}{}: found {}, expected {}; law {}; {} [{}]",
                       tp_rank, first_column, last_column, whose, found, expected, law_name(law),
                       cause, cause_place);
  }
  const std::string heads = first_head == last_head
                                ? fmt::format("head {}", first_head)
                                : fmt::format("heads {}-{}", first_head, last_head);
  return fmt::format("tp_rank {}, {} {}, rows {}-{}{}: found {}, expected {}; law {}; {} [{}]",
                     tp_rank, part, heads, first_row, last_row, whose, found, expected,
                     law_name(law), cause, cause_place);
}

std::vector<Finding> explain(const Contract& contract, const LayoutCase& input,
                             const Analysis& analysis, const std::vector<std::string>& names) {
  std::vector<Finding> findings;
  for (const PlanFailure& failure : analysis.failures) {
    Finding finding;
    finding.law = failure.law;
    finding.verdict = failure.verdict;
    finding.tp_rank = failure.tp_rank;
    finding.cause = failure.sentence;
    finding.cause_place = failure.place;
    findings.push_back(std::move(finding));
  }
  Narrator narrator(contract, input, analysis, names);
  for (const Violation& violation : analysis.violations) {
    findings.push_back(narrator.tell(violation));
  }
  if (analysis.violations.size() >= kMaxViolations) {
    Finding rest;
    rest.law = analysis.violations.back().law;
    rest.tp_rank = analysis.violations.back().tp_rank;
    rest.cause = fmt::format("laws are broken at {} places and more, which are not looked at",
                             analysis.violations.size());
    rest.cause_place = contract.file;
    findings.push_back(std::move(rest));
  }
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.tp_rank < b.tp_rank; });
  return findings;
}

namespace {

/// Two findings of one formula are one story when it breaks the same law for the same part and
/// adapter in the same kind of way.
std::string story_key(const Finding& f) {
  return fmt::format("{}|{}|{}|{}|{}", static_cast<int>(f.law), f.part, f.adapter, f.slot,
                     f.found.substr(0, f.found.find(" row"))) +
         (f.part.empty() ? fmt::format("|{}-{}", f.first_column, f.last_column) : "");
}

void add_rows(Story& story, const Finding& finding) {
  for (std::int64_t head = finding.first_head; head <= finding.last_head && head >= 0; ++head) {
    story.heads.push_back(head);
  }
  if (finding.first_row >= 0) {
    story.rows.emplace_back(finding.first_row, finding.last_row);
  }
}

void merge(Story& story) {
  std::sort(story.heads.begin(), story.heads.end());
  story.heads.erase(std::unique(story.heads.begin(), story.heads.end()), story.heads.end());
  std::sort(story.rows.begin(), story.rows.end());
  std::vector<std::pair<std::int64_t, std::int64_t>> merged;
  for (const auto& [first, last] : story.rows) {
    if (!merged.empty() && first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, last);
    } else {
      merged.emplace_back(first, last);
    }
  }
  story.rows = std::move(merged);
}

}  // namespace

std::vector<FindingGroup> group_findings(const std::vector<Finding>& findings) {
  std::vector<FindingGroup> groups;
  std::map<std::string, std::size_t> group_of;
  std::map<std::string, std::size_t> story_of;
  for (const Finding& finding : findings) {
    const auto [group, is_new] = group_of.emplace(finding.cause_place, groups.size());
    if (is_new) {
      groups.push_back({finding.cause, finding.cause_place, {}});
    }
    auto& stories = groups[group->second].stories;
    const auto [story, starts] =
        story_of.emplace(finding.cause_place + "|" + story_key(finding), stories.size());
    if (starts) {
      stories.push_back({finding, {}, {}, {}});
    }
    Story& one = stories[story->second];
    if (one.ranks.empty() || one.ranks.back() != finding.tp_rank) {
      one.ranks.push_back(finding.tp_rank);
    }
    add_rows(one, finding);
  }
  for (FindingGroup& group : groups) {
    std::for_each(group.stories.begin(), group.stories.end(), merge);
  }
  return groups;
}

std::string ranges(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) {
      ++end;
    }
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", numbers[i],
                        end - i > 1 ? fmt::format("-{}", numbers[end - 1]) : "");
    i = end;
  }
  return text;
}

}  // namespace tplora
