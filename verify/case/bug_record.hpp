// What a file of configs/bugs says beside its contract.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/result.hpp"
#include "sim/layout/verdict.hpp"

namespace tplora::core {

/// A published bug: where it was published, and cases with what must be found in each.
struct BugRecord {
  /// One case under the bug's contract, and what it must come out as.
  struct BugCase {
    std::string role;   ///< "published", "smallest" (shows the fault) or "invisible" (hides it)
    std::string model;  ///< a name from configs/models, or an inline geometry
    std::string layer;  ///< layer kind, or empty for every kind
    std::int64_t tp_size = 1;
    std::string case_line;  ///< the rest of the case line; empty: what the suite says
    Verdict verdict = Verdict::consistent;
    std::string shape_check;           ///< "pass" or "fail": what a shape assertion alone would say
    std::vector<std::string> finding;  ///< what findings must say; each in one of their messages
  };
  std::string title;
  std::vector<std::string> links;
  std::string published;  ///< configuration and shapes as published
  std::string symptom;
  std::string inferred;  ///< what of this was deduced and not reported; may be empty
  std::string lesson;
  std::vector<BugCase> cases;
};

/// The record in a contract file that holds `text`; nothing where it has none. A record is of its
/// file alone: what extends a published bug is not that bug. Refused, with file and JSON pointer:
/// anything docs/formats/contract.md does not know of a record.
[[nodiscard]] Result<std::optional<BugRecord>> parse_bug_record(std::string_view text,
                                                                const std::filesystem::path& file);

/// As parse_bug_record, for what `file` holds.
[[nodiscard]] Result<std::optional<BugRecord>> read_bug_record(const std::filesystem::path& file);

}  // namespace tplora::core
