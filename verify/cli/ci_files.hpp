// The forms of a result that CI systems read, as files and on stdout.
#pragma once

#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/report/html_page.hpp"
#include "verify/report/report_lines.hpp"

namespace tplora::core {

/// Files to write; empty: not wanted.
struct CiFiles {
  std::string junit, sarif, markdown, html;
  bool github = false;  ///< annotations on stdout
};

/// `again`: for the row maps of the page. Every Error is one of output.
[[nodiscard]] Result<void> write_ci_files(const CiFiles& files, const ReportHeader& header,
                                          const std::vector<CaseRecord>& cases,
                                          const std::vector<BugCatalogue::BlindSpot>& spots,
                                          const LawsAgain& again);

/// The laws of a case from its line, by the models and engines of `configs`.
[[nodiscard]] LawsAgain laws_again(const ConfigFolders& configs);

}  // namespace tplora::core
