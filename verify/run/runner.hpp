// Runs prepared cases: laws for each, numbers once for each distinct geometry and deployment.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "verify/run/numbers.hpp"

namespace tplora::core {

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
};

/// All cases, in order. Refused: a run that was stopped, and, the first in order: a contract with a
/// formula that is undefined for its case, and numbers that no machine would finish.
[[nodiscard]] Result<std::vector<CaseOutcome>> run_cases(const std::vector<PreparedCase>& cases,
                                                         const RunOptions& options);

}  // namespace tplora::core
