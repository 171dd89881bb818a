// Which other computation gives just the bits of a candidate.
#pragma once

#include <string>
#include <vector>

#include "verify/bugs/bug_catalogue.hpp"
#include "verify/case/prepared_case.hpp"
#include "verify/check/findings.hpp"
#include "verify/golden/owned_heads.hpp"

namespace tplora::core {

/// An output of one rank, right or wrong, and the golden's.
struct GivenOutput {
  OwnedHeads own;
  std::string tensor;        ///< y, y_base or delta
  std::vector<float> found;  ///< [tokens, width]
  std::vector<float> expected;
};

/// A slot buffer of B of one rank: [slots, rows, cols].
struct GivenBuffer {
  std::int64_t tp_rank = 0;
  std::int64_t rows = 0, cols = 0;
  std::vector<float> found;
  bool wrong = false;
};

/// What is tried: other rounding programs; other accumulators of the base product, of the LoRA
/// products, of both, with K split; the factor applied twice or not at all; another adapter's
/// tensors; no bias. First on a few rows, and what agrees there on all.
[[nodiscard]] std::vector<SameBits> find_computation(const PreparedCase& item,
                                                     const std::vector<GivenOutput>& outputs,
                                                     int threads);

/// Published bugs whose layout, under the case's own rounding program, gives every output and every
/// buffer. Nothing where that is more work than `find_bug` is meant for: `too_much`.
[[nodiscard]] std::vector<SameBits> find_bug(const PreparedCase& item, const BugCatalogue& bugs,
                                             const std::vector<GivenOutput>& outputs,
                                             const std::vector<GivenBuffer>& buffers, int threads,
                                             bool& too_much);

/// What the outputs of single tokens and columns are instead, where the golden itself tells:
/// "tokens 3 and 5 are exchanged", "no delta was added", a sentence each.
[[nodiscard]] std::vector<std::string> look_alike(const PreparedCase& item,
                                                  const std::vector<GivenOutput>& outputs);

}  // namespace tplora::core
