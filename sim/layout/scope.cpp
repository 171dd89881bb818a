#include "sim/layout/scope.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/ensure.hpp"

namespace tplora::core {

namespace {

/// Steps of all loops of one rank's build or load, and evaluated copies and kernel entries of all
/// ranks: a contract cannot make the tool loop for ever.
constexpr std::int64_t kMaxLoopSteps = std::int64_t{1} << 13;
constexpr std::int64_t kMaxPieces = std::int64_t{1} << 22;

}  // namespace

Scope::Scope(const Contract& contract, const QkvGeometry& geometry, const Deployment& deployment,
             Detail detail)
    : contract_(contract), detail_(detail), cache_(contract) {
  ensure(contract.value_count >= symbol::count, "a contract has all predefined symbols");
  values_.resize(static_cast<std::size_t>(contract.value_count));
  known_.assign(values_.size(), 1);
  const SymbolValues given = symbol_values(geometry, deployment);
  std::copy(given.begin(), given.end(), values_.begin());
  if (!run_lets(Phase::deployment)) {
    deployment_ = stop_;
  }
  group_size_ = values_[symbol::T];
  for (const Let& let : contract.lets) {
    if (let.symbol == symbol::t && let.phase == Phase::deployment) {
      group_rank_ = values_[symbol::t];
    }
  }
}

std::optional<PlanFailure> Scope::enter_rank(std::int64_t tp_rank) {
  ensure(0 <= tp_rank && tp_rank < values_[symbol::tp_size], "a rank of the deployment is planned");
  cache_.enter_rank();
  loop_steps_ = 0;
  failed_on_every_rank_ = false;
  values_[symbol::T] = group_size_;
  values_[symbol::tp_rank] = tp_rank;
  values_[symbol::t] = group_rank_.value_or(tp_rank);
  bool lets = !deployment_;
  if (lets) {
    lets = run_lets(Phase::tp_rank);
  } else {
    stop_ = *deployment_;
    forget_lets(Phase::tp_rank);
  }
  const Formula::Stop why = stop_;
  if (auto broken = run_checks(Check::When::build, Verdict::refused)) {
    failed_on_every_rank_ = !checks_of_rank_;
    return broken;
  }
  if (!lets) {
    failed_on_every_rank_ = deployment_ && !checks_of_rank_;
    stop_ = why;
    return failure(Verdict::refused);
  }
  return std::nullopt;
}

std::optional<PlanFailure> Scope::enter_adapter(const AdapterShape& adapter) {
  ensure(adapter.lora_rank > 0, "an adapter has a lora_rank");
  loop_steps_ = 0;
  put_adapter(adapter, values_);
  const bool lets = run_lets(Phase::adapter);
  const Formula::Stop why = stop_;
  if (auto broken = run_checks(Check::When::load, Verdict::crash)) {
    return broken;
  }
  if (!lets) {
    stop_ = why;
    return failure(Verdict::crash);
  }
  return std::nullopt;
}

// A failing let leaves the later ones of its phase unknown, so that a named check which does not
// need them can still give the better reason.
bool Scope::run_lets(Phase phase) {
  bool good = true;
  for (const Let& let : contract_.lets) {
    if (let.phase == phase) {
      const auto target = static_cast<std::size_t>(let.symbol);
      ensure_checked(
          [&] {
            return let.symbol == symbol::T || let.symbol == symbol::t ||
                   (let.symbol >= symbol::count && target < values_.size());
          },
          "a let defines the group or a symbol of the contract's own");
      good = good && eval(let.formula, values_[target]);
      known_[target] = good ? 1 : 0;
      all_known_ = all_known_ && good;
    }
  }
  return good;
}

void Scope::forget_lets(Phase phase) {
  all_known_ = false;
  for (const Let& let : contract_.lets) {
    if (let.phase == phase) {
      known_[static_cast<std::size_t>(let.symbol)] = 0;
    }
  }
}

bool Scope::known(const Formula& formula) const {
  return all_known_ || std::all_of(formula.used_symbols().begin(), formula.used_symbols().end(),
                                   [&](const Formula::Used& used) {
                                     return known_[static_cast<std::size_t>(used.symbol)] != 0;
                                   });
}

bool Scope::can_evaluate(const Formula& formula) const {
  return std::all_of(formula.used_symbols().begin(), formula.used_symbols().end(),
                     [&](const Formula::Used& used) {
                       return used.symbol == symbol::T || used.symbol == symbol::t ||
                              known_[static_cast<std::size_t>(used.symbol)] != 0;
                     });
}

std::optional<PlanFailure> Scope::run_checks(Check::When when, Verdict unnamed) {
  checks_of_rank_ = false;
  for (const Check& check : contract_.checks) {
    if (check.when != when || !known(check.that)) {
      continue;
    }
    checks_of_rank_ = checks_of_rank_ || check.phase != Phase::deployment;
    std::int64_t holds = 0;
    if (!eval(check.that, holds)) {
      return failure(check.otherwise == Check::Else::refused ? Verdict::refused : unnamed);
    }
    if (holds == 0) {
      return check_failure(check);
    }
  }
  return std::nullopt;
}

PlanFailure Scope::check_failure(const Check& check) const {
  PlanFailure broken{
      .verdict = check.otherwise == Check::Else::refused ? Verdict::refused : Verdict::crash,
      .law = Law::check,
      .tp_rank = values_[symbol::tp_rank],
      .sentence = {},
      .place = {}};
  if (detail_ == Detail::sentences) {
    const std::string used = check.that.used_values(values_);
    broken.sentence = used.empty()
                          ? check.say  // a condition on nothing is a way to say: never
                          : fmt::format("{}: {} fails with {}", check.say, check.that.text(), used);
    broken.place = check.that.place();
  }
  return broken;
}

PlanFailure Scope::failure(Verdict verdict) const {
  ensure(detail_ == Detail::verdicts || !stop_.sentence.empty(),
         "what stops planning leaves behind why");
  return {.verdict = verdict,
          .law = Law::check,
          .tp_rank = values_[symbol::tp_rank],
          .sentence = stop_.sentence,
          .place = stop_.place,
          .undefined = stop_.undefined};
}

bool Scope::stop_at(const Formula& formula) {
  if (detail_ == Detail::sentences) {
    stop_ = formula.explain(values_);
  } else {
    stop_.undefined = formula.is_undefined(values_);
  }
  return false;
}

bool Scope::enter_loop(const Loop& loop, std::int64_t& count) {
  ensure(loop.symbol >= symbol::count && static_cast<std::size_t>(loop.symbol) < values_.size(),
         "a loop has an index of its own");
  if (!eval(loop.count, count)) {
    return false;
  }
  if (count > kMaxLoopSteps - loop_steps_) {
    // Nothing an engine asserts: the contract is at fault.
    return stop(
        [&] {
          return fmt::format(
              "a repetition of {} times after {} loop steps of this rank, expected at most {} in "
              "all",
              count, loop_steps_, kMaxLoopSteps);
        },
        loop.count.place(), true);
  }
  loop_steps_ += std::max<std::int64_t>(count, 0);
  return true;
}

bool Scope::count_pieces(std::size_t count) {
  pieces_ += static_cast<std::int64_t>(count);
  if (pieces_ <= kMaxPieces) {
    return true;
  }
  return stop(
      [] {
        return fmt::format(
            "more than {} copies and kernel entries on all ranks, expected at most that many",
            kMaxPieces);
      },
      {contract_.file}, true);
}

EvaluatedFormula Scope::evaluated(const Formula& formula) const {
  EvaluatedFormula evaluated{
      .text = formula.text(), .value = formula.evaluate(values_), .symbols = {}};
  for (const auto& [number, name] : formula.used_symbols()) {
    const auto let =
        std::find_if(contract_.lets.begin(), contract_.lets.end(),
                     [symbol = number](const Let& each) { return each.symbol == symbol; });
    const bool has_let = let != contract_.lets.end();
    // Replaced by the extending contract, and that is where to look.
    const bool replaced = has_let && let->formula.place().file == contract_.file &&
                          formula.place().file != contract_.file;
    evaluated.symbols.push_back(
        {.name = name,
         .let = has_let ? let->formula.text() : "",
         .value = value(number),
         .place = replaced ? std::optional(let->formula.place()) : std::nullopt});
  }
  return evaluated;
}

}  // namespace tplora::core
