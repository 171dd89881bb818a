// A contract proven, with its telling points analysed in full.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "sim/layout/prover.hpp"
#include "verify/run/laws.hpp"

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

/// `engine` is a name or path as find_contract takes it; progress as by prove. Refused: a contract
/// that cannot be read, and one with a formula or claim that is undefined somewhere in the range.
[[nodiscard]] Result<ProofReport> prove_engine(const std::string& engine, const ProofRange& range,
                                               int jobs, const ConfigFolders& configs,
                                               const std::function<void(double)>& progress = {});

}  // namespace tplora
