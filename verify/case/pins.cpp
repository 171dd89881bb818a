#include "verify/case/pins.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/contract/symbols.hpp"

namespace tplora {
namespace {

/// Seconds of work.
constexpr std::size_t kMaxComparisons = std::size_t{1} << 26;

struct Pin {
  std::vector<std::string> models;
  std::string layer, engine;
  std::vector<std::int64_t> tp_sizes;  ///< empty: any
  std::optional<Formula> when;
  Expectation expect;
};

Result<std::string> text_at(const JsonView& view, std::string_view key) {
  return view.at(key).and_then([](const JsonView& v) { return v.string(); });
}

Result<std::vector<std::int64_t>> read_tp_sizes(const JsonView& view) {
  std::vector<std::int64_t> sizes;
  const auto list = view.find("tp");
  if (!list) {
    return sizes;
  }
  const auto elements = list->elements();
  if (!elements) {
    return fail(elements.error());
  }
  for (const JsonView& element : *elements) {
    const auto size = element.positive_integer();
    if (!size) {
      return fail(size.error());
    }
    sizes.push_back(*size);
  }
  return sizes;
}

/// Where the pin applies.
Result<void> read_scope(const JsonView& view, Pin& pin) {
  const auto models = view.at("models").and_then([](const JsonView& v) { return v.strings(); });
  const auto engine = text_at(view, "engine");
  const auto layer = view.find("layer") ? text_at(view, "layer") : Result<std::string>("");
  auto sizes = read_tp_sizes(view);
  if (const auto error = first_error(models, engine, layer, sizes)) {
    return fail(*error);
  }
  pin.models = *models;
  pin.engine = *engine;
  pin.layer = *layer;
  pin.tp_sizes = std::move(*sizes);
  if (const auto when = view.find("when")) {
    auto formula = when->string().and_then([&](const std::string& text) {
      return Formula::parse(text, when->place(), predefined_symbols());
    });
    if (!formula) {
      return fail(formula.error());
    }
    pin.when = std::move(*formula);
  }
  if (pin.tp_sizes.empty() && !pin.when) {
    return view.error(R"(a pin says nothing of where it holds, expected "tp" or "when")");
  }
  return {};
}

Result<Pin> read_pin(const JsonView& view) {
  if (auto keys =
          view.only_keys({"models", "layer", "engine", "tp", "when", "verdict", "reason", "link"});
      !keys) {
    return fail(keys.error());
  }
  Pin pin;
  if (auto scope = read_scope(view, pin); !scope) {
    return fail(scope.error());
  }
  const auto verdict = text_at(view, "verdict");
  const auto reason = text_at(view, "reason");
  const auto link = text_at(view, "link");
  if (const auto error = first_error(verdict, reason, link)) {
    return fail(*error);
  }
  if (!verdict_of(*verdict)) {
    return view.find("verdict")->expected("a verdict: consistent, silent, crash or refused");
  }
  pin.expect.verdict = *verdict_of(*verdict);
  pin.expect.reason = *reason;
  pin.expect.link = *link;
  return pin;
}

Result<bool> matches(const Pin& pin, const std::string& model, const PreparedCase& item) {
  const Case& one = item.one;
  const bool named = one.model == model && one.engine == pin.engine &&
                     (pin.layer.empty() || one.layer == pin.layer) &&
                     (pin.tp_sizes.empty() || std::find(pin.tp_sizes.begin(), pin.tp_sizes.end(),
                                                        one.tp_size) != pin.tp_sizes.end());
  if (!named || !item.geometry || item.expect.verdict == Verdict::refused) {
    return false;
  }
  if (!pin.when) {
    return true;
  }
  return evaluate_for(*pin.when, item).map([](std::int64_t value) { return value != 0; });
}

/// Each model of each pin is held against each case.
Result<void> check_work(const Pin& pin, const JsonView& view, const Suite& suite,
                        std::size_t& comparisons) {
  comparisons += pin.models.size() * suite.cases.size();
  return comparisons <= kMaxComparisons
             ? Result<void>()
             : view.error(
                   fmt::format("the pins up to here name so many models that {} cases take more "
                               "than {} comparisons, expected at most that many",
                               suite.cases.size(), kMaxComparisons));
}

Result<void> apply(const Pin& pin, const JsonView& view, Suite& suite) {
  for (const std::string& model : pin.models) {
    bool used = false;
    for (PreparedCase& item : suite.cases) {
      const auto hit = matches(pin, model, item);
      if (!hit) {
        return fail(hit.error());
      }
      if (*hit) {
        item.expect = pin.expect;
        used = true;
      }
    }
    if (!used) {
      return view.error(
          fmt::format("no case of this suite has model {} and is where this pin holds", model));
    }
  }
  return {};
}

}  // namespace

Result<std::int64_t> evaluate_for(const Formula& formula, const PreparedCase& item) {
  const LayoutCase layout = layout_case(item.one, *item.geometry);
  std::vector<std::int64_t> values(symbol::count, 0);
  for (int number = 0; number < symbol::tp_rank; ++number) {
    values[static_cast<std::size_t>(number)] =
        symbol_value(layout.geometry, layout.deployment, number);
  }
  values[symbol::T] = item.one.tp_size / item.one.dp_size;
  const auto value = formula.evaluate(values);
  if (!value) {
    return fail(formula.explain(values).error);
  }
  return *value;
}

Result<void> apply_pins(const JsonView& root, Suite& suite) {
  const auto pins = root.find("pins");
  if (!pins) {
    return {};
  }
  const auto list = pins->elements();
  if (!list) {
    return fail(list.error());
  }
  std::size_t comparisons = 0;
  for (const JsonView& view : *list) {
    const auto pin = read_pin(view);
    if (!pin) {
      return fail(pin.error());
    }
    if (auto work = check_work(*pin, view, suite, comparisons); !work) {
      return work;
    }
    if (auto applied = apply(*pin, view, suite); !applied) {
      return applied;
    }
  }
  return {};
}

}  // namespace tplora
