#include "verify/run/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <span>

#include "sim/base/parallel_for.hpp"
#include "verify/run/memory_budget.hpp"
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
  Pass unreadable;  // told first: nothing needs to be run for it
  for (std::size_t i = 0; i < cases.size(); ++i) {
    Pass& pass =
        cases[i].unreadable ? unreadable : passes[cases[i].geometry ? weights_key(cases[i]) : ""];
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
  if (!unreadable.cases.empty()) {
    list.insert(list.begin(), std::move(unreadable));
  }
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
  if (outcome.error || outcome.numbers.state != NumericOutcome::State::different ||
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

/// What went wrong in `body` if it throws: one bad case is not the end of a run.
template <class Body>
std::optional<Error> error_of(const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Error{"there is not enough memory for it", ""};
  } catch (const std::exception& error) {
    return Error{fmt::format("the program failed: {}", error.what()), ""};
  }
}

/// Time for some work; 0 seconds: without end. Of a clock that nobody sets.
class Deadline {
 public:
  explicit Deadline(double seconds)
      : seconds_(seconds),
        end_(Clock::now() +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

  [[nodiscard]] bool over() const { return seconds_ > 0 && Clock::now() >= end_; }

 private:
  using Clock = std::chrono::steady_clock;
  double seconds_;
  Clock::time_point end_;
};

/// One run over all cases. A pass has its analyses to itself and drops them when it is done, so
/// that a long suite takes no more memory than its largest pass on each thread.
class Run {
 public:
  Run(const std::vector<PreparedCase>& cases, const RunOptions& options)
      : cases_(cases), options_(options), outcomes_(cases.size()), memory_(options.memory) {
    std::vector<Pass> plan = plan_passes(cases);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      if (options.wanted(i)) {
        of_cases_ += plan[i].cases.size();
        of_numbers_ += plan[i].cost;
        numbers_.push_back(i);
        passes_.push_back(std::move(plan[i]));
      }
    }
    done_passes_.assign(passes_.size(), false);
  }

  Result<std::vector<CaseOutcome>> finish() {
    parallel_for(static_cast<std::int64_t>(passes_.size()), options_.jobs,
                 [&](std::int64_t i) { run_pass(static_cast<std::size_t>(i)); });
    if (!told_) {
      return fail(told_.error());
    }
    if (left_ > 0 && *told_ == Next::go_on) {
      return fail(fmt::format("stopped: {} of {} cases were not run", left_.load(), cases_.size()));
    }
    return std::move(outcomes_);
  }

 private:
  /// A case whose numbers are to be run.
  struct Kept {
    std::size_t number = 0;
    LayerReport laws;
    double bytes = 0;
  };

  void run_pass(std::size_t number) {
    const Pass& pass = passes_[number];
    if (options_.stop() || ended_) {
      left_ += pass.cases.size();
      return;
    }
    std::vector<std::optional<LayerReport>> laws(pass.cases.size());
    each_case(pass, [&](std::size_t k, std::size_t i) { laws[k] = check(i); });
    std::vector<Kept> kept;
    std::map<std::string, std::size_t> first_of;
    std::vector<std::pair<std::size_t, std::size_t>> alike;  // a case, and the one that is run
    for (std::size_t k = 0; k < laws.size(); ++k) {
      const std::size_t i = pass.cases[k];
      if (!laws[k]) {
        continue;
      }
      const auto [like, is_new] = first_of.emplace(numeric_key(cases_[i]), i);
      if (is_new) {
        const double bytes = 4 * numeric_work(*laws[k]).floats;
        kept.push_back({i, *std::move(laws[k]), bytes});
      } else {
        alike.emplace_back(i, like->second);
      }
      laws[k].reset();
    }
    run_kept(pass, kept);
    for (const auto& [i, like] : alike) {
      outcomes_[i].numbers = outcomes_[like].numbers;
      outcomes_[i].numbers_shared = true;
      outcomes_[i].error = outcomes_[like].error;
    }
    each_case(pass, [&](std::size_t, std::size_t i) { complete(i); });
    tell(number);
  }

  /// Calls `body(k, i)` for the k-th case of a pass, number i of all.
  template <class Body>
  void each_case(const Pass& pass, const Body& body) const {
    parallel_for(static_cast<std::int64_t>(pass.cases.size()), options_.jobs, [&](std::int64_t k) {
      body(static_cast<std::size_t>(k), pass.cases[static_cast<std::size_t>(k)]);
    });
  }

  /// The laws of case number i, if its numbers are to be run.
  std::optional<LayerReport> check(std::size_t i) {
    std::optional<LayerReport> kept;
    CaseOutcome& outcome = outcomes_[i];
    const Deadline deadline(options_.case_seconds);
    outcome.error = error_of([&]() -> std::optional<Error> {
      if (cases_[i].unreadable) {
        return cases_[i].unreadable;
      }
      auto laws = check_laws(cases_[i], [&] { return deadline.over(); });
      if (!laws) {
        return laws.error();
      }
      if (deadline.over()) {
        return too_slow("laws and explanation");
      }
      outcome = outcome_of(*laws);
      if (runs_numbers(*laws)) {
        if (auto work = check_work(laws->item, numeric_work(*laws), memory_.bytes()); !work) {
          return work.error();
        }
        laws->findings.clear();  // a thread keeps many of these
        kept = *std::move(laws);
      }
      return std::nullopt;
    });
    if (outcome.error) {
      kept.reset();
    }
    ++cases_done_;
    options_.progress({cases_done_, of_cases_, numbers_done_, of_numbers_});
    return kept;
  }

  /// As many together as there is memory for; the weights pass by again for the rest.
  void run_kept(const Pass& pass, const std::vector<Kept>& kept) {
    double passed = 0;
    for (std::size_t first = 0; first < kept.size();) {
      double bytes = kept[first].bytes;
      std::size_t end = first + 1;
      while (end < kept.size() && bytes + kept[end].bytes <= memory_.bytes()) {
        bytes += kept[end++].bytes;
      }
      const std::span<const Kept> some(&kept[first], end - first);
      const double share =
          pass.cost * static_cast<double>(some.size()) / static_cast<double>(kept.size());
      if (!run_together(some, bytes, share) && some.size() > 1) {
        for (const Kept& one : some) {  // one of them has spoilt it for all
          run_together({&one, 1}, one.bytes, 0);
        }
      }
      passed += share;
      first = end;
    }
    add_numbers(pass.cost - passed);  // of a pass whose numbers are not run after all
  }

  /// Whether there was no error; else the error is that of each. `cost`: of them for the progress.
  bool run_together(std::span<const Kept> some, double bytes, double cost) {
    const MemoryBudget::Share share(memory_, bytes);
    const Deadline deadline(options_.case_seconds * static_cast<double>(some.size()));
    const auto error = error_of([&]() -> std::optional<Error> {
      std::vector<const LayerReport*> items;
      for (const Kept& one : some) {
        items.push_back(&one.laws);
      }
      auto results = run_numbers(items, {.threads = options_.jobs,
                                         .over = [&] { return deadline.over(); },
                                         .passed = [&](double part) { add_numbers(part * cost); }});
      if (deadline.over()) {
        return too_slow("numbers");
      }
      for (std::size_t k = 0; k < results.size(); ++k) {
        outcomes_[some[k].number].error.reset();
        outcomes_[some[k].number].numbers = std::move(results[k]);
      }
      return std::nullopt;
    });
    if (error) {
      for (const Kept& one : some) {
        outcomes_[one.number].error = error;
      }
    }
    return !error;
  }

  [[nodiscard]] Error too_slow(const char* what) const {
    return {fmt::format("its {} take longer than {:g} s", what, options_.case_seconds), ""};
  }

  void complete(std::size_t i) {
    CaseOutcome& outcome = outcomes_[i];
    if (!outcome.error) {
      outcome.error = error_of([&]() -> std::optional<Error> {
        reconcile(cases_[i], outcome);
        options_.complete(cases_[i], outcome);
        return std::nullopt;
      });
    }
    if (outcome.error) {
      CaseOutcome nothing;
      nothing.error = std::move(outcome.error);
      outcome = std::move(nothing);
    }
  }

  void add_numbers(double cost) {
    double before = numbers_done_;
    while (!numbers_done_.compare_exchange_weak(before, before + cost)) {
    }
    options_.progress({cases_done_, of_cases_, numbers_done_, of_numbers_});
  }

  /// All passes that are told next.
  void tell(std::size_t number) {
    const std::scoped_lock lock(mutex_);
    done_passes_[number] = true;
    for (; next_ < passes_.size() && done_passes_[next_] && !ended_; ++next_) {
      told_ = options_.each(numbers_[next_], outcomes_);
      ended_ = !told_ || *told_ == Next::enough;
      for (std::size_t k = 0; k < passes_[next_].cases.size() && !options_.keep; ++k) {
        outcomes_[passes_[next_].cases[k]] = CaseOutcome();
      }
    }
  }

  const std::vector<PreparedCase>& cases_;
  const RunOptions& options_;
  std::vector<CaseOutcome> outcomes_;
  MemoryBudget memory_;
  std::size_t of_cases_ = 0;  ///< that are wanted
  double of_numbers_ = 0;
  std::atomic<std::size_t> cases_done_ = 0;
  std::atomic<double> numbers_done_ = 0;
  std::atomic<std::size_t> left_ = 0;  ///< cases that were not begun
  std::vector<Pass> passes_;           ///< that are wanted
  std::vector<std::size_t> numbers_;   ///< of these in the plan
  std::mutex mutex_;                   ///< of all that follows
  std::vector<bool> done_passes_;
  std::size_t next_ = 0;             ///< pass to be told
  Result<Next> told_ = Next::go_on;  ///< what came of telling the last one
  std::atomic<bool> ended_ = false;  ///< nothing more is told
};

}  // namespace

Result<std::vector<CaseOutcome>> run_cases(const std::vector<PreparedCase>& cases,
                                           const RunOptions& options) {
  return Run(cases, options).finish();
}

}  // namespace tplora::core
