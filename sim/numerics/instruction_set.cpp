#include "sim/numerics/instruction_set.hpp"

#include <hwy/targets.h>

namespace tplora::core {

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  // The best first. The machine's sets alone would name some that no kernel here has.
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    names.emplace_back(hwy::TargetName(target));
  }
  return names;
}

bool use_instruction_set(const std::string& name) {
  use_best_instruction_set();
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (hwy::TargetName(target) == name) {
      hwy::SetSupportedTargetsForTest(target);
      return true;
    }
  }
  return false;
}

void use_best_instruction_set() {
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace tplora::core
