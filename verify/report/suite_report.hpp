// A suite's outcomes at a glance.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/bugs/bug_catalogue.hpp"
#include "verify/case/suite.hpp"
#include "verify/run/runner.hpp"

namespace tplora::core {

/// What the suite's digest must be, and whether that is so; empty where none is pinned.
[[nodiscard]] std::string digest_mismatch(const Suite& suite,
                                          const std::vector<CaseOutcome>& outcomes);

/// The model x tp table, counts by verdict, and each unexpected outcome once with its findings and
/// the line that replays it.
[[nodiscard]] std::string suite_text(const std::string& name,
                                     const std::vector<PreparedCase>& cases,
                                     const std::vector<CaseOutcome>& outcomes);

/// For a suite with bugs: one row for each (bug, engine, whether a shape check is blind to it, the
/// verdict, what was found); else empty.
[[nodiscard]] std::string bugs_text(const std::vector<PreparedCase>& cases,
                                    const std::vector<CaseOutcome>& outcomes);

/// What the suite could not have seen; empty where it could see everything.
[[nodiscard]] std::string blind_spots_text(const std::vector<BugCatalogue::BlindSpot>& spots);

/// A hash of every verdict and every output bit: the same on any compiler, instruction set and
/// thread count.
[[nodiscard]] std::uint64_t suite_digest(const std::vector<CaseOutcome>& outcomes);

/// One case in full, for `replay`.
[[nodiscard]] std::string replay_text(const PreparedCase& item, const CaseOutcome& outcome);

/// 0 all as expected, 1 a mismatch, 3 nothing was run or all of it vacuous.
[[nodiscard]] int suite_exit_code(const std::vector<PreparedCase>& cases,
                                  const std::vector<CaseOutcome>& outcomes);

}  // namespace tplora::core
