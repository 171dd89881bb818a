#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/report/report_file.hpp"
#include "verify/report/suite_report.hpp"
#include "verify/safetensors/output_file.hpp"

namespace tplora::core {

int merge_command(const MergeOptions& options, const ConfigFolders& configs) {
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
  if (auto written = write_ci_files(options.ci, report->header, report->cases, *report->blind_spots,
                                    laws_again(configs));
      !written) {
    return bad_input(written.error());
  }
  return run_exit_code(report->header, report->cases, *report->blind_spots, options.strict);
}

}  // namespace tplora::core
