// A suite's outcomes at a glance.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/bugs/bug_catalogue.hpp"
#include "verify/report/report_lines.hpp"

namespace tplora::core {

// All of `cases` in the order of the suite.

/// The model x tp table, counts by verdict, and each unexpected outcome (where nothing is expected:
/// each that is wrong) once, with its findings and the line that replays it, and each error.
[[nodiscard]] std::string suite_text(const ReportHeader& header,
                                     const std::vector<CaseRecord>& cases);

/// Each error once, with the first case that has it; empty where there is none.
[[nodiscard]] std::string errors_text(const std::vector<CaseRecord>& cases);

/// For a suite with bugs: one row for each (bug, engine, whether a shape check is blind to it, the
/// verdict, what was found); else empty.
[[nodiscard]] std::string bugs_text(const std::vector<CaseRecord>& cases);

/// What the suite could not have seen; empty where it could see everything.
[[nodiscard]] std::string blind_spots_text(const std::vector<BugCatalogue::BlindSpot>& spots);

/// A hash of every verdict and every output bit: the same on any compiler, instruction set and
/// thread count.
[[nodiscard]] std::uint64_t suite_digest(const std::vector<CaseRecord>& cases);

/// All that a run has to say: table, counts, what was read, bugs, blind spots, and whether the
/// digest is the one that the suite pins (of a shard nobody pins one).
[[nodiscard]] std::string run_text(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                                   const std::vector<BugCatalogue::BlindSpot>& spots);
/// 0 all as expected, 1 a mismatch, else 2 where a case could not be judged, 3 nothing was run or
/// all of it vacuous. `strict`: a blind spot is a mismatch.
[[nodiscard]] int run_exit_code(const ReportHeader& header, const std::vector<CaseRecord>& cases,
                                const std::vector<BugCatalogue::BlindSpot>& spots, bool strict);

/// One case in full, for `replay`.
[[nodiscard]] std::string replay_text(const PreparedCase& item, const CaseOutcome& outcome);

}  // namespace tplora::core
