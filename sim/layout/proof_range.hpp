// The small world in which contracts are proven.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/result.hpp"

namespace tplora {

/// What is enumerated: H from 1 to max_heads, KV every divisor of H, D of head_dims, Dv of
/// {D, D+1}, q_multiplier 1 and 2, tp_size from dp_size to max_tp_size in steps of dp_size, and
/// lora_rank R-1 and R with R = 2 * tp_size (so that ranks cut along lora_rank own two rows each
/// and the last of them lies in padding), of an adapter of q, k and v.
///
/// Inside a contract's claims, with D the one in the middle of head_dims, adapters of other shapes
/// too: every lora_rank from 1 on at tp_size up to 4, lora_rank tp_size at any, and every other set
/// of parts with lora_rank R-1. And, with an adapter of q, k and v and lora_rank R-1, other
/// numbers: where the contract looks at the config's numbers, configs that say others than the
/// layer's, and where it looks at dp_size, twice the dp_size wherever it divides tp_size. What a
/// contract does not look at changes nothing.
struct ProofRange {
  std::int64_t max_heads = 64;
  std::int64_t max_tp_size = 64;
  std::vector<std::int64_t> head_dims = {1, 3, 128};
  std::int64_t dp_size = 1;
};

/// A range beyond this would not be finished by any machine.
inline constexpr std::int64_t kMaxProofSize = 256;

/// Refused, by name: max_heads and max_tp_size outside 1 to kMaxProofSize, dp_size outside 1 to
/// max_tp_size, no head_dims, more than 16 of them, or one outside 1 to 4096.
[[nodiscard]] Result<void> validate(const ProofRange& range);

}  // namespace tplora
