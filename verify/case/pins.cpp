#include "verify/case/pins.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "verify/case/condition.hpp"
#include "verify/case/verdict_words.hpp"

namespace tplora::core {
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

Pin read_pin(const JsonView& view, FirstError& errors) {
  const Fields fields(view, errors,
                      {"models", "layer", "engine", "tp", "when", "verdict", "reason", "link"});
  Pin pin{.models = fields.texts("models"),
          .layer = fields.text("layer", Need::optional),
          .engine = fields.text("engine"),
          .tp_sizes = fields.positive_integers("tp", Need::optional),
          .when = read_condition(fields, "when", errors),
          .expect = {}};
  if (pin.tp_sizes.empty() && !pin.when) {
    errors.refuse(view.error(R"(a pin says nothing of where it holds, expected "tp" or "when")"));
  }
  pin.expect.verdict = fields.word("verdict", kVerdictWords);
  pin.expect.reason = fields.text("reason");
  pin.expect.link = fields.text("link");
  return pin;
}

Result<bool> matches(const Pin& pin, const std::string& model, const PreparedCase& item) {
  const Case& one = item.spec;
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
        if (!item.expect.link.empty() && item.expect.verdict != pin.expect.verdict) {
          return view.error(fmt::format(
              "model {} at tp_size {}: {}, and {} by an earlier pin, expected the two to agree",
              model, item.spec.tp_size, verdict_name(pin.expect.verdict),
              verdict_name(item.expect.verdict)));
        }
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

void apply_pins(const Fields& fields, FirstError& errors, Suite& suite) {
  std::size_t comparisons = 0;
  for (const JsonView& view : fields.entries("pins", Need::optional)) {
    const Pin pin = read_pin(view, errors);
    if (errors.none()) {
      errors.take(check_work(pin, view, suite, comparisons).and_then([&] {
        return apply(pin, view, suite);
      }));
    }
    if (!errors.none()) {
      return;
    }
  }
}

}  // namespace tplora::core
