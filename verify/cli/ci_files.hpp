// The forms of a result that CI systems read, as files and on stdout.
#pragma once

#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/report/report_lines.hpp"

namespace tplora::core {

/// Files to write; empty: not wanted.
struct CiFiles {
  std::string junit, sarif, markdown;
  bool github = false;  ///< annotations on stdout
};

/// Every Error is one of output.
[[nodiscard]] Result<void> write_ci_files(const CiFiles& files, const ReportHeader& header,
                                          const std::vector<CaseRecord>& cases,
                                          const std::vector<BugCatalogue::BlindSpot>& spots);

}  // namespace tplora::core
