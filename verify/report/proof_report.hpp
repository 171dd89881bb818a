// What `prove` found out, as text and as JSON.
#pragma once

#include <string>
#include <vector>

#include "verify/run/proof_run.hpp"

namespace tplora::core {

/// The law the counterexample is told under: the first broken one, in the order of the laws.
[[nodiscard]] Law first_broken_law(const LayerReport& report);

[[nodiscard]] std::string proof_text(const ProofReport& report);
/// One object for all reports, "format": "tplora-prove/1".
[[nodiscard]] std::string proof_json(const std::vector<ProofReport>& reports);

}  // namespace tplora::core
