#include "verify/case/condition.hpp"

#include <fmt/format.h>

#include <vector>

#include "sim/base/ensure.hpp"
#include "sim/contract/symbols.hpp"

namespace tplora::core {

std::optional<Formula> read_condition(const Fields& fields, std::string_view key,
                                      FirstError& errors) {
  const auto field = fields.find(key, Need::optional);
  if (!field) {
    return std::nullopt;
  }
  auto formula = errors.take(field->string().and_then([&](const std::string& text) {
    return Formula::parse(text, field->place(), predefined_symbols());
  }));
  for (const Formula::Used& one : formula.used_symbols()) {
    if (predefined_phase(one.symbol) != Phase::deployment) {
      errors.refuse(field->error(fmt::format(
          "{} is not known of a whole case, expected symbols of layer and deployment (H, KV, D, "
          "tp_size, R ..; docs/formats/contract.md)",
          one.name)));
    }
  }
  return formula;
}

Result<std::int64_t> evaluate_for(const Formula& formula, const PreparedCase& item) {
  ensure(item.geometry.has_value(), "a condition is asked of a layer with a qkv projection");
  const LayoutCase layout = layout_case(item.spec, *item.geometry);
  SymbolValues values = symbol_values(layout.geometry, layout.deployment);
  values[symbol::T] = item.spec.tp_size / item.spec.dp_size;
  const auto value = formula.evaluate(values);
  if (!value) {
    const Formula::Stop why = formula.explain(values);
    return fail(why.sentence, why.place.text());
  }
  return *value;
}

}  // namespace tplora::core
