#include "verify/run/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>

#include "sim/base/parallel_for.hpp"
#include "verify/run/work.hpp"

namespace tplora::core {
namespace {

double cost_of(const PreparedCase& item) {
  return item.geometry && item.numbers ? static_cast<double>(item.geometry->total_rows()) *
                                             static_cast<double>(item.geometry->hidden_size)
                                       : 0;
}

}  // namespace

std::vector<Pass> plan_passes(const std::vector<PreparedCase>& cases) {
  std::map<std::string, Pass> passes;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    Pass& pass = passes[cases[i].geometry ? weights_key(cases[i]) : ""];
    pass.cases.push_back(i);
    pass.cost = std::max(pass.cost, cost_of(cases[i]));
  }
  std::vector<Pass> list;
  list.reserve(passes.size());
  for (auto& [key, pass] : passes) {
    list.push_back(std::move(pass));
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Pass& a, const Pass& b) { return a.cost > b.cost; });
  return list;
}

CaseOutcome outcome_of(const LayerReport& laws) {
  CaseOutcome outcome;
  outcome.verdict = laws.analysis.verdict;
  outcome.shape_check = laws.analysis.shape_check;
  outcome.findings = laws.findings;
  outcome.same_as = laws.same_as;
  return outcome;
}

bool runs_numbers(const LayerReport& laws) {
  const Verdict verdict = laws.analysis.verdict;
  // PEFT puts no other model's adapter on a layer: there is no reference.
  const auto& adapters = laws.item.spec.adapters;
  const bool foreign = std::any_of(adapters.begin(), adapters.end(), [](const AdapterSpec& one) {
    return one.part_rows != std::array<std::int64_t, 3>{};
  });
  return !foreign && laws.item.numbers && laws.item.geometry && !laws.item.spec.tokens.empty() &&
         (verdict == Verdict::consistent || verdict == Verdict::silent);
}

void reconcile(const PreparedCase& item, CaseOutcome& outcome) {
  if (outcome.numbers.state != NumericOutcome::State::different ||
      outcome.verdict != Verdict::consistent) {
    return;
  }
  outcome.verdict = Verdict::silent;
  Finding finding;
  finding.cause.what = UnexplainedOutputs{outcome.numbers.wrong, outcome.numbers.compared};
  finding.cause_place = {item.contract->file};
  outcome.findings.push_back(std::move(finding));
}

namespace {

/// One run over all cases. A pass has its analyses to itself and drops them when it is done, so
/// that a long suite takes no more memory than its largest pass on each thread.
class Run {
 public:
  Run(const std::vector<PreparedCase>& cases, const RunOptions& options)
      : cases_(cases), options_(options), outcomes_(cases.size()), errors_(cases.size()) {
    std::vector<Pass> plan = plan_passes(cases);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      if (options.wanted(i)) {
        total_ += plan[i].cost;
        numbers_.push_back(i);
        passes_.push_back(std::move(plan[i]));
      }
    }
    done_passes_.assign(passes_.size(), false);
  }

  Result<std::vector<CaseOutcome>> finish() {
    parallel_for(static_cast<std::int64_t>(passes_.size()), options_.jobs,
                 [&](std::int64_t i) { run_pass(static_cast<std::size_t>(i)); });
    if (told_ && !*told_) {
      return fail(told_->error());
    }
    for (const auto& error : errors_) {
      if (error) {
        return fail(*error);
      }
    }
    if (left_ > 0) {
      return fail(fmt::format("stopped: {} of {} cases were not run", left_.load(), cases_.size()));
    }
    return std::move(outcomes_);
  }

 private:
  void run_pass(std::size_t number) {
    const Pass& pass = passes_[number];
    if (options_.stop() || untold_) {
      left_ += pass.cases.size();
      return;
    }
    std::vector<std::size_t> numbers;  // cases whose numbers run, and beside them their laws
    std::vector<LayerReport> kept;
    std::map<std::string, std::size_t> first_of;
    std::vector<std::pair<std::size_t, std::size_t>> alike;  // a case, and where its like is kept
    for (const std::size_t i : pass.cases) {
      auto laws = check(i);
      if (!laws || !runs_numbers(*laws)) {
        continue;
      }
      const auto [like, is_new] = first_of.emplace(numeric_key(cases_[i]), kept.size());
      if (is_new) {
        numbers.push_back(i);
        kept.push_back(*std::move(laws));
      } else {
        alike.emplace_back(i, like->second);
      }
    }
    if (!kept.empty() && !refused_) {
      std::vector<const LayerReport*> items;
      for (const LayerReport& laws : kept) {
        items.push_back(&laws);
      }
      auto results = run_numbers(items);
      for (const auto& [i, like] : alike) {
        outcomes_[i].numbers = results[like];
        outcomes_[i].numbers_shared = true;
      }
      for (std::size_t k = 0; k < results.size(); ++k) {
        outcomes_[numbers[k]].numbers = std::move(results[k]);
      }
    }
    for (const std::size_t i : pass.cases) {
      reconcile(cases_[i], outcomes_[i]);
      if (!errors_[i]) {
        options_.complete(cases_[i], outcomes_[i]);
      }
    }
    tell(number);
  }

  /// The laws of case number i. Nothing where it is refused.
  std::optional<LayerReport> check(std::size_t i) {
    auto laws = check_laws(cases_[i]);
    if (laws && runs_numbers(*laws)) {
      if (auto work = check_work(laws->item, numeric_work(*laws)); !work) {
        laws = fail(work.error());
      }
    }
    if (!laws) {
      errors_[i] = laws.error();
      refused_ = true;
      return std::nullopt;
    }
    outcomes_[i] = outcome_of(*laws);
    laws->findings.clear();  // a thread keeps many of these
    return *std::move(laws);
  }

  /// How far the run is, and all passes that are told next.
  void tell(std::size_t number) {
    const std::scoped_lock lock(mutex_);
    if (total_ > 0) {
      done_ += passes_[number].cost;
      options_.progress(fmt::format("numbers: {:3.0f} % of the weights", 100 * done_ / total_));
    }
    done_passes_[number] = true;
    for (; next_ < passes_.size() && done_passes_[next_] && !refused_ && !untold_; ++next_) {
      told_ = options_.each(numbers_[next_], outcomes_);
      untold_ = !*told_;
    }
  }

  const std::vector<PreparedCase>& cases_;
  const RunOptions& options_;
  std::vector<CaseOutcome> outcomes_;
  std::vector<std::optional<Error>> errors_;
  std::atomic<std::size_t> left_ = 0;  ///< cases that were not begun
  std::atomic<bool> refused_ = false;  ///< no outcome will be told: only errors are looked for
  std::vector<Pass> passes_;           ///< that are wanted
  std::vector<std::size_t> numbers_;   ///< of these in the plan
  double total_ = 0;
  std::mutex mutex_;  ///< of all that follows
  double done_ = 0;
  std::vector<bool> done_passes_;
  std::size_t next_ = 0;              ///< pass to be told
  std::optional<Result<void>> told_;  ///< what came of telling the last one
  std::atomic<bool> untold_ = false;  ///< a pass could not be told
};

}  // namespace

Result<std::vector<CaseOutcome>> run_cases(const std::vector<PreparedCase>& cases,
                                           const RunOptions& options) {
  return Run(cases, options).finish();
}

}  // namespace tplora::core
