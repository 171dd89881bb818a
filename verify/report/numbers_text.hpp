// Numbers in words.
#pragma once

#include <string>

#include "verify/run/numbers.hpp"

namespace tplora::core {

/// Whether the outputs are the reference's, where they are not, and where the wrong values came
/// from; indented lines. Empty where no numbers were run.
[[nodiscard]] std::string numbers_text(const PreparedCase& item, const NumericOutcome& numbers);

}  // namespace tplora::core
