// One suite, from its text to what the run says of it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "verify/bugs/bug_catalogue.hpp"
#include "verify/case/suite.hpp"
#include "verify/cli/commands.hpp"
#include "verify/cli/stop.hpp"
#include "verify/report/report_file.hpp"

namespace tplora::core {

/// SHA-256 by path.
using Files = std::map<std::string, std::string>;

/// Settings as the run takes them.
struct ReadSettings {
  std::optional<Shard> shard;  ///< nothing: all of it
  std::int64_t memory = 0;     ///< bytes; 0: no limit of the user's
};
/// Refused, with the option: what cannot be meant; a report of `suites` suites but one; an
/// instruction set that the machine has not, which else is the only one from now on.
[[nodiscard]] Result<ReadSettings> read_settings(const RunSettings& settings, std::size_t suites);

/// Use: read, then run, then ask.
class SuiteRun {
 public:
  /// What is handed over must outlive it.
  SuiteRun(const RunSettings& settings, const ReadSettings& read, const ConfigFolders& configs,
           const BugCatalogue& catalogue, const StopRequest& stop)
      : settings_(settings), read_(read), configs_(configs), catalogue_(catalogue), stop_(stop) {}

  /// `suite` reads it; `before`: what was read already and matters too. Opens the report, where one
  /// is asked for.
  [[nodiscard]] Result<void> read(const std::function<Result<Suite>()>& suite, const Files& before);
  /// What would be run, a line each, and how many; exit code 0, or 2 where something cannot be
  /// judged.
  [[nodiscard]] std::string plan_text() const;
  [[nodiscard]] int plan_exit_code() const;

  [[nodiscard]] Result<void> run();

  // After `run`.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] int exit_code() const;
  [[nodiscard]] Result<void> write(const CiFiles& files) const;
  [[nodiscard]] std::size_t count() const { return cases_.size(); }

 private:
  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<void> run_passes();
  [[nodiscard]] Result<Next> keep(std::size_t pass, const std::vector<CaseOutcome>& outcomes);
  [[nodiscard]] bool wanted(std::size_t pass) const;
  [[nodiscard]] bool ends_it(const CaseRecord& one) const;

  const RunSettings& settings_;
  const ReadSettings& read_;
  const ConfigFolders& configs_;
  const BugCatalogue& catalogue_;
  const StopRequest& stop_;
  Suite suite_;
  std::vector<Pass> plan_;
  ReportHeader header_;
  std::optional<ReportFile> file_;
  std::vector<std::optional<CaseRecord>> records_;  ///< by number
  std::vector<bool> done_;                          ///< by pass: in an earlier run
  bool enough_ = false;                             ///< --fail-fast, and a case failed
  std::size_t not_run_ = 0;                         ///< cases, for that
  std::vector<CaseRecord> cases_;                   ///< that were run, in order
  std::vector<BugCatalogue::BlindSpot> spots_;
};

}  // namespace tplora::core
