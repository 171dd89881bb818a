// Whether a case came out as its suite says.
#pragma once

#include <string>

#include "verify/run/runner.hpp"

namespace tplora::core {

/// The first text that the expectation wants in a finding and no finding has; else empty.
[[nodiscard]] std::string missing_finding(const CaseOutcome& outcome, const Expectation& expect);

/// Verdict, shape check and findings are what the suite says, or it says nothing. Precondition: the
/// case was judged.
[[nodiscard]] bool as_expected(const CaseOutcome& outcome, const Expectation& expect);

}  // namespace tplora::core
