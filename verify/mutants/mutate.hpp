// Contracts with one thing wrong: what the laws must notice (docs/decisions/0006-mutants.md).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/contract/contract.hpp"

namespace tplora::core {

/// One change to one contract.
struct Mutant {
  std::string place;  ///< JSON pointer of what is changed
  std::string what;   ///< "h*gate*D -> h*D", "clip -> error", "dropped"
  Contract contract;
};

/// Rewritten forms of a formula, as text, each once and none equal to the formula: every symbol
/// exchanged for each of `exchange`, every operator for its neighbours, every constant one more and
/// one less, every term dropped, the branches of ?: swapped or taken alone, the whole one more and
/// one less. `names` are the symbols by number, loop indices included.
[[nodiscard]] std::vector<std::string> formula_mutants(const Formula& formula,
                                                       const SymbolTable& names,
                                                       const std::vector<int>& exchange);

/// Calls `body` for every mutant of the contract: each formula but claims rewritten; copies, kernel
/// entries and checks dropped; neighbouring copies and kernel entries exchanged; every word of a
/// closed list replaced by each other word. Rewritten formulas keep to the symbols that the format
/// allows at their place.
void for_each_mutant(const Contract& contract, const std::function<void(Mutant&&)>& body);

}  // namespace tplora::core
