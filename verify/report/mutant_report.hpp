// The score of mutants, as text and as JSON.
#pragma once

#include <string>
#include <vector>

#include "verify/mutants/score.hpp"

namespace tplora::core {

/// A line for each contract, one for all, then every mutant that nothing noticed, with the reason.
[[nodiscard]] std::string mutants_text(const std::vector<MutantScore>& scores);
[[nodiscard]] std::string mutants_json(const std::vector<MutantScore>& scores);

}  // namespace tplora::core
