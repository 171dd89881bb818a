// The laws once more, cell by cell: slow, simple, and without interval maps. Tests hold the real
// ones against it.
#pragma once

#include <set>

#include "sim/layout/analysis.hpp"

namespace tplora::test {

using namespace core;

struct BruteResult {
  Verdict verdict = Verdict::consistent;
  bool bad_contract = false;
  std::set<Law> broken;  ///< empty unless the verdict is silent
};

/// Builds every buffer as a list of labelled cells, plays the steps, and looks at each cell that
/// reaches an output column.
BruteResult brute_force(const Contract& contract, const LayoutCase& input);

}  // namespace tplora::test
