// Why something is wrong, as values: what a finding says of its cause.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/base/place.hpp"
#include "sim/layout/evaluated_formula.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// A formula comes to another value than would be right.
struct WrongFormula {
  std::string let;  ///< the let's name; empty: it is none
  EvaluatedFormula formula;
  /// Of a copy whose source ends too early: the rows that are there, of those wanted.
  struct CutOff {
    std::int64_t there = 0, wanted = 0;
    friend auto operator<=>(const CutOff&, const CutOff&) = default;
  };
  std::optional<CutOff> cut_off;
  friend auto operator<=>(const WrongFormula&, const WrongFormula&) = default;
};
/// A word stands where another would be right.
struct WrongWord {
  std::string stands, right;
  friend auto operator<=>(const WrongWord&, const WrongWord&) = default;
};
/// A list of copies, kernel entries or checks is wrong at an entry.
struct WrongEntry {
  enum class Fault { exchanged, surplus, missing };
  Fault fault = Fault::exchanged;  ///< exchanged: with the next
  friend auto operator<=>(const WrongEntry&, const WrongEntry&) = default;
};
/// A place at which another value would be right.
using WrongPlace = std::variant<WrongFormula, WrongWord, WrongEntry>;

/// No single place is the cause, nor two of those that are tried together.
struct NoSinglePlace {
  /// Name of the contract extended that keeps the law here: what extends it is wrong. Empty: there
  /// is none.
  std::string right_alone;
  friend auto operator<=>(const NoSinglePlace&, const NoSinglePlace&) = default;
};
/// Nobody asked for the cause.
struct NotAsked {
  friend auto operator<=>(const NotAsked&, const NotAsked&) = default;
};
/// The engine asserts nothing that would stop it.
struct NothingAsserted {
  friend auto operator<=>(const NothingAsserted&, const NothingAsserted&) = default;
};
/// An adapter's delta is multiplied by something else than PEFT means.
struct WrongFactor {
  struct Factor {
    EvaluatedFormula numerator, denominator;
    std::optional<EvaluatedFormula> root;  ///< of the denominator, where there is one to be seen
    std::int64_t alpha_unit = 1;           ///< lora_alpha is in units of 1/alpha_unit
    friend auto operator<=>(const Factor&, const Factor&) = default;
  };
  int adapter = 0;
  std::optional<Part> part;     ///< nothing: all parts alike
  std::vector<Factor> factors;  ///< that are multiplied, the first kMaxFactors
  std::int64_t uses = 0;        ///< how many there are
  Place scale_place;            ///< where it says that each use multiplies
  bool rslora = false;
  std::int64_t lora_alpha = 0, alpha_unit = 1, lora_rank = 0;  ///< what is due
  friend auto operator<=>(const WrongFactor&, const WrongFactor&) = default;
};
/// Factors that are kept: a case may have thousands.
inline constexpr std::size_t kMaxFactors = 8;
/// A formula or check failed by itself, on account of `to_blame` where that is another.
struct Failed {
  std::string sentence;
  std::optional<std::variant<WrongPlace, NoSinglePlace>> to_blame;
  friend auto operator<=>(const Failed&, const Failed&) = default;
};
/// So many violations were looked at, and there are more.
struct More {
  std::int64_t places = 0;
  friend auto operator<=>(const More&, const More&) = default;
};
/// Every law holds, and outputs differ all the same.
struct UnexplainedOutputs {
  std::int64_t wrong = 0, compared = 0;
  friend auto operator<=>(const UnexplainedOutputs&, const UnexplainedOutputs&) = default;
};

/// What happened to an adapter before, where that decides what its slot holds.
struct CutAgain {
  int adapter = 0;
  Place place;
  friend auto operator<=>(const CutAgain&, const CutAgain&) = default;
};
struct ReadsEarlierSlot {
  int adapter = 0;
  std::int64_t slot = 0, slot_read = 0;
  Place place;
  friend auto operator<=>(const ReadsEarlierSlot&, const ReadsEarlierSlot&) = default;
};

struct Cause {
  std::variant<NoSinglePlace, WrongPlace, NothingAsserted, WrongFactor, Failed, More,
               UnexplainedOutputs, NotAsked>
      what;
  std::optional<CutAgain> cut_again;
  std::optional<ReadsEarlierSlot> earlier_slot;
  friend auto operator<=>(const Cause&, const Cause&) = default;
};

}  // namespace tplora::core
