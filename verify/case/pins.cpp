#include "verify/case/pins.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "verify/case/case_lines.hpp"
#include "verify/case/case_values.hpp"
#include "verify/case/condition.hpp"
#include "verify/case/verdict_words.hpp"

namespace tplora::core {
namespace {

/// Seconds of work.
constexpr std::size_t kMaxComparisons = std::size_t{1} << 26;

struct Pin {
  std::vector<std::string> models;  ///< as written
  std::string layer;
  std::vector<std::string> engines;    ///< that the one which is written stands for
  std::vector<std::int64_t> tp_sizes;  ///< empty: any
  std::optional<Formula> when;
  Expectation expect;
};

Pin read_pin(const JsonView& view, SuiteNames& names, FirstError& errors) {
  const Fields fields(view, errors,
                      {"models", "layer", "engine", "tp", "when", "verdict", "reason", "link"});
  Pin pin{.models = fields.some_texts("models"),
          .layer = fields.text("layer", Need::optional),
          .engines = errors.take(names.engines(fields.text("engine")).map_error([&](Error error) {
            return error.place.empty() ? view.error(error.sentence).value() : error;
          })),
          .tp_sizes = {},
          .when = read_condition(fields, "when", errors),
          .expect = {}};
  if (const auto tp = fields.find("tp", Need::optional)) {
    pin.tp_sizes = errors.take(number_list(*tp, kMaxRanks));
  }
  if (pin.tp_sizes.empty() && !pin.when) {
    errors.refuse(view.error(R"(a pin says nothing of where it holds, expected "tp" or "when")"));
  }
  pin.expect.verdict = fields.word("verdict", kVerdictWords);
  pin.expect.reason = fields.text("reason");
  pin.expect.link = fields.text("link");
  return pin;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// `models`: what one of those written stands for. A case that cannot be judged is one that the pin
/// may be about.
Result<bool> matches(const Pin& pin, const std::vector<std::string>& models,
                     const PreparedCase& item) {
  const Case& one = item.spec;
  const bool named = has(models, one.model) && has(pin.engines, one.engine) &&
                     (pin.layer.empty() || item.unreadable || one.layer == pin.layer) &&
                     (pin.tp_sizes.empty() || std::find(pin.tp_sizes.begin(), pin.tp_sizes.end(),
                                                        one.tp_size) != pin.tp_sizes.end());
  if (named && item.unreadable) {
    return true;
  }
  if (!named || !item.geometry || item.expect.verdict == Verdict::refused) {
    return false;
  }
  if (!pin.when) {
    return true;
  }
  return evaluate_for(*pin.when, item).map([](std::int64_t value) { return value != 0; });
}

/// Each model of each pin is held against each case.
Result<void> check_work(const std::vector<std::string>& models, const JsonView& view,
                        const Suite& suite, std::size_t& comparisons) {
  comparisons += models.size() * suite.cases.size();
  return comparisons <= kMaxComparisons
             ? Result<void>()
             : view.error(
                   fmt::format("the pins up to here name so many models that {} cases take more "
                               "than {} comparisons, expected at most that many",
                               suite.cases.size(), kMaxComparisons));
}

Result<void> apply(const Pin& pin, const JsonView& view, SuiteNames& names, Suite& suite,
                   std::size_t& comparisons) {
  for (const std::string& model : pin.models) {
    const auto models = names.models(model);
    if (!models) {
      return models.error().place.empty() ? view.error(models.error().sentence)
                                          : fail(models.error());
    }
    if (auto little = check_work(*models, view, suite, comparisons); !little) {
      return little;
    }
    bool used = false;
    for (PreparedCase& item : suite.cases) {
      const auto hit = matches(pin, *models, item);
      if (!hit) {
        return fail(hit.error());
      }
      used = used || *hit;
      if (*hit && !item.unreadable) {
        if (!item.expect.link.empty() && item.expect.verdict != pin.expect.verdict) {
          return view.error(fmt::format(
              "model {} at tp_size {}: {}, and {} by an earlier pin, expected the two to agree",
              item.spec.model, item.spec.tp_size, verdict_name(*pin.expect.verdict),
              verdict_name(*item.expect.verdict)));
        }
        item.expect = pin.expect;
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

void apply_pins(const Fields& fields, SuiteNames& names, FirstError& errors, Suite& suite) {
  std::size_t comparisons = 0;
  for (const JsonView& view : fields.entries("pins", Need::optional)) {
    const Pin pin = read_pin(view, names, errors);
    if (errors.none()) {
      errors.take(apply(pin, view, names, suite, comparisons));
    }
    if (!errors.none()) {
      return;
    }
  }
}

}  // namespace tplora::core
