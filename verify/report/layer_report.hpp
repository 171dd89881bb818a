// What `layout` found out about one layer kind.
#pragma once

#include <vector>

#include "verify/case/suite.hpp"
#include "verify/explain/finding.hpp"

namespace tplora {

/// One layer kind of a layout report.
struct LayerReport {
  PreparedCase item;
  Analysis analysis;  ///< only the verdict where the layer has no qkv projection
  std::vector<Finding> findings;
};

}  // namespace tplora
