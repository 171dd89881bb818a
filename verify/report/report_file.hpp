// A report on the disk: appended to while a run goes on, read again afterwards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "verify/report/report_lines.hpp"
#include "verify/run/runner.hpp"

namespace tplora::core {

/// What stands in a report that was written before.
struct StoredReport {
  ReportHeader header;
  std::vector<CaseRecord> cases;   ///< in the order of the file
  std::vector<std::string> lines;  ///< theirs, without their ends
  /// Nothing: the run did not come to its end.
  std::optional<std::vector<BugCatalogue::BlindSpot>> blind_spots;
  std::int64_t header_bytes = 0;  ///< of the first line, with its end
};

/// Reads a report; a last line without its end is what a killed run leaves, and not looked at.
/// Refused, with file and line: what is no report, a line that cannot be read or contradicts
/// itself, a footer that says something else than the lines before it, a line behind a footer.
[[nodiscard]] Result<StoredReport> read_report(const std::filesystem::path& file);

/// A report that is being written. Each pass is appended with one write; nothing but what is whole
/// lines of this run is ever before it. Nobody else can write it meanwhile.
class ReportFile {
 public:
  /// A new file with the header. Refused, before anything is run: one that is there already, or
  /// cannot be written.
  [[nodiscard]] static Result<ReportFile> create(const std::filesystem::path& file,
                                                 const ReportHeader& header);
  /// One that a run like this left behind, with the cases it has: of whole passes, in the order of
  /// the plan; what stands behind these is cut off. Refused: a report of another run, with what is
  /// different; a file that somebody else writes.
  [[nodiscard]] static Result<ReportFile> resume(const std::filesystem::path& file,
                                                 const ReportHeader& header,
                                                 const std::vector<Pass>& plan);
  ReportFile(ReportFile&& other) noexcept;
  ReportFile& operator=(ReportFile&&) = delete;
  ~ReportFile();

  /// That were there when it was resumed.
  [[nodiscard]] const std::vector<CaseRecord>& cases() const { return cases_; }
  /// Passes of the plan that these are.
  [[nodiscard]] const std::vector<std::size_t>& passes() const { return passes_; }
  /// Whether the footer is there too.
  [[nodiscard]] bool is_complete() const { return complete_; }
  /// That the footer names.
  [[nodiscard]] const std::vector<BugCatalogue::BlindSpot>& blind_spots() const {
    return blind_spots_;
  }

  /// Every Error is one of output.
  [[nodiscard]] Result<void> append(const std::vector<CaseRecord>& pass);
  /// The footer; brought to the disk.
  [[nodiscard]] Result<void> finish(const ReportFooter& footer);

 private:
  ReportFile(std::filesystem::path file, int descriptor)
      : file_(std::move(file)), descriptor_(descriptor) {}
  [[nodiscard]] Result<void> write(const std::string& text);

  std::filesystem::path file_;
  int descriptor_ = -1;
  std::vector<CaseRecord> cases_;
  std::vector<std::size_t> passes_;
  std::vector<BugCatalogue::BlindSpot> blind_spots_;
  bool complete_ = false;
};

/// How two runs differ that should be parts of one: a sentence; empty: not at all, but for the
/// shard.
[[nodiscard]] std::string difference_of(const ReportHeader& found, const ReportHeader& expected);

/// Puts the shards of one run together: the report that the run would have written in one piece,
/// byte for byte. Refused: shards of other runs, one that is missing, twice there or incomplete, by
/// file.
[[nodiscard]] Result<StoredReport> merge_reports(const std::vector<std::filesystem::path>& files);

/// The whole text of a complete report.
[[nodiscard]] std::string report_text(const StoredReport& report);

}  // namespace tplora::core
