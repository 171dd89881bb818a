#include <fmt/format.h>

#include "verify/case/library.hpp"
#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/cli/progress_line.hpp"
#include "verify/cli/stop.hpp"
#include "verify/report/suite_report.hpp"
#include "verify/run/minimise.hpp"
#include "verify/run/runner.hpp"

namespace tplora::core {
namespace {

/// A case with what it was prepared from.
struct Prepared {
  LoadedEngine engine;
  std::shared_ptr<const Model> model;
  PreparedCase item;
};

Result<Prepared> read_case(const std::string& line, const ConfigFolders& configs) {
  const auto one = parse_case(line);
  if (!one) {
    return fail(one.error());
  }
  Library library(configs);
  auto engine = library.engine(one->engine);
  auto model = library.model(one->model);
  auto item = prepare(*one, configs);
  if (const auto error = first_error(engine, model, item)) {
    return fail(*error);
  }
  return Prepared{*std::move(engine), *std::move(model), *std::move(item)};
}

/// What came of it, with the numbers, so that it is seen whether they show it; without where they
/// cannot be run.
CaseOutcome with_numbers(const LayerReport& report) {
  PreparedCase item = report.item;
  item.numbers = true;
  auto outcomes = run_cases({item}, {});
  const bool judged = outcomes && !outcomes->front().error;
  return judged ? std::move(outcomes->front()) : outcome_of(report);
}

}  // namespace

int minimise_command(const MinimiseOptions& options, const ConfigFolders& configs) {
  const auto read = read_case(options.case_line, configs);
  if (!read) {
    return bad_input(read.error());
  }
  const StopRequest stop(options.timeout);
  Result<Smallest> smallest;
  {
    ProgressLine line("minimise");
    smallest = minimise(
        read->item, read->engine, *read->model, [&] { return stop.asked(); },
        [&](std::int64_t tried) { line.set(0, static_cast<std::size_t>(tried)); });
  }
  if (!smallest) {
    const int code = bad_input(smallest.error());
    return stop.asked() ? 5 : code;
  }
  const LayerReport& report = smallest->report;
  const bool same = report.item.spec == read->item.spec;
  fmt::print("{}\n\n{}", print_case(report.item.spec),
             replay_text(report.item, with_numbers(report)));
  fmt::print(
      "{} cases tried{}{}{}\n", smallest->tried,
      smallest->keeps_model ? "; the model stays: the engine has rules of its own for its class"
                            : "",
      same ? "; none smaller fails the same way" : "",
      stop.asked() ? fmt::format("; stopped ({}), there may be smaller ones", stop.reason()) : "");
  return stop.asked() ? 5 : 0;
}

}  // namespace tplora::core
