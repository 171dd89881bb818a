// What `prove` found out, as text and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/layout/prover.hpp"
#include "verify/report/layer_report.hpp"

namespace tplora {

/// One contract's proof with its telling points analysed in full.
struct ProofReport {
  std::shared_ptr<const Contract> contract;
  std::string engine;  ///< as the user wrote it
  ProofRange range;
  Proof proof;
  std::optional<LayerReport> broken;            ///< smallest silent point inside the claims
  std::optional<LayerReport> crash;             ///< smallest crash inside the claims
  std::optional<LayerReport> unclaimed_broken;  ///< smallest silent point outside
  std::optional<LayerReport> unclaimed_crash;
};

/// The law the counterexample is told under: the first broken one, in the order of the laws.
[[nodiscard]] Law first_broken_law(const LayerReport& report);

[[nodiscard]] std::string proof_text(const ProofReport& report);
/// One object for all reports, "format": "tplora-prove/1".
[[nodiscard]] std::string proof_json(const std::vector<ProofReport>& reports);

}  // namespace tplora
