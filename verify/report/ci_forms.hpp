// What CI systems read, made from the records of a run (docs/ci.md).
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/json_position.hpp"
#include "verify/report/report_lines.hpp"

namespace tplora::core {

/// What one formula or word has done to a run: everything that is not as expected on its account.
struct RootCause {
  std::optional<Place> place;            ///< nothing: outcomes that no finding explains
  std::string sentence;                  ///< of its first case
  std::vector<const CaseRecord*> cases;  ///< at least one, in order of the suite
};

/// Of the cases that are not as expected, in order of their first. What is given must outlive them.
[[nodiscard]] std::vector<RootCause> root_causes(const std::vector<CaseRecord>& cases);

/// Line and column of a place; nothing where the file cannot be read any more.
using Locate = std::function<std::optional<TextPosition>(const Place&)>;
[[nodiscard]] std::optional<TextPosition> locate(const Place& place);

/// JUnit XML as both common schemas accept it: a testcase for each case. `timestamp`: of the run,
/// "2026-01-31T23:59:59", which the schemas ask for.
[[nodiscard]] std::string junit_xml(const ReportHeader& header,
                                    const std::vector<CaseRecord>& cases,
                                    const std::string& timestamp);

/// SARIF 2.1.0: a result for each root cause.
[[nodiscard]] std::string sarif_json(const ReportHeader& header,
                                     const std::vector<CaseRecord>& cases,
                                     const Locate& where = locate);

/// A line for each root cause as GitHub's runners read it from stdout; at most `most`, the last of
/// which says how many more there are.
[[nodiscard]] std::string github_annotations(const std::vector<CaseRecord>& cases,
                                             std::size_t most = 10, const Locate& where = locate);

/// A summary for a job's page.
[[nodiscard]] std::string markdown_text(const ReportHeader& header,
                                        const std::vector<CaseRecord>& cases,
                                        const std::vector<BugCatalogue::BlindSpot>& spots);

}  // namespace tplora::core
