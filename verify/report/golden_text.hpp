// What `golden` says of the folder that it wrote.
#pragma once

#include <string>

#include "verify/golden/golden.hpp"

namespace tplora::core {

/// Files with sizes, notes, and how to go on.
[[nodiscard]] std::string golden_text(const std::string& folder, const std::string& case_line,
                                      const GoldenSummary& summary);

}  // namespace tplora::core
