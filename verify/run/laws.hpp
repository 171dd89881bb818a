// The laws of one case, looked at once: what everything after them works with.
#pragma once

#include <functional>
#include <vector>

#include "verify/bugs/bug_catalogue.hpp"
#include "verify/case/prepared_case.hpp"
#include "verify/explain/finding.hpp"

namespace tplora::core {

/// One layer kind under one engine, with what the laws say of it.
struct LayerReport {
  PreparedCase item;
  Analysis analysis;  ///< only the verdict where the layer has no qkv projection
  std::vector<Finding> findings;
  /// Published bugs that do the same; filled by name_faults.
  std::vector<std::string> same_as;
};

/// What an engine would refuse is a verdict; refused here is only a contract with a formula that is
/// undefined for the case. `over`: as of blame. Causes are found unless the case says otherwise.
[[nodiscard]] Result<LayerReport> check_laws(
    PreparedCase item, const std::function<bool()>& over = [] { return false; });

/// Whether the case lies where its contract says that the engine works. Outside, a broken law is
/// information. A layer without qkv projection lies in no claim.
[[nodiscard]] bool claimed(const PreparedCase& item);

/// Names the published bugs that do to the case what its contract does. Refused: bugs that cannot
/// be read.
[[nodiscard]] Result<LayerReport> name_faults(LayerReport report, const FaultNames& names);

/// Every layer kind of the case's model, in the model's order, faults named. `layer` of the case is
/// not looked at. Refused: as by prepare_all_layers and check_laws.
[[nodiscard]] Result<std::vector<LayerReport>> check_layers(Case one, const ConfigFolders& configs);

}  // namespace tplora::core
