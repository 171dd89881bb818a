#include "verify/cli/commands.hpp"

#include <fmt/format.h>

#include "sim/base/printable.hpp"
#include "sim/model/model_source.hpp"
#include "sim/numerics/program.hpp"
#include "verify/bugs/bug_catalogue.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/cli/stopwatch.hpp"
#include "verify/report/suite_report.hpp"

namespace tplora::core {
namespace {

constexpr std::size_t kLongestName = 1000;

}  // namespace

int replay_command(const std::string& line, const ConfigFolders& configs) {
  const Stopwatch stopwatch;
  const auto one = parse_case(line);
  if (!one) {
    return bad_input(one.error());
  }
  auto item = prepare(*one, configs);
  if (!item) {
    return bad_input(item.error());
  }
  item->numbers = true;
  item->expect.verdict = Verdict::consistent;
  auto outcomes = run_cases({*item}, {});
  if (!outcomes) {
    return bad_input(outcomes.error());
  }
  CaseOutcome& outcome = outcomes->front();
  if (outcome.error) {
    return bad_input(*outcome.error);
  }
  auto same_as = FaultNames(configs).of(*item, outcome.verdict);
  if (!same_as) {
    return bad_input(same_as.error());
  }
  outcome.same_as = *std::move(same_as);
  fmt::print("{}", replay_text(*item, outcome));
  stopwatch.print(1);
  const bool vacuous = outcome.numbers.state == NumericOutcome::State::vacuous;
  return outcome.verdict == Verdict::consistent && vacuous ? 3 : verdict_exit_code(outcome.verdict);
}

int list_command(const std::string& kind, const ConfigFolders& configs) {
  Result<std::vector<std::string>> names;
  if (kind == "models") {
    names = list_models(configs.models());
  } else if (kind == "engines" || kind == "bugs" || kind == "suites") {
    names = list_contracts(configs.root, kind);
  } else if (kind == "programs") {
    for (const RoundingProgram& program : programs()) {
      names->emplace_back(program.name);
    }
  } else {
    return bad_input(
        {fmt::format("list {}: expected models, engines, bugs, programs or suites", kind), ""});
  }
  if (!names) {
    return bad_input(names.error());
  }
  for (const std::string& name : *names) {
    fmt::print("{}\n", printable(name, kLongestName));
  }
  return 0;
}

}  // namespace tplora::core
