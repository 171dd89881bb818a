// Which formula or word is to blame (docs/blame.md).
//
// A place of the contract is a cause of something wrong if another value there, all others as they
// are, repairs it and breaks nothing else. Every candidate is tried: the contract is changed in
// that one place and the laws are looked at again.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/layout/analysis.hpp"
#include "verify/explain/cause.hpp"

namespace tplora::core {

/// A place that may be wrong.
struct Suspect {
  std::string pointer;  ///< JSON pointer in the merged contract ("/lora_b/copies/1/from")
  Place place;          ///< where it was written
  int formula = -1;     ///< place in formulas_of; -1: a word, an entry of a list, or a list
  /// Of one without a formula: what is wrong with it.
  std::variant<WrongWord, WrongEntry> wrong = {};
  /// Of another formula or word of the same file that must be right too before anything is.
  std::optional<Place> together_with = {};
};

/// One root: what may have caused it, and all that vanishes with it.
struct Blame {
  /// The likelier first: of the more derived file, then nearest the source of the rows. Empty: no
  /// single place explains it.
  std::vector<Suspect> suspects;
  /// Where there are none: the nearest contract extended that keeps the law at this case alone, and
  /// the file that extends it, which is wrong then; nullptr and empty: there is none.
  const Contract* right_alone = nullptr;
  std::string wrong_file = {};
  std::vector<std::size_t> violations;  ///< numbers in the analysis, ascending
  std::vector<std::size_t> failures;
};

/// Every violation, and every failure of law 1 or of verdict crash, in exactly one of them; in
/// order of their first. Once `over` says true it returns soon, and what it returns means nothing.
/// Precondition: the analysis is of this contract and input.
[[nodiscard]] std::vector<Blame> blame(
    const Contract& contract, const LayoutCase& input, const Analysis& analysis,
    const std::function<bool()>& over = [] { return false; });

}  // namespace tplora::core
