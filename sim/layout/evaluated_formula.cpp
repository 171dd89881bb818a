#include "sim/layout/evaluated_formula.hpp"

#include <fmt/format.h>

namespace tplora::core {

std::string text_of(const EvaluatedFormula& formula) {
  std::string used;
  for (const auto& [name, let, value, place] : formula.symbols) {
    const bool is_number = let == std::to_string(value);
    used += fmt::format("{}{}{} = {}{}", used.empty() ? "" : ", ", name,
                        let.empty() || is_number ? "" : " = " + let, value,
                        place ? fmt::format(" [{}]", place->text()) : "");
  }
  if (formula.symbols.size() == 1 &&
      used == fmt::format("{} = {}", formula.text, formula.value.value_or(0))) {
    return used;  // a symbol alone
  }
  if (formula.value && formula.text == std::to_string(*formula.value)) {
    return formula.text;  // a number
  }
  return fmt::format("{} = {}{}", formula.text,
                     formula.value ? std::to_string(*formula.value) : "undefined",
                     used.empty() ? "" : " (" + used + ")");
}

}  // namespace tplora::core
