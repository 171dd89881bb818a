// A contract proven, with its telling points analysed in full.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/layout/prove_against.hpp"
#include "sim/layout/prover.hpp"
#include "verify/case/library.hpp"
#include "verify/run/laws.hpp"

namespace tplora::core {

/// One contract's proof with its telling points analysed in full.
struct ProofReport {
  LoadedEngine engine;
  ProofRange range;
  Proof proof;
  std::optional<LayerReport> broken;        ///< smallest silent point inside the claims
  std::optional<LayerReport> crash;         ///< smallest crash inside the claims
  std::optional<LayerReport> other_broken;  ///< smallest silent one of other adapters
  std::optional<LayerReport> other_crash;
  std::optional<LayerReport> numbers_broken;  ///< smallest silent one of other numbers
  std::optional<LayerReport> numbers_crash;
  std::optional<LayerReport> unclaimed_broken;  ///< smallest silent point outside
  std::optional<LayerReport> unclaimed_crash;
};

/// Progress as by prove. Precondition: the range is valid. Refused: a contract with a formula or
/// claim that is undefined somewhere in it.
[[nodiscard]] Result<ProofReport> prove_engine(const LoadedEngine& engine, const ProofRange& range,
                                               int jobs, const FaultNames& names,
                                               const std::function<void(double)>& progress = {});

/// What a change of a contract does to the cases that the contract before it claimed.
struct ComparisonReport {
  LoadedEngine base, engine;  ///< with the rules compared as those of a layer of no model
  std::string variant;        ///< the class of models that these rules are for; empty: all others
  ProofRange range;
  Comparison comparison;
  /// For each transition that makes something worse, the worst first: its smallest point under the
  /// changed contract, analysed in full.
  struct Worse {
    Verdict from = Verdict::consistent, to = Verdict::consistent;
    std::int64_t points = 0;
    LayerReport smallest;
  };
  std::vector<Worse> worse;
};

/// The rules for a layer of no model in particular, then those for each class of models that one of
/// the two tells apart and for which they differ. Progress as by prove, of each. Precondition: the
/// range is valid. Refused: contracts that do not take the same adapters, and one with a formula or
/// claim that is undefined somewhere in the range.
[[nodiscard]] Result<std::vector<ComparisonReport>> compare_engines(
    const LoadedEngine& base, const LoadedEngine& engine, const ProofRange& range, int jobs,
    const FaultNames& names, const std::function<void(double)>& progress = {});

}  // namespace tplora::core
