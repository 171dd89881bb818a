// One rank's tensors of a candidate against the golden's file of that rank.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/check/candidate.hpp"
#include "verify/check/check.hpp"
#include "verify/check/findings.hpp"
#include "verify/check/search.hpp"
#include "verify/golden/manifest.hpp"

namespace tplora::core {

struct RankResult {
  std::vector<TensorComparison> tensors;
  std::vector<PlaceFinding> places;
  std::vector<FitFinding> fits;
  /// Outputs and B that were given, right ones too, for who searches what gives them all.
  std::vector<GivenOutput> outputs;
  std::vector<GivenBuffer> buffers;
  std::vector<std::string> notes;
};

/// Refused: a golden file that is torn, tensors that the golden does not know, another dtype or
/// shape where the golden's is the only one, files that cannot be read.
[[nodiscard]] Result<RankResult> check_rank(const CheckOptions& options,
                                            const ReadManifest& manifest, const PreparedCase& item,
                                            std::int64_t tp_rank,
                                            const std::vector<const CandidateTensor*>& tensors);

}  // namespace tplora::core
