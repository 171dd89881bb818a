#include "verify/cli/suite_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "sim/base/decimal.hpp"
#include "sim/base/printable.hpp"
#include "sim/base/read_log.hpp"
#include "sim/numerics/instruction_set.hpp"
#include "verify/cli/commit.hpp"
#include "verify/cli/progress_line.hpp"
#include "verify/report/expectation.hpp"
#include "verify/report/suite_report.hpp"
#include "verify/report/text.hpp"

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

/// "8G", "512M": bytes. 0 for an empty text.
Result<std::int64_t> parse_memory(const std::string& text) {
  if (text.empty()) {
    return 0;
  }
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t unit = kUnits.find(text.back());
  const auto number = parse_decimal<std::int64_t>(text.substr(0, text.size() - 1));
  if (unit == std::string_view::npos || !number || *number < 1 || *number > 100'000) {
    return fail(
        fmt::format("--memory {}: expected a number from 1 to 100000 and K, M, G or T, for "
                    "example 8G",
                    excerpt(text)));
  }
  return *number << (10 * (unit + 1));
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

}  // namespace

Result<ReadSettings> read_settings(const RunSettings& settings, std::size_t suites) {
  if (!settings.instruction_set.empty() && !use_instruction_set(settings.instruction_set)) {
    return fail(fmt::format("--instruction-set {}: expected one of: {}",
                            excerpt(settings.instruction_set),
                            fmt::join(instruction_sets(), ", ")));
  }
  if (!settings.report.empty() && !settings.resume.empty()) {
    return fail("--report and --resume: expected one of the two, --resume goes on with its report");
  }
  const bool written = !settings.report.empty() || !settings.resume.empty() ||
                       !settings.ci.junit.empty() || !settings.ci.sarif.empty() ||
                       !settings.ci.markdown.empty() || !settings.ci.html.empty();
  if (written && suites != 1) {
    return fail(fmt::format("a report is of one suite, found {}", suites));
  }
  if (written && settings.dry_run) {
    return fail("--dry-run and --print-suite write no files, expected them without");
  }
  const auto shard = parse_shard(settings.shard);
  const auto memory = parse_memory(settings.memory);
  if (const auto error = first_error(shard, memory)) {
    return fail(*error);
  }
  return ReadSettings{*shard, *memory};
}

Result<void> SuiteRun::read(const std::function<Result<Suite>()>& suite, const Files& before) {
  const ReadLog log;
  auto read = suite();
  const auto files = log.files();
  if (!read || !files) {
    return fail(!read ? read.error() : files.error());
  }
  suite_ = *std::move(read);
  if (!settings_.filter.empty()) {
    suite_.digest.clear();  // pinned for the whole suite
  }
  std::erase_if(suite_.cases,
                [&](const PreparedCase& item) { return !matches(item, settings_.filter); });
  plan_ = plan_passes(suite_.cases);
  Files all = before;
  all.insert(files->begin(), files->end());
  header_ = {.version = settings_.version,
             .commit = commit(),
             .suite = suite_.name,
             .expects = suite_.mode == SuiteMode::check,
             .pinned = suite_.digest,
             .filter = settings_.filter,
             .cases = static_cast<std::int64_t>(suite_.cases.size()),
             .passes = static_cast<std::int64_t>(plan_.size()),
             .shard = read_.shard,
             .files = from_configs(all, configs_)};
  return open();
}

bool SuiteRun::wanted(std::size_t pass) const {
  return !done_[pass] && (!read_.shard || read_.shard->has(static_cast<std::int64_t>(pass)));
}

std::string SuiteRun::plan_text() const {
  constexpr std::size_t kLongestLine = 1U << 18U;  // a case line has no more
  std::string text;
  std::set<std::string> models;
  std::set<std::string> engines;
  std::vector<CaseRecord> errors;
  std::size_t cases = 0;
  std::size_t passes = 0;
  std::size_t numbers = 0;
  for (std::size_t pass = 0; pass < plan_.size(); ++pass) {
    passes += wanted(pass) ? 1U : 0U;
  }
  std::vector<bool> own(suite_.cases.size(), false);
  for (std::size_t pass = 0; pass < plan_.size(); ++pass) {
    for (const std::size_t i : plan_[pass].cases) {
      own[i] = wanted(pass);
    }
  }
  for (std::size_t i = 0; i < suite_.cases.size(); ++i) {
    const PreparedCase& item = suite_.cases[i];
    if (!own[i]) {
      continue;
    }
    ++cases;
    models.insert(item.spec.model);
    engines.insert(item.spec.engine);
    numbers += item.numbers && item.geometry && !item.unreadable ? 1U : 0U;
    text += printable(print_case(item.spec), kLongestLine);
    text += item.unreadable ? "  (error)\n" : "\n";
    if (item.unreadable) {
      CaseOutcome outcome;
      outcome.error = item.unreadable;
      errors.push_back(record_case(item, outcome));
    }
  }
  text += fmt::format("{}{}: {} in {}: {}, {}; laws of all, numbers of {}, errors of {}\n",
                      text.empty() ? "" : "\n", suite_.name, counted(cases, "case"),
                      counted(passes, "pass", "passes"), counted(models.size(), "model"),
                      counted(engines.size(), "engine"), numbers, errors.size());
  return text + errors_text(errors);
}

int SuiteRun::plan_exit_code() const {
  const bool unreadable =
      std::any_of(suite_.cases.begin(), suite_.cases.end(),
                  [](const PreparedCase& item) { return item.unreadable.has_value(); });
  return unreadable ? 2 : suite_.cases.empty() ? 3 : 0;
}

Result<void> SuiteRun::run() {
  enough_ = std::any_of(records_.begin(), records_.end(),
                        [&](const auto& one) { return one && ends_it(*one); });
  if (!enough_ && (!file_ || !file_->is_complete())) {
    if (auto ran = run_passes(); !ran) {
      return ran;
    }
  }
  for (std::size_t pass = 0; pass < plan_.size(); ++pass) {
    not_run_ += wanted(pass) && !records_[plan_[pass].cases.front()] ? plan_[pass].cases.size() : 0;
  }
  for (std::optional<CaseRecord>& one : records_) {
    if (one) {
      cases_.push_back(*std::move(one));
    }
  }
  enough_ = enough_ && not_run_ > 0;
  if (enough_) {
    return {};  // of what was not run nothing is known: no blind spots, and a report has no footer
  }
  // A table of what comes out is no test that could have missed something.
  spots_ = suite_.mode == SuiteMode::check ? catalogue_.blind_spots(suite_.cases, settings_.jobs)
                                           : std::vector<BugCatalogue::BlindSpot>{};
  if (file_ && file_->is_complete() && file_->blind_spots() != spots_) {
    return fail("the footer names other blind spots than the suite has", settings_.resume);
  }
  return file_ && !file_->is_complete() ? file_->finish(footer_of(cases_, spots_)) : Result<void>();
}

std::string SuiteRun::text() const {
  ReportHeader header = header_;
  if (enough_) {
    header.pinned.clear();
    header.suite += fmt::format(" (--fail-fast: {} not run)", counted(not_run_, "case"));
  }
  return run_text(header, cases_, spots_);
}

int SuiteRun::exit_code() const {
  ReportHeader header = header_;
  if (enough_) {
    header.pinned.clear();
  }
  return run_exit_code(header, cases_, spots_, settings_.strict);
}

Result<void> SuiteRun::write(const CiFiles& files) const {
  return write_ci_files(files, header_, cases_, spots_, laws_again(configs_));
}

// The report, where one is asked for, with what it has of an earlier run.
Result<void> SuiteRun::open() {
  records_.resize(suite_.cases.size());
  done_.assign(plan_.size(), false);
  if (settings_.report.empty() && settings_.resume.empty()) {
    return {};
  }
  auto file = settings_.resume.empty() ? ReportFile::create(settings_.report, header_)
                                       : ReportFile::resume(settings_.resume, header_, plan_);
  if (!file) {
    return fail(file.error());
  }
  file_.emplace(*std::move(file));
  for (const CaseRecord& one : file_->cases()) {
    const auto number = static_cast<std::size_t>(one.number);
    if (!same_case(one, record_case(suite_.cases[number], {}))) {
      return fail(fmt::format("case {} is not the suite's: {}", one.number, one.case_line),
                  settings_.resume);
    }
    records_[number] = one;
  }
  for (const std::size_t pass : file_->passes()) {
    done_[pass] = true;
  }
  return {};
}

bool SuiteRun::ends_it(const CaseRecord& one) const {
  return settings_.fail_fast && (one.unexpected || !one.error.empty());
}

Result<void> SuiteRun::run_passes() {
  ProgressLine line(suite_.name);
  RunOptions run;
  run.jobs = settings_.jobs;
  run.keep = false;
  run.case_seconds = static_cast<double>(settings_.case_timeout);
  run.memory = read_.memory;
  run.stop = [this] { return stop_.asked(); };
  run.wanted = [this](std::size_t pass) { return wanted(pass); };
  run.complete = [this](const PreparedCase& item, CaseOutcome& outcome) {
    if (!as_expected(outcome, item.expect)) {
      outcome.same_as = catalogue_.same_faults(item);
    }
  };
  run.each = [this](std::size_t pass, const std::vector<CaseOutcome>& outcomes) {
    return keep(pass, outcomes);
  };
  run.progress = [&line](const Progress& at) {
    // What is left is told by what is furthest behind.
    const double laws = static_cast<double>(at.cases) / static_cast<double>(at.of_cases);
    line.set(at.of_numbers > 0 ? std::min(laws, at.numbers / at.of_numbers) : laws, at.cases,
             at.of_cases);
  };
  return run_cases(suite_.cases, run).map([](const auto&) {});
}

Result<Next> SuiteRun::keep(std::size_t pass, const std::vector<CaseOutcome>& outcomes) {
  std::vector<CaseRecord> records;
  for (const std::size_t i : plan_[pass].cases) {
    CaseRecord record = record_case(suite_.cases[i], outcomes[i]);
    record.number = static_cast<std::int64_t>(i);
    record.pass = static_cast<std::int64_t>(pass);
    enough_ = enough_ || ends_it(record);
    records_[i] = record;
    records.push_back(std::move(record));
  }
  if (file_) {
    if (auto written = file_->append(records); !written) {
      return fail(written.error());
    }
  }
  return enough_ ? Next::enough : Next::go_on;
}

}  // namespace tplora::core
