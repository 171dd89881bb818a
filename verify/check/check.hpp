// A foreign result held against a golden folder: whether it is right, and what it is instead.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/case/prepared_case.hpp"
#include "verify/check/findings.hpp"

namespace tplora::core {

/// What counts as right.
enum class Judge {
  bits,   ///< every bit of the golden; one NaN equals another
  bound,  ///< no farther from the exact result than any order of summation can be
  exact,  ///< no farther than so many units in the last place from the correctly rounded result
};

struct CheckOptions {
  std::filesystem::path golden;
  std::filesystem::path candidate;
  Judge judge = Judge::bits;
  /// Of Judge::exact; nothing: as far as the golden itself is, and at least 1.
  std::optional<double> most_ulps;
  bool partial = false;  ///< tensors may be missing of some ranks
  int threads = 0;
};

struct CheckReport {
  Judge judge = Judge::bits;
  PreparedCase item;
  std::vector<TensorComparison> tensors;  ///< by tp_rank, then name
  std::vector<PlaceFinding> places;
  std::vector<FitFinding> fits;
  std::vector<MissingRanks> missing;
  std::vector<SameBits> same;
  std::vector<std::string> resemblance;  ///< what the wrong values look like, a sentence each
  std::vector<std::string> notes;        ///< what was not looked for, and why
  std::vector<std::string> vacuous;      ///< of the golden: what it could not have shown
  std::vector<std::string> not_given;  ///< tensors of the golden that no rank of the candidate has
  std::vector<std::string> names;      ///< of the adapters, by number

  /// Everything that was given is as it must be.
  [[nodiscard]] bool right() const;
};

/// Refused: a golden that is torn (SHA-256) or of another version, a case that no longer resolves,
/// a candidate that read_candidate refuses, tensors that the golden does not know, another dtype or
/// shape where the golden's is the only one.
[[nodiscard]] Result<CheckReport> check_candidate(const CheckOptions& options,
                                                  const ConfigFolders& configs);

}  // namespace tplora::core
