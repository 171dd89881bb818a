// Exit codes and the one line that bad input gets.
#pragma once

#include "sim/base/result.hpp"
#include "sim/layout/verdict.hpp"

namespace tplora::core {

/// Prints the sentence to stderr and returns 2, or 4 where it is about output that could not be
/// written.
int bad_input(const Error& error);

/// Of one case: 0 consistent, 1 silent or crash, 3 refused or not applicable.
[[nodiscard]] int verdict_exit_code(Verdict verdict);

}  // namespace tplora::core
