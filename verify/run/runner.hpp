// Runs prepared cases: laws for each, numbers once for each distinct geometry and deployment.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "verify/run/numbers.hpp"

namespace tplora::core {

/// Cases that share the base weights of their numbers, by number, ascending: they are run together.
struct Pass {
  std::vector<std::size_t> cases;
  double cost = 0;  ///< multiplications a token
};

/// All cases, each in one pass, the costliest first. The order is the same on every machine.
[[nodiscard]] std::vector<Pass> plan_passes(const std::vector<PreparedCase>& cases);

/// What became of one case.
struct CaseOutcome {
  Verdict verdict = Verdict::not_applicable;
  bool shape_check = true;
  std::vector<Finding> findings;
  NumericOutcome numbers;
  bool numbers_shared = false;       ///< the same numbers ran for an earlier case of this run
  std::vector<std::string> same_as;  ///< published bugs that do the same on this case
};

/// What the laws say of a case, before any numbers.
[[nodiscard]] CaseOutcome outcome_of(const LayerReport& laws);

/// Whether its numbers are to be run: where a rank would assert, there is nothing to run.
[[nodiscard]] bool runs_numbers(const LayerReport& laws);

/// Numbers that differ although every law holds are a finding of their own, and make the case
/// silent: the last safety net, should the laws ever miss something.
void reconcile(const PreparedCase& item, CaseOutcome& outcome);

struct RunOptions {
  int jobs = 0;  ///< threads; 0: one for each core. Changes no bit of any outcome.
  /// Called now and then with a sentence on how far the run is; from one thread at a time.
  std::function<void(const std::string&)> progress = [](const std::string&) {};
  /// Asked before each piece of work, from any thread; once true, nothing new is begun.
  std::function<bool()> stop = [] { return false; };
  /// Whether a pass of plan_passes, by number, is to be run; outcomes of others stay empty.
  std::function<bool(std::size_t pass)> wanted = [](std::size_t) { return true; };
  /// Called with each outcome as soon as there is one, on any thread: what else it needs.
  std::function<void(const PreparedCase& item, CaseOutcome& outcome)> complete =
      [](const PreparedCase&, CaseOutcome&) {};
  /// Called with each pass that was run, in the order of the plan, from one thread at a time:
  /// outcomes of all cases, of which those of the pass are complete. After an Error nothing new is
  /// begun.
  std::function<Result<void>(std::size_t pass, const std::vector<CaseOutcome>& outcomes)> each =
      [](std::size_t, const std::vector<CaseOutcome>&) { return Result<void>(); };
};

/// All cases, in order. Refused: what `each` refuses, a run that was stopped, and, the first in
/// order: a contract with a formula that is undefined for its case, and numbers that no machine
/// would finish.
[[nodiscard]] Result<std::vector<CaseOutcome>> run_cases(const std::vector<PreparedCase>& cases,
                                                         const RunOptions& options);

}  // namespace tplora::core
