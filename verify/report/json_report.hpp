// Outcomes as JSON (docs/formats/layout.md).
#pragma once

#include <string>
#include <vector>

#include "verify/run/laws.hpp"

namespace tplora::core {

/// The object that `tplora layout --json` prints: `shown` is the layer kind told in full.
[[nodiscard]] std::string layout_json(const std::vector<LayerReport>& layers, std::size_t shown);

}  // namespace tplora::core
