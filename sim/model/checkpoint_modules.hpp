// What a checkpoint calls the modules that hold q, k and v.
#pragma once

#include <string>
#include <vector>

#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Where several forms are known, the first.
struct CheckpointModules {
  std::string path;                ///< in the layer: "self_attn."
  std::vector<std::string> names;  ///< "q_proj", "k_proj", "v_proj", or fewer that are fused
};
[[nodiscard]] CheckpointModules modules_of(const CheckpointForm& form);

}  // namespace tplora::core
