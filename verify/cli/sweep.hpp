// The suite that the options of `sweep` mean.
#pragma once

#include <string>

#include "sim/base/result.hpp"
#include "verify/cli/commands.hpp"

namespace tplora::core {

/// Its text, in mode report (docs/formats/suite.md); paths are from the current folder. Refused:
/// options that contradict each other, and what is no list of numbers.
[[nodiscard]] Result<std::string> sweep_suite(const SweepOptions& options);

}  // namespace tplora::core
