#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "sim/base/json.hpp"
#include "sim/base/read_log.hpp"
#include "sim/base/sha256.hpp"
#include "verify/bugs/bug_catalogue.hpp"
#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/cli/say.hpp"
#include "verify/cli/stopwatch.hpp"
#include "verify/cli/suite_run.hpp"
#include "verify/cli/sweep.hpp"

namespace tplora::core {
namespace {

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

/// A suite, by what the user called it.
struct NamedSuite {
  std::string name;
  std::function<Result<Suite>()> read;
  Files files;  ///< beside those that `read` reads
};

/// What the run of one suite came to.
struct SuiteEnd {
  int code = 0;
  bool stopped = false;  ///< nothing after it is run
  std::size_t cases = 0;
};

SuiteEnd run_suite(const NamedSuite& named, const Files& before, const RunSettings& settings,
                   const StopRequest& stop, SuiteRun& suite) {
  if (auto done = suite.read(named.read, before); !done) {
    return {bad_input(done.error()), true};
  }
  if (settings.dry_run) {
    fmt::print("{}", suite.plan_text());
    return {suite.plan_exit_code()};
  }
  const auto ran = suite.run();
  if (!ran && stop.asked() && !ran.error().is_output) {
    const std::string& report = settings.report.empty() ? settings.resume : settings.report;
    say(fmt::format("tplora: {}: {} ({}){}\n", named.name, ran.error().text(), stop.reason(),
                    report.empty() ? "" : fmt::format("; go on with --resume {}", report)));
    return {5, true};
  }
  if (!ran) {
    return {bad_input(ran.error()), true};
  }
  fmt::print("{}", suite.text());
  if (auto written = suite.write(settings.ci); !written) {
    return {bad_input(written.error()), true};
  }
  return {suite.exit_code(), false, suite.count()};
}

/// 1 before 2 before 3: what is told when several suites come out differently.
int worse_code(int a, int b) {
  const auto rank = [](int code) { return code == 0 ? 4 : code; };
  return rank(a) < rank(b) ? a : b;
}

int run_suites(const std::vector<NamedSuite>& suites, const RunSettings& settings,
               const ConfigFolders& configs) {
  const Stopwatch stopwatch;
  const auto read = read_settings(settings, suites.size());
  if (!read) {
    return bad_input(read.error());
  }
  std::optional<ReadLog> log(std::in_place);
  const auto catalogue = BugCatalogue::read(configs);
  const auto files = log->files();
  log.reset();
  if (!catalogue || !files) {
    return bad_input(!catalogue ? catalogue.error() : files.error());
  }
  const StopRequest stop(settings.timeout);
  int worst = 0;
  std::size_t count = 0;
  std::size_t empty = 0;
  // With a filter, or as a shard, a suite may well have nothing to show beside one that has.
  const bool partial = !settings.filter.empty() || read->shard.has_value();
  for (const NamedSuite& named : suites) {
    Files before = *files;
    before.insert(named.files.begin(), named.files.end());
    SuiteRun suite(settings, *read, configs, *catalogue, stop);
    const SuiteEnd end = run_suite(named, before, settings, stop, suite);
    if (end.stopped) {
      return end.code;
    }
    count += end.cases;
    empty += end.code == 3 && partial ? 1U : 0U;
    worst = end.code == 3 && partial ? worst : worse_code(worst, end.code);
    if (settings.fail_fast && (worst == 1 || worst == 2)) {
      break;
    }
  }
  if (!settings.dry_run) {
    stopwatch.print(count);
  }
  return worst == 0 && empty == suites.size() ? 3 : worst;
}

}  // namespace

int verify_command(const VerifyOptions& options, const ConfigFolders& configs) {
  std::vector<NamedSuite> suites;
  for (const std::string& argument : options.suites) {
    suites.push_back(
        {argument, [&] { return read_suite(suite_file(argument, configs), configs); }, {}});
  }
  return run_suites(suites, options.run, configs);
}

int sweep_command(const SweepOptions& options, const ConfigFolders& configs) {
  const auto text = sweep_suite(options);
  if (!text) {
    return bad_input(text.error());
  }
  if (options.print_suite) {
    RunSettings settings = options.run;
    settings.dry_run = true;  // as there, nothing is written
    if (const auto read = read_settings(settings, 1); !read) {
      return bad_input(read.error());
    }
    fmt::print("{}", *text);
    return 0;
  }
  return run_suites({{"sweep",
                      [&] { return parse_suite(*text, "sweep", configs); },
                      {{"sweep", sha256_of(*text)}}}},
                    options.run, configs);
}

}  // namespace tplora::core
