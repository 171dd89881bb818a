#include "verify/cli/commands.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "sim/base/printable.hpp"
#include "sim/model/model_source.hpp"
#include "sim/numerics/instruction_set.hpp"
#include "sim/numerics/program.hpp"
#include "verify/bugs/bug_catalogue.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/cli/stop.hpp"
#include "verify/report/expectation.hpp"
#include "verify/report/suite_report.hpp"

namespace tplora::core {
namespace {

bool matches(const PreparedCase& item, const std::string& filter) {
  const std::string line = print_case(item.spec);
  std::istringstream words(filter);
  std::string word;
  while (words >> word) {
    if ((" " + line + " ").find(word.find('=') == std::string::npos ? word : " " + word + " ") ==
        std::string::npos) {
      return false;
    }
  }
  return true;
}

constexpr std::size_t kLongestName = 1000;

/// A path, or a name that `list suites` prints.
std::filesystem::path suite_file(const std::string& argument, const ConfigFolders& configs) {
  std::error_code unreadable;
  const bool name = argument.find('/') == std::string::npos && !argument.ends_with(".json");
  const auto named = configs.root / "suites" / (argument + ".json");
  return name && !std::filesystem::exists(argument, unreadable) &&
                 std::filesystem::exists(named, unreadable)
             ? named
             : std::filesystem::path(argument);
}

/// Seconds and peak memory of the run so far, for the reader at the terminal; never part of a
/// result.
class Stopwatch {
 public:
  /// To stderr, behind the result: both may go to one file.
  void print(std::size_t cases) const {
    std::fflush(stdout);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    fmt::print(stderr, "{:.1f} s, {:.0f} cases/s, {:.2f} GB at most\n", seconds,
               static_cast<double>(cases) / seconds,
               static_cast<double>(usage.ru_maxrss) * 1024 / 1e9);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

int verify_command(const VerifyOptions& options, const ConfigFolders& configs) {
  const Stopwatch stopwatch;
  if (!options.instruction_set.empty() && !use_instruction_set(options.instruction_set)) {
    return bad_input(
        Error{fmt::format("--instruction-set {}: expected one of: {}",
                          excerpt(options.instruction_set), fmt::join(instruction_sets(), ", ")),
              ""});
  }
  const auto catalogue = BugCatalogue::read(configs);
  if (!catalogue) {
    return bad_input(catalogue.error());
  }
  const StopRequest stop(options.timeout);
  int worst = 0;
  std::size_t count = 0;
  std::size_t empty = 0;
  for (const std::string& argument : options.suites) {
    auto suite = read_suite(suite_file(argument, configs), configs);
    if (!suite) {
      return bad_input(suite.error());
    }
    if (!options.filter.empty()) {
      suite->digest.clear();  // pinned for the whole suite
    }
    std::erase_if(suite->cases,
                  [&](const PreparedCase& item) { return !matches(item, options.filter); });
    RunOptions run;
    run.jobs = options.jobs;
    run.stop = [&] { return stop.asked(); };
    if (isatty(STDERR_FILENO) != 0) {
      run.progress = [](const std::string& sentence) {
        fmt::print(stderr, "\r{}\x1b[K", sentence);
        std::fflush(stderr);
      };
    }
    auto ran = run_cases(suite->cases, run);
    if (isatty(STDERR_FILENO) != 0) {
      fmt::print(stderr, "\r\x1b[K");
    }
    if (!ran && stop.asked()) {
      fmt::print(stderr, "tplora: {}: {} ({})\n", argument, ran.error().text(), stop.reason());
      return 5;
    }
    if (!ran) {
      return bad_input(ran.error());
    }
    std::vector<CaseOutcome>& outcomes = *ran;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!as_expected(outcomes[i], suite->cases[i].expect)) {
        outcomes[i].same_as = catalogue->same_faults(suite->cases[i]);
      }
    }
    const auto spots = catalogue->blind_spots(suite->cases);
    const std::string mismatch = digest_mismatch(*suite, outcomes);
    fmt::print("{}{}{}{}", suite_text(suite->name, suite->cases, outcomes),
               bugs_text(suite->cases, outcomes), blind_spots_text(spots), mismatch);
    count += outcomes.size();
    const bool blind = options.strict && !spots.empty();
    const int code = mismatch.empty() && !blind ? suite_exit_code(suite->cases, outcomes) : 1;
    // With a filter a suite may well have nothing to show beside one that has.
    empty += code == 3 && !options.filter.empty() ? 1U : 0U;
    worst = worst == 1 || code == 1                ? 1
            : code == 3 && !options.filter.empty() ? worst
                                                   : std::max(worst, code);
  }
  stopwatch.print(count);
  return worst == 0 && empty == options.suites.size() ? 3 : worst;
}

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
