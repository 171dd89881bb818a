// What a reader of a golden should know: what it cannot show, and how its data are read.
#pragma once

#include <string>
#include <vector>

#include "verify/case/prepared_case.hpp"
#include "verify/golden/owned_heads.hpp"
#include "verify/run/unsharded.hpp"

namespace tplora::core {

/// Every delta that changes no output bit of a rank: a kernel that leaves it out would pass; and of
/// `labels` what these tokens and lora_ranks do not tell. After the forward.
[[nodiscard]] std::vector<std::string> vacuous_deltas(const PreparedCase& item,
                                                      const Unsharded& unsharded,
                                                      const std::vector<OwnedHeads>& heads);

/// Of `labels`: which adapters' rows these tokens and lora_ranks do not tell in full. Of
/// `integers`: the budget.
[[nodiscard]] std::vector<std::string> data_notes(const PreparedCase& item);

}  // namespace tplora::core
