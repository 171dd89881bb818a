#include "verify/run/failure.hpp"

#include <algorithm>

namespace tplora::core {
namespace {

Kind kind_of(const Finding& finding) {
  return {finding.law, finding.violation ? std::nullopt : std::optional(finding.cause_place)};
}

}  // namespace

Failure failure_of(const LayerReport& report, bool with_causes) {
  Failure failure;
  failure.verdict = report.analysis.verdict;
  // A failure names its place before anything is explained: take it from the analysis.
  for (const PlanFailure& one : report.analysis.failures) {
    failure.kinds.insert({one.law, one.place});
    failure.first = failure.first ? failure.first : Kind{one.law, one.place};
  }
  for (const Finding& finding : report.findings) {
    if (finding.violation) {
      failure.kinds.insert(kind_of(finding));
      if (!failure.first && !finding.consequence) {
        failure.first = kind_of(finding);
      }
    }
  }
  for (const Finding& finding : report.findings) {
    if (!with_causes || finding.consequence) {
      continue;
    }
    failure.places.insert(finding.cause_place);
    if (finding.together_with) {
      failure.places.insert(*finding.together_with);
    }
    if (!failure.to_blame) {
      failure.to_blame = finding.cause_place;
      failure.together_with = finding.together_with;
    }
  }
  return failure;
}

bool wrong_alike(const Failure& one, const Failure& wanted) {
  return one.verdict == wanted.verdict && one.first && wanted.first &&
         one.kinds.contains(*wanted.first) &&
         std::includes(wanted.kinds.begin(), wanted.kinds.end(), one.kinds.begin(),
                       one.kinds.end());
}

bool blamed_alike(const Failure& one, const Failure& wanted) {
  return one.to_blame == wanted.to_blame && one.together_with == wanted.together_with &&
         std::includes(wanted.places.begin(), wanted.places.end(), one.places.begin(),
                       one.places.end());
}

}  // namespace tplora::core
