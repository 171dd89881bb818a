// What became of one case, as a report keeps it: all that any form of output needs, without the
// program's own values, so that a run can be read again, resumed and put together from its parts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/report/finding_record.hpp"
#include "verify/report/numbers_text.hpp"
#include "verify/run/runner.hpp"

namespace tplora::core {

struct CaseRecord {
  std::int64_t number = 0;  ///< in the suite, from 0
  std::int64_t pass = 0;    ///< cases of one pass share the weights, and are run together
  std::string case_line;
  std::string model, layer, engine;  ///< as the case line has them
  std::int64_t tp_size = 1;
  /// Of a layer with a qkv projection.
  struct Heads {
    std::int64_t q = 0, kv = 0, head_dim = 0;
    friend bool operator==(const Heads&, const Heads&) = default;
  };
  std::optional<Heads> heads;
  std::string why_no_qkv;  ///< of one without
  std::string unclaimed;   ///< the claim of the contract that does not hold here; empty: all do
  /// Of a published bug's own case.
  struct Bug {
    std::string name, engine;
    std::string role;  ///< published, smallest or invisible
    friend bool operator==(const Bug&, const Bug&) = default;
  };
  std::optional<Bug> bug;
  std::optional<Verdict> expected;   ///< nothing: the suite expects nothing
  std::string expected_shape_check;  ///< "pass", "fail", or empty: not looked at
  bool pinned = false;               ///< somebody says with a link why it is expected
  std::string error;                 ///< why it could not be judged; empty: it was
  std::optional<Verdict> verdict;    ///< nothing: with an error
  bool shape_check = true;
  bool unexpected = false;
  std::string missing_finding;  ///< the text that no finding has though it is expected
  std::vector<FindingRecord> findings;
  std::vector<std::string> same_as;  ///< published bugs that do the same
  NumbersRecord numbers;
  friend bool operator==(const CaseRecord&, const CaseRecord&) = default;
};

/// `outcome`: with the names of published bugs where it is not as expected.
[[nodiscard]] CaseRecord record_case(const PreparedCase& item, const CaseOutcome& outcome);

/// Whether two records are of one case, whatever came of it.
[[nodiscard]] bool same_case(const CaseRecord& a, const CaseRecord& b);

/// What came out in a word: the verdict, or "error".
[[nodiscard]] std::string_view outcome_word(const CaseRecord& one);

/// Verdict, numbers and findings of a case in full, indented.
[[nodiscard]] std::string case_text(const CaseRecord& one);

}  // namespace tplora::core
