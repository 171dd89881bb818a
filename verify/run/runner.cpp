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

/// Cases that may share one pass of the weights, by number, ascending.
struct Pass {
  std::vector<std::size_t> cases;
  double cost = 0;  ///< multiplications a token, to start the longest first
};

double cost_of(const PreparedCase& item) {
  return item.geometry && item.numbers ? static_cast<double>(item.geometry->total_rows()) *
                                             static_cast<double>(item.geometry->hidden_size)
                                       : 0;
}

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

}  // namespace

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
      : cases_(cases), options_(options), outcomes_(cases.size()), errors_(cases.size()) {}

  Result<std::vector<CaseOutcome>> finish() {
    const std::vector<Pass> passes = plan_passes(cases_);
    for (const Pass& pass : passes) {
      total_ += pass.cost;
    }
    parallel_for(static_cast<std::int64_t>(passes.size()), options_.jobs,
                 [&](std::int64_t i) { run_pass(passes[static_cast<std::size_t>(i)]); });
    for (const auto& error : errors_) {
      if (error) {
        return fail(*error);
      }
    }
    if (left_ > 0) {
      return fail(fmt::format("stopped: {} of {} cases were not run", left_.load(), cases_.size()));
    }
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      reconcile(cases_[i], outcomes_[i]);
    }
    return std::move(outcomes_);
  }

 private:
  void run_pass(const Pass& pass) {
    if (options_.stop()) {
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
    tell(pass);
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

  void tell(const Pass& pass) {
    if (total_ > 0) {
      const std::scoped_lock lock(mutex_);
      done_ += pass.cost;
      options_.progress(fmt::format("numbers: {:3.0f} % of the weights", 100 * done_ / total_));
    }
  }

  const std::vector<PreparedCase>& cases_;
  const RunOptions& options_;
  std::vector<CaseOutcome> outcomes_;
  std::vector<std::optional<Error>> errors_;
  std::atomic<std::size_t> left_ = 0;  ///< cases that were not begun
  std::atomic<bool> refused_ = false;  ///< no outcome will be told: only errors are looked for
  std::mutex mutex_;
  double done_ = 0, total_ = 0;
};

}  // namespace

Result<std::vector<CaseOutcome>> run_cases(const std::vector<PreparedCase>& cases,
                                           const RunOptions& options) {
  return Run(cases, options).finish();
}

}  // namespace tplora::core
