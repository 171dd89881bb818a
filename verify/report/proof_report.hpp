// What `prove` found out, as text and as JSON.
#pragma once

#include <string>
#include <vector>

#include "verify/run/proof_run.hpp"

namespace tplora::core {

/// The law the counterexample is told under: the first broken one, in the order of the laws.
[[nodiscard]] Law first_broken_law(const LayerReport& report);

[[nodiscard]] std::string proof_text(const ProofReport& report);
/// How many cases got worse and better, and for each way of getting worse its smallest.
[[nodiscard]] std::string comparison_text(const ComparisonReport& report);
/// "format": "tplora-prove-vs/1".
[[nodiscard]] std::string comparison_json(const std::vector<ComparisonReport>& reports);
/// One object for all reports, "format": "tplora-prove/1".
[[nodiscard]] std::string proof_json(const std::vector<ProofReport>& reports);

}  // namespace tplora::core
