// Suggestions for a name that nothing has.
#pragma once

#include <string>
#include <vector>

namespace tplora::core {

/// Up to five of `names` that contain `wanted` (or whose last part it contains), or that are few
/// letters away from it, letter case aside; the nearest first.
[[nodiscard]] std::vector<std::string> near_names(const std::string& wanted,
                                                  const std::vector<std::string>& names);

}  // namespace tplora::core
