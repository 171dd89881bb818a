// Suites: lists of cases as data, with the verdict each must reach.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "verify/case/prepared_case.hpp"

namespace tplora::core {

struct Suite {
  std::string name;
  /// The digest that all verdicts and output bits must have, as 16 hex digits; empty: not pinned.
  std::string digest;
  std::vector<PreparedCase> cases;
};

/// Reads a suite file (docs/formats/suite.md) and resolves every case in it. Refused, with file
/// and pointer: anything unknown, a model, engine or case that does not resolve, a pin that matches
/// no case, more than 100,000 cases or 64 MiB of case lines.
[[nodiscard]] Result<Suite> read_suite(const std::filesystem::path& file,
                                       const ConfigFolders& configs);

/// As read_suite, for a `file` that holds `text`; the file itself need not exist.
[[nodiscard]] Result<Suite> parse_suite(std::string_view text, const std::filesystem::path& file,
                                        const ConfigFolders& configs);

}  // namespace tplora::core
