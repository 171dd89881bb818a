#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "sim/base/decimal.hpp"
#include "sim/base/printable.hpp"
#include "sim/base/read_log.hpp"
#include "sim/numerics/instruction_set.hpp"
#include "verify/bugs/bug_catalogue.hpp"
#include "verify/case/suite.hpp"
#include "verify/cli/commands.hpp"
#include "verify/cli/commit.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/cli/stop.hpp"
#include "verify/cli/stopwatch.hpp"
#include "verify/report/expectation.hpp"
#include "verify/report/report_file.hpp"
#include "verify/report/suite_report.hpp"
#include "verify/safetensors/output_file.hpp"

namespace tplora::core {
namespace {

using Files = std::map<std::string, std::string>;

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

/// "2/4". Nothing for an empty text: all of it.
Result<std::optional<Shard>> parse_shard(const std::string& text) {
  if (text.empty()) {
    return std::optional<Shard>();
  }
  const auto slash = text.find('/');
  const auto number = parse_decimal<std::int64_t>(text.substr(0, slash));
  const auto count = parse_decimal<std::int64_t>(
      slash == std::string::npos ? std::string() : text.substr(slash + 1));
  if (!number || !count || *number < 1 || *number > *count || *count > 100'000) {
    return fail(fmt::format("--shard {}: expected I/N, a part from 1 to N, for example 2/4",
                            excerpt(text)));
  }
  return std::optional(Shard{*number, *count});
}

/// Paths below the configs from there: the same on every machine.
Files from_configs(const Files& files, const ConfigFolders& configs) {
  constexpr std::size_t kLongest = 4096;
  std::error_code unknown;
  const auto root = std::filesystem::weakly_canonical(configs.root, unknown);
  Files all;
  for (const auto& [file, digest] : files) {
    const std::string below =
        std::filesystem::weakly_canonical(file, unknown).lexically_relative(root).string();
    all[printable(below.empty() || below.starts_with("..") ? file : below, kLongest)] = digest;
  }
  return all;
}

/// Runs one suite.
class SuiteRun {
 public:
  SuiteRun(const VerifyOptions& options, const ConfigFolders& configs,
           const BugCatalogue& catalogue, const StopRequest& stop, std::optional<Shard> shard)
      : options_(options), configs_(configs), catalogue_(catalogue), stop_(stop), shard_(shard) {}

  /// Reads the suite; `before`: what was read already and matters too.
  Result<void> read(const std::string& argument, const Files& before) {
    const ReadLog log;
    auto suite = read_suite(suite_file(argument, configs_), configs_);
    const auto files = log.files();
    if (!suite || !files) {
      return fail(!suite ? suite.error() : files.error());
    }
    suite_ = *std::move(suite);
    if (!options_.filter.empty()) {
      suite_.digest.clear();  // pinned for the whole suite
    }
    std::erase_if(suite_.cases,
                  [&](const PreparedCase& item) { return !matches(item, options_.filter); });
    plan_ = plan_passes(suite_.cases);
    Files all = before;
    all.insert(files->begin(), files->end());
    header_ = {.version = options_.version,
               .commit = commit(),
               .suite = suite_.name,
               .pinned = suite_.digest,
               .filter = options_.filter,
               .cases = static_cast<std::int64_t>(suite_.cases.size()),
               .passes = static_cast<std::int64_t>(plan_.size()),
               .shard = shard_,
               .files = from_configs(all, configs_)};
    return open();
  }

  Result<void> run() {
    if (!file_ || !file_->is_complete()) {
      if (auto ran = run_cases(suite_.cases, run_options()); !ran) {
        return fail(ran.error());
      }
    }
    for (std::optional<CaseRecord>& one : records_) {
      if (one) {
        cases_.push_back(*std::move(one));
      }
    }
    spots_ = catalogue_.blind_spots(suite_.cases);
    if (file_ && file_->is_complete() && file_->blind_spots() != spots_) {
      return fail("the footer names other blind spots than the suite has", options_.resume);
    }
    return file_ && !file_->is_complete() ? file_->finish(footer_of(cases_, spots_))
                                          : Result<void>();
  }

  /// After `run`.
  [[nodiscard]] std::string text() const { return run_text(header_, cases_, spots_); }
  [[nodiscard]] int exit_code() const {
    return run_exit_code(header_, cases_, spots_, options_.strict);
  }
  [[nodiscard]] Result<void> write(const CiFiles& files) const {
    return write_ci_files(files, header_, cases_, spots_);
  }
  [[nodiscard]] std::size_t count() const { return cases_.size(); }

 private:
  /// The report, where one is asked for, with what it has of an earlier run.
  Result<void> open() {
    records_.resize(suite_.cases.size());
    done_.assign(plan_.size(), false);
    if (options_.report.empty() && options_.resume.empty()) {
      return {};
    }
    auto file = options_.resume.empty() ? ReportFile::create(options_.report, header_)
                                        : ReportFile::resume(options_.resume, header_, plan_);
    if (!file) {
      return fail(file.error());
    }
    file_.emplace(*std::move(file));
    for (const CaseRecord& one : file_->cases()) {
      const auto number = static_cast<std::size_t>(one.number);
      if (!same_case(one, record_case(suite_.cases[number], {}))) {
        return fail(fmt::format("case {} is not the suite's: {}", one.number, one.case_line),
                    options_.resume);
      }
      records_[number] = one;
    }
    for (const std::size_t pass : file_->passes()) {
      done_[pass] = true;
    }
    return {};
  }

  RunOptions run_options() {
    RunOptions run;
    run.jobs = options_.jobs;
    run.stop = [this] { return stop_.asked(); };
    run.wanted = [this](std::size_t pass) {
      return !done_[pass] && (!shard_ || shard_->has(static_cast<std::int64_t>(pass)));
    };
    run.complete = [this](const PreparedCase& item, CaseOutcome& outcome) {
      if (!as_expected(outcome, item.expect)) {
        outcome.same_as = catalogue_.same_faults(item);
      }
    };
    run.each = [this](std::size_t pass, const std::vector<CaseOutcome>& outcomes) {
      std::vector<CaseRecord> records;
      for (const std::size_t i : plan_[pass].cases) {
        CaseRecord record = record_case(suite_.cases[i], outcomes[i]);
        record.number = static_cast<std::int64_t>(i);
        record.pass = static_cast<std::int64_t>(pass);
        records_[i] = record;
        records.push_back(std::move(record));
      }
      return file_ ? file_->append(records) : Result<void>();
    };
    if (isatty(STDERR_FILENO) != 0) {
      run.progress = [](const std::string& sentence) {
        fmt::print(stderr, "\r{}\x1b[K", sentence);
        std::fflush(stderr);
      };
    }
    return run;
  }

  const VerifyOptions& options_;
  const ConfigFolders& configs_;
  const BugCatalogue& catalogue_;
  const StopRequest& stop_;
  std::optional<Shard> shard_;
  Suite suite_;
  std::vector<Pass> plan_;
  ReportHeader header_;
  std::optional<ReportFile> file_;
  std::vector<std::optional<CaseRecord>> records_;  ///< by number
  std::vector<bool> done_;                          ///< by pass: in an earlier run
  std::vector<CaseRecord> cases_;                   ///< that were run, in order
  std::vector<BugCatalogue::BlindSpot> spots_;
};

Result<void> check_options(const VerifyOptions& options) {
  if (!options.instruction_set.empty() && !use_instruction_set(options.instruction_set)) {
    return fail(fmt::format("--instruction-set {}: expected one of: {}",
                            excerpt(options.instruction_set), fmt::join(instruction_sets(), ", ")));
  }
  if (!options.report.empty() && !options.resume.empty()) {
    return fail("--report and --resume: expected one of the two, --resume goes on with its report");
  }
  const bool written = !options.report.empty() || !options.resume.empty() ||
                       !options.ci.junit.empty() || !options.ci.sarif.empty() ||
                       !options.ci.markdown.empty();
  if (written && options.suites.size() != 1) {
    return fail(fmt::format("a report is of one suite, found {}", options.suites.size()));
  }
  return {};
}

}  // namespace

int verify_command(const VerifyOptions& options, const ConfigFolders& configs) {
  const Stopwatch stopwatch;
  const auto shard = check_options(options).and_then([&] { return parse_shard(options.shard); });
  if (!shard) {
    return bad_input(shard.error());
  }
  std::optional<ReadLog> log(std::in_place);
  const auto catalogue = BugCatalogue::read(configs);
  const auto files = log->files();
  log.reset();
  if (!catalogue || !files) {
    return bad_input(!catalogue ? catalogue.error() : files.error());
  }
  const StopRequest stop(options.timeout);
  int worst = 0;
  std::size_t count = 0;
  std::size_t empty = 0;
  const bool partial = !options.filter.empty() || shard->has_value();
  for (const std::string& argument : options.suites) {
    SuiteRun suite(options, configs, *catalogue, stop, *shard);
    if (auto read = suite.read(argument, *files); !read) {
      return bad_input(read.error());
    }
    const auto ran = suite.run();
    if (isatty(STDERR_FILENO) != 0) {
      fmt::print(stderr, "\r\x1b[K");
    }
    if (!ran && stop.asked() && !ran.error().is_output) {
      const std::string& report = options.report.empty() ? options.resume : options.report;
      fmt::print(stderr, "tplora: {}: {} ({}){}\n", argument, ran.error().text(), stop.reason(),
                 report.empty() ? "" : fmt::format("; go on with --resume {}", report));
      return 5;
    }
    if (!ran) {
      return bad_input(ran.error());
    }
    fmt::print("{}", suite.text());
    if (auto written = suite.write(options.ci); !written) {
      return bad_input(written.error());
    }
    count += suite.count();
    const int code = suite.exit_code();
    // With a filter, or as a shard, a suite may well have nothing to show beside one that has.
    empty += code == 3 && partial ? 1U : 0U;
    worst = worst == 1 || code == 1 ? 1 : code == 3 && partial ? worst : std::max(worst, code);
  }
  stopwatch.print(count);
  return worst == 0 && empty == options.suites.size() ? 3 : worst;
}

int merge_command(const MergeOptions& options) {
  std::error_code unreadable;
  if (!options.out.empty() && std::filesystem::exists(options.out, unreadable)) {
    return bad_input({"the file exists already, expected a new one", options.out});
  }
  auto report = merge_reports({options.shards.begin(), options.shards.end()});
  if (!report) {
    return bad_input(report.error());
  }
  if (!options.out.empty()) {
    if (const auto written = write_text_file(options.out, report_text(*report)); !written) {
      return bad_input(written.error());
    }
  }
  std::sort(report->cases.begin(), report->cases.end(),
            [](const CaseRecord& a, const CaseRecord& b) { return a.number < b.number; });
  fmt::print("{}", run_text(report->header, report->cases, *report->blind_spots));
  if (auto written =
          write_ci_files(options.ci, report->header, report->cases, *report->blind_spots);
      !written) {
    return bad_input(written.error());
  }
  return run_exit_code(report->header, report->cases, *report->blind_spots, options.strict);
}

}  // namespace tplora::core
