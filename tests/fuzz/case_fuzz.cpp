#include "tests/fuzz/target.hpp"
#include "verify/case/case.hpp"
#include "verify/cli/runner.hpp"
#include "verify/cli/work.hpp"

namespace tplora::fuzz {
namespace {

/// What a fuzzer may spend on one line: plans of all ranks, and multiplications.
constexpr std::size_t kMaxPlans = 1 << 10;
constexpr double kMaxMultiplications = 1 << 20;

/// Laws, explanations and, where they are cheap, numbers of a case.
void run(PreparedCase item) {
  const auto ranks = static_cast<std::size_t>(item.one.tp_size);
  if (!item.geometry || ranks * (1 + item.one.steps.size()) > kMaxPlans) {
    return;
  }
  Analyser analyser;
  const Analysis& analysis = analyser.run(*item.contract, layout_case(item.one, *item.geometry));
  if (!analysis.bad_contract && analysis.failures.empty()) {
    const NumericWork work = numeric_work(item, analysis);
    item.numbers = work.multiplications + work.floats <= kMaxMultiplications;
  }
  RunOptions options;
  options.jobs = 1;
  if (const auto outcomes = run_cases({item}, options); !outcomes) {
    check_error(outcomes.error(), ".json");
  }
}

}  // namespace

void case_line(std::string_view bytes) {
  const auto one = parse_case(std::string(bytes));
  if (!one) {
    return check_error(one.error(), "case line");
  }
  const auto again = parse_case(print_case(*one));
  check(again && *again == *one, "a printed case parses to itself");
  check(print_case(*again) == print_case(*one), "the printed line is canonical");
  auto layers = prepare_all_layers(*one, configs());
  if (!layers) {
    return check_error(layers.error(), "");
  }
  for (PreparedCase& item : *layers) {
    const auto resolved = parse_case(print_case(item.one));
    check(resolved && *resolved == item.one, "a resolved case parses to itself");
    run(std::move(item));
  }
}

}  // namespace tplora::fuzz
