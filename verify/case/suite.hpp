// Suites: lists of cases as data, with the verdict each must reach.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// What a suite is for.
enum class SuiteMode {
  check,   ///< its cases must come out as expected
  report,  ///< nothing is expected of them: what comes out is told
};

struct Suite {
  std::string name;
  SuiteMode mode = SuiteMode::check;
  /// The digest that all verdicts and output bits must have, as 16 hex digits; empty: not pinned.
  std::string digest;
  std::vector<PreparedCase> cases;
};

/// Reads a suite file (docs/formats/suite.md) and resolves every case in it. A model that cannot be
/// read, and a case that its engine cannot be asked, are cases with PreparedCase::unreadable.
/// Refused, with file and pointer: anything unknown, an engine or case line that does not resolve,
/// a pattern that nothing fits, a pin or exclusion that matches no case, more than 100,000 cases or
/// 64 MiB of case lines.
[[nodiscard]] Result<Suite> read_suite(const std::filesystem::path& file,
                                       const ConfigFolders& configs);

/// As read_suite, for a `file` that holds `text`; the file itself need not exist. Paths in it are
/// from its folder.
[[nodiscard]] Result<Suite> parse_suite(std::string_view text, const std::filesystem::path& file,
                                        const ConfigFolders& configs);

}  // namespace tplora::core
