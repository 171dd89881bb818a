// Numbers in words, and as a report keeps them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/range.hpp"
#include "verify/run/numbers.hpp"

namespace tplora::core {

/// Outputs of one part that differ in the same tokens, on all tp_ranks on which they do.
struct DifferenceRecord {
  std::string part;
  std::vector<Range> tp_ranks;
  std::int64_t wrong = 0;           ///< outputs, on all of them
  std::vector<Range> tokens;        ///< ascending
  std::int64_t tp_rank = 0;         ///< the first; what follows is on that one
  Range rows;                       ///< logical rows of the part
  std::int64_t token = 0, row = 0;  ///< an example
  std::uint32_t got = 0,
                expected = 0;        ///< its bits, in the case's dtype, or fp32 where they need it
  std::vector<std::string> sources;  ///< where the wrong values came from
  friend bool operator==(const DifferenceRecord&, const DifferenceRecord&) = default;
};

struct NumbersRecord {
  NumericOutcome::State state = NumericOutcome::State::not_run;
  std::int64_t compared = 0, wrong = 0;
  std::string why_vacuous;
  std::uint64_t digest = 0;  ///< of all output bits, ranks in order
  bool shared = false;       ///< the same numbers ran for an earlier case of the run
  std::vector<DifferenceRecord> differences;
  friend bool operator==(const NumbersRecord&, const NumbersRecord&) = default;
};

[[nodiscard]] NumbersRecord record_numbers(const PreparedCase& item, const NumericOutcome& numbers,
                                           bool shared);

/// Whether the outputs are the reference's, where they are not, and where the wrong values came
/// from; indented lines. Empty where no numbers were run.
[[nodiscard]] std::string numbers_text(const NumbersRecord& numbers);
[[nodiscard]] std::string numbers_text(const PreparedCase& item, const NumericOutcome& numbers);

}  // namespace tplora::core
