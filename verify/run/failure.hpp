// How a case fails, so that another can be said to fail the same way.
#pragma once

#include <compare>
#include <optional>
#include <set>

#include "verify/run/laws.hpp"

namespace tplora::core {

/// What is wrong, without where and with what.
struct Kind {
  Law law = Law::check;
  std::optional<Place> failed;  ///< the formula or check, where one fails
  friend auto operator<=>(const Kind&, const Kind&) = default;
};

/// How a case fails.
struct Failure {
  Verdict verdict = Verdict::consistent;
  std::set<Kind> kinds;
  std::optional<Kind> first;  ///< that is no consequence
  /// Places that findings blame, of what is no consequence, and those wrong together with them;
  /// none where nobody asked.
  std::set<Place> places;
  std::optional<Place> to_blame;  ///< for `first`, and what is wrong together with it
  std::optional<Place> together_with;
};

/// `with_causes`: the report's were looked for.
[[nodiscard]] Failure failure_of(const LayerReport& report, bool with_causes);

/// Whether `one` has the verdict of `wanted` and what is told first of it, and nothing is wrong in
/// it that is not wrong there. Needs no causes.
[[nodiscard]] bool wrong_alike(const Failure& one, const Failure& wanted);
/// Whether the same is blamed for what is told first, and nothing else that is not blamed in
/// `wanted`. Precondition: both with causes.
[[nodiscard]] bool blamed_alike(const Failure& one, const Failure& wanted);

}  // namespace tplora::core
