#include "verify/report/expectation.hpp"

#include <algorithm>

#include "verify/report/finding_text.hpp"

namespace tplora::core {

std::string missing_finding(const CaseOutcome& outcome, const Expectation& expect) {
  for (const std::string& text : expect.finding) {
    const bool said = std::any_of(
        outcome.findings.begin(), outcome.findings.end(),
        [&](const Finding& one) { return message(one).find(text) != std::string::npos; });
    if (!said) {
      return text;
    }
  }
  return "";
}

bool as_expected(const CaseOutcome& outcome, const Expectation& expect) {
  const bool shape =
      expect.shape_check.empty() || (expect.shape_check == "pass") == outcome.shape_check;
  return !expect.verdict ||
         (outcome.verdict == *expect.verdict && shape && missing_finding(outcome, expect).empty());
}

}  // namespace tplora::core
