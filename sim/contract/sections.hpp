// The sections of a contract file, each read into its part of a contract. All share one reader of
// formulas, and with it the names defined so far and the first error.
#pragma once

#include "sim/base/fields.hpp"
#include "sim/contract/contract.hpp"
#include "sim/contract/formula_reader.hpp"

namespace tplora::core {

/// Read before `let`, so that only predefined names can stand in a claim: a claim is about model
/// and deployment, and must have a value where the contract's own formulas have none.
void read_claims(const Fields& root, FormulaReader& formulas, Contract& contract);
/// Defines names: what is read later may use them.
void read_lets(const Fields& root, FormulaReader& formulas, Contract& contract);
void read_checks(const Fields& root, FormulaReader& formulas, Contract& contract);

void read_weight(const Fields& root, FormulaReader& formulas, Contract& contract);
void read_lora_b(const Fields& root, FormulaReader& formulas, Contract& contract);
void read_lora_a(const Fields& root, FormulaReader& formulas, Contract& contract);
/// Read behind lora_a and lora_b, whose buffers it names.
void read_kernel(const Fields& root, FormulaReader& formulas, Contract& contract);

}  // namespace tplora::core
