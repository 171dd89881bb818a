// A formula with the values that it had.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/place.hpp"

namespace tplora::core {

struct EvaluatedFormula {
  struct Symbol {
    std::string name;
    std::string let;  ///< text of its let; empty: it is predefined
    std::int64_t value = 0;
    std::optional<Place> place;  ///< of the let, where another file than the formula's replaced it
    friend auto operator<=>(const Symbol&, const Symbol&) = default;
  };
  std::string text;
  std::optional<std::int64_t> value;  ///< nothing: undefined
  std::vector<Symbol> symbols;        ///< in order of first appearance
  friend auto operator<=>(const EvaluatedFormula&, const EvaluatedFormula&) = default;
};

/// "text = value (h = H/T = 4, D = 256)".
[[nodiscard]] std::string text_of(const EvaluatedFormula& formula);

}  // namespace tplora::core
