#include "verify/case/exclusions.hpp"

#include "verify/case/case_lines.hpp"
#include "verify/case/case_values.hpp"
#include "verify/case/condition.hpp"

namespace tplora::core {
namespace {

/// Whether nothing is said, or the value is among what is said.
template <class Value>
bool has(const std::set<Value>& said, const Value& value) {
  return said.empty() || said.contains(value);
}

}  // namespace

Exclusions::Exclusions(const Fields& fields, SuiteNames& names, FirstError& errors) {
  for (const JsonView& view : fields.entries("exclude", Need::optional)) {
    const auto placed = [&](Error error) {
      return error.place.empty() ? view.error(error.sentence).value() : error;
    };
    const Fields of(view, errors, {"models", "engines", "layers", "tp", "when", "reason"});
    Exclusion one{.view = view,
                  .models = {},
                  .engines = {},
                  .layers = {},
                  .tp_sizes = {},
                  .when = read_condition(of, "when", errors)};
    for (const std::string& text : of.some_texts("models", Need::optional)) {
      const auto some = errors.take(names.models(text).map_error(placed));
      one.models.insert(some.begin(), some.end());
    }
    for (const std::string& text : of.some_texts("engines", Need::optional)) {
      const auto some = errors.take(names.engines(text).map_error(placed));
      one.engines.insert(some.begin(), some.end());
    }
    const auto layers = of.some_texts("layers", Need::optional);
    one.layers.insert(layers.begin(), layers.end());
    if (const auto tp = of.find("tp", Need::optional)) {
      const auto sizes = errors.take(number_list(*tp, kMaxRanks));
      one.tp_sizes.insert(sizes.begin(), sizes.end());
    }
    (void)of.text("reason", Need::optional);  // for who reads the suite
    if (one.models.empty() && one.engines.empty() && one.layers.empty() && one.tp_sizes.empty() &&
        !one.when) {
      errors.refuse(
          view.error("nothing says what is left out, expected \"models\", \"engines\", "
                     "\"layers\", \"tp\" or \"when\""));
    }
    list_.push_back(std::move(one));
  }
}

Result<bool> Exclusions::leaves_out(const PreparedCase& item) {
  for (Exclusion& one : list_) {
    if (!has(one.models, item.spec.model) || !has(one.engines, item.spec.engine) ||
        !has(one.layers, item.kind) || !has(one.tp_sizes, item.spec.tp_size) ||
        (one.when && !item.geometry)) {
      continue;
    }
    const auto holds = one.when ? evaluate_for(*one.when, item) : Result<std::int64_t>(1);
    if (!holds) {
      return fail(holds.error());
    }
    if (*holds != 0) {
      one.used = true;
      return true;
    }
  }
  return false;
}

Result<void> Exclusions::all_used() const {
  for (const Exclusion& one : list_) {
    if (!one.used) {
      return one.view.error("no case is left out by it, expected at least one");
    }
  }
  return {};
}

}  // namespace tplora::core
