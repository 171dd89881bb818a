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

Part first_target(const AdapterShape& shape) {
  return shape.has(Part::q) ? Part::q : shape.has(Part::k) ? Part::k : Part::v;
}

/// Makes findings of violations and of what is to blame for them; can evaluate formulas on a rank
/// again.
class Narrator {
 public:
  Narrator(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
           const std::vector<std::string>& names, bool asked)
      : asked_(asked),
        contract_(contract),
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
      finding.cause.what = factors(*scaling);
      if (blame.suspects.empty()) {
        finding.cause_place = contract_.place_of("/scaling");
      }
    } else if (std::holds_alternative<ForeignRows>(violation)) {
      finding.cause.what = NothingAsserted{};
      finding.cause_place = contract_.place_of("/checks");
    } else {
      const auto [told, is_new] = causes_.try_emplace(
          {&blame, finding.tp_rank, finding.delta ? finding.delta->adapter : -1});
      if (is_new) {
        told->second = cause(violation, blame);
      }
      finding.cause = told->second;
    }
    return finding;
  }

  /// Names what is to blame for a formula or check that failed.
  void explain_failure(const Blame& blame, Finding& finding) {
    if (blame.suspects.empty()) {
      if (blame.right_alone != nullptr) {
        give_cause(blame, finding);
        std::get<Failed>(finding.cause.what).to_blame = NoSinglePlace{blame.right_alone->name};
      }
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
    std::get<Failed>(finding.cause.what).to_blame = described(suspect);
  }

 private:
  /// Names the places that may be wrong; the first of them is the cause.
  void give_cause(const Blame& blame, Finding& finding) const {
    if (blame.suspects.empty()) {
      finding.cause_place = {blame.wrong_file.empty() ? contract_.file : blame.wrong_file};
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

  [[nodiscard]] const LiveAdapter& live(int adapter) const {
    const auto found = std::find_if(analysis_.live.begin(), analysis_.live.end(),
                                    [&](const LiveAdapter& one) { return one.adapter == adapter; });
    ensure(found != analysis_.live.end(), "a delta is a live adapter's");
    return *found;
  }

  [[nodiscard]] WrongFactor factors(const WrongScaling& v) {
    planner_.build(v.tp_rank, build_);
    const LiveAdapter& one = live(v.delta.adapter);
    const auto events =
        scaling_events(contract_.pool.scale, analysis_.events, one.event, one.scaled);
    const AdapterShape& shape = one.shape;
    const Part part = v.part.value_or(first_target(shape));
    WrongFactor wrong{.adapter = v.delta.adapter,
                      .part = v.part,
                      .factors = {},
                      .uses = static_cast<std::int64_t>(events.size()),
                      .scale_place = contract_.place_of("/pool/scale"),
                      .rslora = shape.rslora,
                      .lora_alpha = shape.alpha_of(part),
                      .alpha_unit = shape.alpha_unit,
                      .lora_rank = shape.rank_of(part)};
    for (const int event : std::span(events).first(std::min(events.size(), kMaxFactors))) {
      plan_event(planner_, contract_, analysis_.events, event, build_, load_);
      planner_.enter_part(analysis_.events[static_cast<std::size_t>(event)].shape, part);
      const DeltaFactor& factor = load_.factors[static_cast<std::size_t>(part)];
      wrong.factors.push_back(
          {.numerator = planner_.evaluated(contract_.scaling_numerator),
           .denominator = planner_.evaluated(contract_.scaling_denominator),
           .root = factor.root == 1 ? std::nullopt
                                    : std::optional(planner_.evaluated(*contract_.scaling_root)),
           .alpha_unit = factor.alpha_unit});
    }
    return wrong;
  }

  /// The place to blame, with its values on the violation's rank.
  [[nodiscard]] Cause cause(const Violation& violation, const Blame& blame) {
    Cause cause;
    if (!blame.suspects.empty()) {
      const Suspect& suspect = blame.suspects.front();
      planner_.build(tp_rank_of(violation), build_);
      const Delta* delta = delta_of(violation);
      if (delta != nullptr && suspect.formula >= 0) {
        plan_event(planner_, contract_, analysis_.events, live(delta->adapter).event, build_,
                   load_);
      }
      WrongPlace place = described(suspect);
      if (auto* formula = std::get_if<WrongFormula>(&place)) {
        formula->cut_off = cut_off(suspect);
      }
      cause.what = std::move(place);
    } else if (!asked_) {
      cause.what = NotAsked{};
    } else if (blame.right_alone != nullptr) {
      cause.what = NoSinglePlace{blame.right_alone->name};
    }
    add_history(violation, cause);
    return cause;
  }

  /// A word as it is, a formula with its values on the rank planned last.
  [[nodiscard]] WrongPlace described(const Suspect& suspect) const {
    if (suspect.formula < 0) {
      return std::visit([](const auto& wrong) { return WrongPlace(wrong); }, suspect.wrong);
    }
    const std::string let = "/let/";
    return WrongFormula{
        .let = suspect.pointer.starts_with(let) ? suspect.pointer.substr(let.size()) : "",
        .formula = planner_.evaluated(*formulas_[static_cast<std::size_t>(suspect.formula)]),
        .cut_off = {}};
  }

  /// Of a copy: rows that it wanted and its source does not have.
  [[nodiscard]] std::optional<WrongFormula::CutOff> cut_off(const Suspect& suspect) const {
    const bool b = suspect.pointer.starts_with("/lora_b/copies/");
    if (!b && !suspect.pointer.starts_with("/lora_a/copies/")) {
      return std::nullopt;
    }
    for (const Piece& piece : b ? load_.b_pieces : load_.a_pieces) {
      if (suspect.pointer.starts_with(
              fmt::format("/lora_{}/copies/{}/", b ? "b" : "a", piece.copy)) &&
          piece.rows != piece.wanted_rows) {
        return WrongFormula::CutOff{piece.rows, piece.wanted_rows};
      }
    }
    return std::nullopt;
  }

  /// What happened to the adapter before, where that decides what its slot holds.
  void add_history(const Violation& violation, Cause& cause) const {
    const Delta* delta = delta_of(violation);
    if (delta == nullptr) {
      return;
    }
    const LiveAdapter& one = live(delta->adapter);
    const PoolEvent& event = analysis_.events[static_cast<std::size_t>(one.event)];
    if (contract_.pool.cut == PoolCut::in_place && event.previous >= 0) {
      cause.cut_again = CutAgain{delta->adapter, contract_.place_of("/pool/cut")};
    }
    if (contract_.pool.lookup == PoolLookup::first && event.slot != one.slot) {
      cause.earlier_slot = ReadsEarlierSlot{delta->adapter, event.slot, one.slot,
                                            contract_.place_of("/pool/lookup")};
    }
  }

  bool asked_;  ///< for causes
  const Contract& contract_;
  Contract copy_;  // formulas_of gives formulas to change
  std::vector<Formula*> formulas_;
  const LayoutCase& input_;
  const Analysis& analysis_;
  std::shared_ptr<const FindingContext> context_;
  /// By root, tp_rank and adapter: thousands of findings may have the same.
  std::map<std::tuple<const Blame*, std::int64_t, int>, Cause> causes_;
  Planner planner_;
  RankBuild build_;
  RankLoad load_;
};

/// Of replicas that disagree, the one is told with which something is wrong by itself.
Violation on_the_wrong_rank(const std::vector<Violation>& violations, std::size_t number,
                            const QkvGeometry& geometry) {
  const Violation& violation = violations[number];
  const auto* disagree = std::get_if<DisagreeingReplicas>(&violation);
  if (disagree == nullptr) {
    return violation;
  }
  const std::int64_t head_rows = geometry.rows_per_head(disagree->part);
  const auto wrong = [&](std::int64_t rank) {
    return std::any_of(violations.begin(), violations.end(), [&](const Violation& other) {
      const DueRows* due = due_of(other);
      return due != nullptr && tp_rank_of(other) == rank && due->part == disagree->part &&
             due->first_row < (disagree->kv_head + 1) * head_rows &&
             disagree->kv_head * head_rows < due->first_row + due->rows;
    });
  };
  DisagreeingReplicas turned = *disagree;
  if (!wrong(turned.tp_rank) && wrong(turned.other_tp_rank)) {
    std::swap(turned.tp_rank, turned.other_tp_rank);
  }
  return turned;
}

/// All of it, of which the cause is not asked.
Blame nobody_to_blame(const Analysis& analysis) {
  Blame none;
  for (std::size_t i = 0; i < analysis.violations.size(); ++i) {
    none.violations.push_back(i);
  }
  return none;
}

Finding failure_finding(const PlanFailure& failure) {
  Finding finding;
  finding.law = failure.law;
  finding.verdict = failure.verdict;
  finding.tp_rank = failure.tp_rank;
  finding.cause.what = Failed{failure.sentence, {}};
  finding.cause_place = failure.place;
  return finding;
}

}  // namespace

std::string Finding::adapter() const {
  return delta ? context->adapters[static_cast<std::size_t>(delta->adapter)] : "";
}

std::vector<Finding> explain(const Contract& contract, const LayoutCase& input,
                             const Analysis& analysis, const std::vector<std::string>& names,
                             const ExplainOptions& options) {
  std::vector<Finding> failures;
  for (const PlanFailure& failure : analysis.failures) {
    failures.push_back(failure_finding(failure));
  }
  std::vector<Finding> violations(analysis.violations.size());
  Narrator narrator(contract, input, analysis, names, options.causes);
  const std::vector<Blame> roots = options.causes ? blame(contract, input, analysis, options.over)
                                                  : std::vector<Blame>{nobody_to_blame(analysis)};
  for (const Blame& blame : roots) {
    for (const std::size_t number : blame.failures) {
      narrator.explain_failure(blame, failures[number]);
    }
    const auto disagree = [&](std::size_t number) {
      return std::holds_alternative<DisagreeingReplicas>(analysis.violations[number]);
    };
    const bool alone = std::all_of(blame.violations.begin(), blame.violations.end(), disagree);
    for (const std::size_t number : blame.violations) {
      violations[number] =
          narrator.tell(on_the_wrong_rank(analysis.violations, number, input.geometry), blame);
      violations[number].consequence = !alone && disagree(number);
    }
  }
  std::vector<Finding> findings = std::move(failures);
  findings.insert(findings.end(), violations.begin(), violations.end());
  if (analysis.violations.size() >= kMaxViolations) {
    Finding rest;
    rest.law = law_of(analysis.violations.back());
    rest.tp_rank = tp_rank_of(analysis.violations.back());
    rest.cause.what = More{static_cast<std::int64_t>(analysis.violations.size())};
    rest.cause_place = {contract.file};
    findings.push_back(std::move(rest));
  }
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.tp_rank < b.tp_rank; });
  return findings;
}

}  // namespace tplora::core
