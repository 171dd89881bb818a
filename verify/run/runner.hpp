// Runs prepared cases: laws for each, numbers once for each distinct geometry and deployment.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "verify/run/numbers.hpp"

namespace tplora::core {

/// Cases that share the base weights of their numbers, by number, ascending: they are run together.
struct Pass {
  std::vector<std::size_t> cases;
  double cost = 0;  ///< multiplications a token
};

/// All cases, each in one pass: those that cannot be judged, then the costliest first. The order is
/// the same on every machine.
[[nodiscard]] std::vector<Pass> plan_passes(const std::vector<PreparedCase>& cases);

/// What became of one case.
struct CaseOutcome {
  /// It could not be judged: its model or contract cannot be read, it takes too much time or
  /// memory. Nothing else here means anything then.
  std::optional<Error> error;
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

/// How far a run is.
struct Progress {
  std::size_t cases = 0, of_cases = 0;  ///< whose laws were looked at
  double numbers = 0, of_numbers = 0;   ///< multiplications a token
};

/// Whether a run goes on.
enum class Next { go_on, enough };

struct RunOptions {
  int jobs = 0;  ///< threads; 0: one for each core. Changes no bit of any outcome.
  /// Seconds for laws and explanation of a case, and for each case of those whose numbers are run
  /// together; then its outcome is an error. 0: no limit.
  double case_seconds = 0;
  /// Bytes for all numbers that are run at the same time. A case that takes more alone is an error.
  /// 0: four fifths of what the process may use.
  std::int64_t memory = 0;
  /// Called often, from any thread.
  std::function<void(const Progress&)> progress = [](const Progress&) {};
  /// Asked before each pass, from any thread; once true, nothing new is begun.
  std::function<bool()> stop = [] { return false; };
  /// Whether a pass of plan_passes, by number, is to be run; outcomes of others stay empty.
  std::function<bool(std::size_t pass)> wanted = [](std::size_t) { return true; };
  /// Called with each outcome that is no error as soon as there is one, on any thread: what else it
  /// needs.
  std::function<void(const PreparedCase& item, CaseOutcome& outcome)> complete =
      [](const PreparedCase&, CaseOutcome&) {};
  /// Whether outcomes are wanted behind `each`; else those that were told are empty afterwards.
  bool keep = true;
  /// Called with each pass that was run, in the order of the plan, from one thread at a time:
  /// outcomes of all cases, of which those of the pass are complete. After an Error, or where it is
  /// enough, nothing new is begun, and no other pass is told.
  std::function<Result<Next>(std::size_t pass, const std::vector<CaseOutcome>& outcomes)> each =
      [](std::size_t, const std::vector<CaseOutcome>&) { return Result<Next>(Next::go_on); };
};

/// All cases, in order. A case that cannot be judged is an outcome; refused is only what `each`
/// refuses, and a run that was stopped. Where it was enough, outcomes of passes that were not told
/// mean nothing.
[[nodiscard]] Result<std::vector<CaseOutcome>> run_cases(const std::vector<PreparedCase>& cases,
                                                         const RunOptions& options);

}  // namespace tplora::core
