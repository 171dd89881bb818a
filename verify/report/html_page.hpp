// A run, or one case, as a page to look at: one file, with nothing from elsewhere.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "verify/report/report_lines.hpp"
#include "verify/run/laws.hpp"

namespace tplora::core {

/// The laws of a case once more, from its line, with or without causes; nothing where it cannot be
/// made again. Where it comes out otherwise than in the run (files have changed since), the page
/// has no row maps for it, and says so.
using LawsAgain =
    std::function<std::optional<LayerReport>(const std::string& case_line, bool causes)>;

/// Summary, a model x tp grid for each engine that can be filtered, each story once with the row
/// maps of its first case, errors and blind spots. `cases` in the order of the suite.
[[nodiscard]] std::string html_page(const ReportHeader& header,
                                    const std::vector<CaseRecord>& cases,
                                    const std::vector<BugCatalogue::BlindSpot>& spots,
                                    const LawsAgain& again);

/// One case with the maps of its ranks.
[[nodiscard]] std::string html_page(const LayerReport& report, const std::string& version);

}  // namespace tplora::core
