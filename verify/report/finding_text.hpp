// Findings in words.
#pragma once

#include <string>

#include "verify/explain/finding.hpp"

namespace tplora::core {

/// What stands there ("adapter a's q row 1 (head 1) in slot 0"). Precondition: a law is broken.
[[nodiscard]] std::string found_text(const Finding& finding);
/// What is due there. Precondition: a law is broken.
[[nodiscard]] std::string expected_text(const Finding& finding);
/// "row 7" or "rows 0-7".
[[nodiscard]] std::string plural_range(const char* noun, const Range& range);
/// Why.
[[nodiscard]] std::string cause_text(const Finding& finding);
/// One sentence with all of the finding, for one rank.
[[nodiscard]] std::string message(const Finding& finding);

}  // namespace tplora::core
