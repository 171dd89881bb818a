#include "verify/explain/finding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <tuple>

#include "sim/base/ensure.hpp"
#include "verify/explain/blame.hpp"

namespace tplora::core {
namespace {

/// Factors that a sentence on scaling shows: a case may have thousands.
constexpr std::size_t kMaxFactors = 8;

Part first_target(const AdapterShape& shape) {
  return shape.has(Part::q) ? Part::q : shape.has(Part::k) ? Part::k : Part::v;
}

std::string_view factor_text(const AdapterShape& shape) {
  return shape.rslora ? "alpha / sqrt(lora_rank)" : "alpha / lora_rank";
}

/// Makes findings of violations and of what is to blame for them; can evaluate formulas on a rank
/// again.
class Narrator {
 public:
  Narrator(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
           const std::vector<std::string>& names)
      : contract_(contract),
        copy_(contract),
        formulas_(formulas_of(copy_)),
        input_(input),
        analysis_(analysis),
        context_(std::make_shared<FindingContext>(FindingContext{input.geometry, names})),
        planner_(contract, input.geometry, input.deployment) {}

  Finding tell(const Violation& violation, const Blame& blame) {
    Finding finding;
    finding.law = law_of(violation);
    finding.tp_rank = tp_rank_of(violation);
    finding.violation = violation;
    finding.context = context_;
    if (const Delta* delta = delta_of(violation)) {
      finding.delta = *delta;
    }
    place(violation, finding);
    give_cause(blame, finding);
    if (const auto* scaling = std::get_if<WrongScaling>(&violation)) {
      finding.cause = factors(*scaling);
      if (blame.suspects.empty()) {
        finding.cause_place = contract_.place_of("/scaling");
      }
    } else if (std::holds_alternative<ForeignRows>(violation)) {
      finding.cause = "nothing that the engine asserts stops it";
      finding.cause_place = contract_.place_of("/checks");
    } else {
      const auto [told, is_new] = causes_.try_emplace(
          {&blame, finding.tp_rank, finding.delta ? finding.delta->adapter : -1});
      if (is_new) {
        told->second = cause(violation, blame) + history(violation);
      }
      finding.cause = told->second;
    }
    return finding;
  }

  /// Names what is to blame for a formula or check that failed.
  void explain_failure(const Blame& blame, Finding& finding) {
    if (blame.suspects.empty()) {
      return;
    }
    if (blame.suspects.front().place == finding.cause_place) {
      if (finding.law != Law::check) {
        give_cause(blame, finding);
      }
      return;
    }
    give_cause(blame, finding);
    const Suspect& suspect = blame.suspects.front();
    planner_.build(finding.tp_rank, build_);
    finding.cause += "; to blame: " + described(suspect);
  }

 private:
  /// Names the places that may be wrong; the first of them is the cause.
  void give_cause(const Blame& blame, Finding& finding) const {
    if (blame.suspects.empty()) {
      finding.cause_place = contract_.file;
      return;
    }
    finding.cause_place = blame.suspects.front().place;
    finding.together_with = blame.suspects.front().together_with;
    for (std::size_t i = 1; i < blame.suspects.size(); ++i) {
      finding.other_places.push_back(blame.suspects[i].place);
    }
  }

  /// Which rows, heads and columns are concerned.
  void place(const Violation& violation, Finding& finding) const {
    const auto heads = [&](Part part, std::int64_t first, std::int64_t count) {
      const std::int64_t head_rows = input_.geometry.rows_per_head(part);
      finding.part = part;
      finding.heads = {first, first + count - 1};
      finding.rows = {first * head_rows, (first + count) * head_rows - 1};
    };
    const auto columns = [&](std::int64_t first, std::int64_t count) {
      finding.columns = {first, first + count - 1};
    };
    if (const DueRows* due = due_of(violation)) {
      const std::int64_t head_rows = input_.geometry.rows_per_head(due->part);
      finding.part = due->part;
      const std::int64_t last_row = due->first_row + due->rows - 1;
      finding.heads = {due->first_row / head_rows, last_row / head_rows};
      finding.rows = {due->first_row, last_row};
      columns(due->column, due->rows);
      return;
    }
    std::visit(Overloaded{[&](const HeadsOutside& v) { heads(v.part, v.first_head, v.heads); },
                          [&](const WrongOwners& v) { heads(v.part, v.head, 1); },
                          [&](const UnevenHeads& v) { heads(Part::k, v.first_kv, v.kv_heads); },
                          [&](const WrongPairing& v) { heads(Part::k, v.kv_head, 1); },
                          [&](const DisagreeingReplicas& v) { heads(v.part, v.kv_head, 1); },
                          [&](const SurplusColumns& v) { columns(v.column, v.columns); },
                          [&](const WrittenPastRow& v) { columns(v.column, v.columns); },
                          [&](const ForeignRows& v) {
                            heads(v.part, 0, v.due_rows / input_.geometry.rows_per_head(v.part));
                          },
                          [](const auto&) {}},
               violation);
  }

  [[nodiscard]] const std::string& name(int adapter) const {
    return context_->adapters[static_cast<std::size_t>(adapter)];
  }

  [[nodiscard]] const LiveAdapter& live(int adapter) const {
    const auto found = std::find_if(analysis_.live.begin(), analysis_.live.end(),
                                    [&](const LiveAdapter& one) { return one.adapter == adapter; });
    ensure(found != analysis_.live.end(), "a delta is a live adapter's");
    return *found;
  }

  /// " / sqrt(...)" where there is a root to be seen.
  [[nodiscard]] std::string root_text(const DeltaFactor& factor) const {
    return factor.root == 1
               ? ""
               : fmt::format(" / sqrt({})", planner_.describe(*contract_.scaling_root));
  }

  [[nodiscard]] std::string factors(const WrongScaling& v) {
    planner_.build(v.tp_rank, build_);
    const LiveAdapter& one = live(v.delta.adapter);
    const auto events =
        scaling_events(contract_.pool.scale, analysis_.events, one.event, one.scaled);
    const AdapterShape& shape = one.shape;
    const Part part = v.part.value_or(first_target(shape));
    std::string factors;
    for (const int event : std::span(events).first(std::min(events.size(), kMaxFactors))) {
      plan_event(planner_, contract_, analysis_.events, event, build_, load_);
      planner_.enter_part(analysis_.events[static_cast<std::size_t>(event)].shape, part);
      const DeltaFactor& factor = load_.factors[static_cast<std::size_t>(part)];
      factors += fmt::format(
          "{}({}{}) / ({}){}", factors.empty() ? "" : " times ",
          planner_.describe(contract_.scaling_numerator),
          factor.alpha_unit == 1 ? "" : fmt::format(" in units of 1/{}", factor.alpha_unit),
          planner_.describe(contract_.scaling_denominator), root_text(factor));
    }
    factors += events.size() > kMaxFactors ? " times ..." : "";
    const std::string again =
        events.size() > 1 ? fmt::format(", once for each of its {} uses since it was read [{}]",
                                        events.size(), contract_.place_of("/pool/scale"))
                          : "";
    const std::string of_part = v.part ? fmt::format("'s {}", part_name(*v.part)) : "";
    return fmt::format("adapter {}{} is scaled by {}{}, expected {} = {} / {}",
                       name(v.delta.adapter), of_part, factors, again, factor_text(shape),
                       alpha_text(shape.alpha_of(part), shape.alpha_unit),
                       fmt::format("{}{}{}", shape.rslora ? "sqrt(" : "", shape.rank_of(part),
                                   shape.rslora ? ")" : ""));
  }

  /// The place to blame, with its values on the violation's rank.
  [[nodiscard]] std::string cause(const Violation& violation, const Blame& blame) {
    if (blame.suspects.empty()) {
      return "no single formula or word explains this: more than one place is wrong";
    }
    const Suspect& suspect = blame.suspects.front();
    if (suspect.formula < 0) {
      return suspect.say;
    }
    planner_.build(tp_rank_of(violation), build_);
    if (const Delta* delta = delta_of(violation)) {
      plan_event(planner_, contract_, analysis_.events, live(delta->adapter).event, build_, load_);
    }
    return described(suspect) + cut_off(suspect);
  }

  /// A word as it is, a formula with its values on the rank planned last ("K = n*D*T = 64 (...)").
  [[nodiscard]] std::string described(const Suspect& suspect) const {
    if (suspect.formula < 0) {
      return suspect.say;
    }
    const std::string let = "/let/";
    return (suspect.pointer.starts_with(let) ? suspect.pointer.substr(let.size()) + " = " : "") +
           planner_.describe(*formulas_[static_cast<std::size_t>(suspect.formula)]);
  }

  /// Of a copy: rows that it wanted and its source does not have.
  [[nodiscard]] std::string cut_off(const Suspect& suspect) const {
    const bool b = suspect.pointer.starts_with("/lora_b/copies/");
    if (!b && !suspect.pointer.starts_with("/lora_a/copies/")) {
      return "";
    }
    for (const Piece& piece : b ? load_.b_pieces : load_.a_pieces) {
      if (suspect.pointer.starts_with(
              fmt::format("/lora_{}/copies/{}/", b ? "b" : "a", piece.copy)) &&
          piece.rows != piece.wanted_rows) {
        return fmt::format("; {} of the {} rows wanted are there", piece.rows, piece.wanted_rows);
      }
    }
    return "";
  }

  /// What happened to the adapter before, where that decides what its slot holds.
  [[nodiscard]] std::string history(const Violation& violation) const {
    const Delta* delta = delta_of(violation);
    if (delta == nullptr) {
      return "";
    }
    std::string text;
    const LiveAdapter& one = live(delta->adapter);
    const PoolEvent& event = analysis_.events[static_cast<std::size_t>(one.event)];
    if (contract_.pool.cut == PoolCut::in_place && event.previous >= 0) {
      text = fmt::format(
          "; the host's copy of adapter {} was cut for this rank before, and is cut again [{}]",
          name(delta->adapter), contract_.place_of("/pool/cut"));
    }
    if (contract_.pool.lookup == PoolLookup::first && event.slot != one.slot) {
      text += fmt::format("; adapter {} is in slot {} now, and its tokens still read slot {} [{}]",
                          name(delta->adapter), event.slot, one.slot,
                          contract_.place_of("/pool/lookup"));
    }
    return text;
  }

  const Contract& contract_;
  Contract copy_;  // formulas_of gives formulas to change
  std::vector<Formula*> formulas_;
  const LayoutCase& input_;
  const Analysis& analysis_;
  std::shared_ptr<const FindingContext> context_;
  /// By root, tp_rank and adapter: thousands of findings may have the same.
  std::map<std::tuple<const Blame*, std::int64_t, int>, std::string> causes_;
  Planner planner_;
  RankBuild build_;
  RankLoad load_;
};

Finding failure_finding(const PlanFailure& failure) {
  Finding finding;
  finding.law = failure.law;
  finding.verdict = failure.verdict;
  finding.tp_rank = failure.tp_rank;
  finding.cause = failure.sentence;
  finding.cause_place = failure.place;
  return finding;
}

}  // namespace

std::string Finding::adapter() const {
  return delta ? context->adapters[static_cast<std::size_t>(delta->adapter)] : "";
}

std::vector<Finding> explain(const Contract& contract, const LayoutCase& input,
                             const Analysis& analysis, const std::vector<std::string>& names) {
  std::vector<Finding> failures;
  for (const PlanFailure& failure : analysis.failures) {
    failures.push_back(failure_finding(failure));
  }
  std::vector<Finding> violations(analysis.violations.size());
  Narrator narrator(contract, input, analysis, names);
  const std::vector<Blame> roots = blame(contract, input, analysis);
  for (const Blame& blame : roots) {
    for (const std::size_t number : blame.failures) {
      narrator.explain_failure(blame, failures[number]);
    }
    const auto disagree = [&](std::size_t number) {
      return std::holds_alternative<DisagreeingReplicas>(analysis.violations[number]);
    };
    const bool alone = std::all_of(blame.violations.begin(), blame.violations.end(), disagree);
    for (const std::size_t number : blame.violations) {
      violations[number] = narrator.tell(analysis.violations[number], blame);
      violations[number].consequence = !alone && disagree(number);
    }
  }
  std::vector<Finding> findings = std::move(failures);
  findings.insert(findings.end(), violations.begin(), violations.end());
  if (analysis.violations.size() >= kMaxViolations) {
    Finding rest;
    rest.law = law_of(analysis.violations.back());
    rest.tp_rank = tp_rank_of(analysis.violations.back());
    rest.cause = fmt::format("laws are broken at {} places and more, which are not looked at",
                             analysis.violations.size());
    rest.cause_place = contract.file;
    findings.push_back(std::move(rest));
  }
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.tp_rank < b.tp_rank; });
  return findings;
}

}  // namespace tplora::core
