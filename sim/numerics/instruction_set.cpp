#include "sim/numerics/instruction_set.hpp"

#include <hwy/targets.h>

namespace tplora {

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  // Better sets have lower bits.
  for (std::int64_t rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
    names.emplace_back(hwy::TargetName(rest & -rest));
  }
  return names;
}

bool use_instruction_set(const std::string& name) {
  use_best_instruction_set();
  for (std::int64_t rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
    if (hwy::TargetName(rest & -rest) == name) {
      hwy::SetSupportedTargetsForTest(rest & -rest);
      return true;
    }
  }
  return false;
}

void use_best_instruction_set() {
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace tplora
