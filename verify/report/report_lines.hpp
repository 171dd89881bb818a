// The lines of a report (docs/formats/report.md): each a JSON object, without the time or the
// machine.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/result.hpp"
#include "sim/base/word.hpp"
#include "verify/bugs/bug_catalogue.hpp"
#include "verify/report/case_record.hpp"

namespace tplora::core {

inline constexpr const char* kReportFormat = "tplora-report/1";
inline constexpr std::array<Word<NumericOutcome::State>, 4> kNumericStates = {
    {{"not_run", NumericOutcome::State::not_run},
     {"equal", NumericOutcome::State::equal},
     {"different", NumericOutcome::State::different},
     {"vacuous", NumericOutcome::State::vacuous}}};

/// Part `number` of `count`, from 1.
struct Shard {
  std::int64_t number = 1, count = 1;
  /// Whether a pass of the plan is this part's.
  [[nodiscard]] bool has(std::int64_t pass) const { return pass % count == number - 1; }
  friend bool operator==(const Shard&, const Shard&) = default;
};

/// What was run, and with what.
struct ReportHeader {
  std::string version;         ///< of the program
  std::string commit;          ///< of its sources; empty: not known
  std::string suite;           ///< its name
  bool expects = true;         ///< of its cases something; else it is a table (mode report)
  std::string pinned;          ///< the digest that the suite pins; empty: none
  std::string filter;          ///< of the cases; empty: all
  std::int64_t cases = 0;      ///< of the whole run, of all shards
  std::int64_t passes = 0;     ///< likewise
  std::optional<Shard> shard;  ///< nothing: all of it
  /// Every file that the run depends on: SHA-256 by path, those of the configs from there.
  std::map<std::string, std::string> files;
  friend bool operator==(const ReportHeader&, const ReportHeader&) = default;
};

/// What came of all of it.
struct ReportFooter {
  std::int64_t cases = 0;
  std::map<Verdict, std::int64_t> verdicts;
  std::int64_t unexpected = 0;
  std::int64_t errors = 0;   ///< cases that could not be judged
  std::uint64_t digest = 0;  ///< of all verdicts and output bits, in the order of the cases
  std::vector<BugCatalogue::BlindSpot> blind_spots;  ///< of the whole suite, whatever the shard
};

/// Of cases in the order of the suite.
[[nodiscard]] ReportFooter footer_of(const std::vector<CaseRecord>& cases,
                                     std::vector<BugCatalogue::BlindSpot> blind_spots);

/// SHA-256 of all files' digests and paths.
[[nodiscard]] std::string files_digest(const ReportHeader& header);

/// Each without the line's end.
[[nodiscard]] std::string line_of(const ReportHeader& header);
[[nodiscard]] std::string line_of(const CaseRecord& one);
[[nodiscard]] std::string line_of(const ReportFooter& footer);

/// `place`: of the line, for what is refused: another object than line_of gives.
[[nodiscard]] Result<ReportHeader> read_header(std::string_view line, const std::string& place);
[[nodiscard]] Result<CaseRecord> read_case_record(std::string_view line, const std::string& place);
/// The blind spots of a footer; all else of it follows from the cases.
[[nodiscard]] Result<std::vector<BugCatalogue::BlindSpot>> read_footer(std::string_view line,
                                                                       const std::string& place);
/// "header", "case" or "footer".
[[nodiscard]] Result<std::string> type_of_line(std::string_view line, const std::string& place);

}  // namespace tplora::core
