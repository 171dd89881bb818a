// Which vector instructions the kernels use. No output depends on it; this is here to show that.
#pragma once

#include <string>
#include <vector>

namespace tplora::core {

/// The instruction sets that are compiled in and that this machine has, the best first.
[[nodiscard]] std::vector<std::string> instruction_sets();
/// Lets every kernel use `name` alone from now on, in all threads. False where it is none of
/// instruction_sets(). Call it before anything is packed.
bool use_instruction_set(const std::string& name);
/// Back to the best one.
void use_best_instruction_set();

}  // namespace tplora::core
