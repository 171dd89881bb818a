// Runs prepared cases: laws for each, numbers once for each distinct geometry and deployment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "verify/case/suite.hpp"
#include "verify/cli/numbers.hpp"
#include "verify/explain/finding.hpp"

namespace tplora {

/// What became of one case.
struct CaseOutcome {
  Verdict verdict = Verdict::not_applicable;
  bool shape_check = true;
  std::vector<Finding> findings;
  NumericOutcome numbers;
  bool numbers_shared = false;       ///< the same numbers ran for an earlier case of this run
  bool expected = false;             ///< verdict, shape check and findings are what the suite says
  std::vector<std::string> same_as;  ///< published bugs that do the same on this case
};

struct RunOptions {
  int jobs = 0;  ///< threads; 0: one for each core. Changes no bit of any outcome.
  /// Called now and then with a sentence on how far the run is; from one thread at a time.
  std::function<void(const std::string&)> progress = [](const std::string&) {};
};

/// The first text that the expectation wants in a finding and no finding has; else empty.
[[nodiscard]] std::string missing_finding(const CaseOutcome& outcome, const Expectation& expect);

/// The laws of one case. What an engine would refuse is a verdict; refused here is only a contract
/// with a formula that is undefined for the case, and numbers that no machine would finish.
[[nodiscard]] Result<CaseOutcome> check_laws(const PreparedCase& item, Analyser& analyser);

/// All cases, in order. Refused: as in check_laws.
[[nodiscard]] Result<std::vector<CaseOutcome>> run_cases(const std::vector<PreparedCase>& cases,
                                                         const RunOptions& options);

/// "v of adapter a (slot 0): from adapter b's q rows 0-255 of slot 1": one line for each source of
/// a wrong value.
[[nodiscard]] std::vector<std::string> describe_sources(const PreparedCase& item,
                                                        const NumericDifference& difference);

}  // namespace tplora
