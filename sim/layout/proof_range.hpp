// The small world in which contracts are proven, and one point of it.
#pragma once

#include <array>
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
/// too: every lora_rank from 1 on at tp_size up to kMaxTpOfEveryRank, lora_rank tp_size at any, and
/// every other set of parts with lora_rank R-1. And, with an adapter of q, k and v and lora_rank
/// R-1, other numbers: where the contract looks at the config's numbers, configs that say others
/// than the layer's (kConfigNumbers), and where it looks at dp_size, twice the dp_size wherever it
/// divides tp_size. What a contract does not look at changes nothing.
struct ProofRange {
  std::int64_t max_heads = 64;
  std::int64_t max_tp_size = 64;
  std::vector<std::int64_t> head_dims = {1, 3, 128};
  std::int64_t dp_size = 1;
};

/// See ProofRange.
inline constexpr std::int64_t kMaxTpOfEveryRank = 4;

/// What a config says beside the layer: of the layer itself, or a way to differ from it.
enum class ConfigNumbers {
  of_layer,
  no_kv_heads,      ///< the key num_key_value_heads is absent
  one_kv_head,      ///< it says 1
  twice_kv_heads,   ///< it says twice as many as the layer has
  no_head_dim,      ///< the key head_dim is absent
  twice_all_heads,  ///< both counts are twice the layer's
  other_head_dim,   ///< head_dim is one more than the layer's
};
inline constexpr std::array<ConfigNumbers, 6> kConfigNumbers = {
    ConfigNumbers::no_kv_heads, ConfigNumbers::one_kv_head,     ConfigNumbers::twice_kv_heads,
    ConfigNumbers::no_head_dim, ConfigNumbers::twice_all_heads, ConfigNumbers::other_head_dim};

/// A range beyond this would not be finished by any machine.
inline constexpr std::int64_t kMaxProofSize = 256;

/// Refused, by name: max_heads and max_tp_size outside 1 to kMaxProofSize, dp_size outside 1 to
/// max_tp_size, no head_dims, more than 16 of them, or one outside 1 to 4096.
[[nodiscard]] Result<void> validate(const ProofRange& range);

/// The head_dim at which adapters of other shapes are tried. Precondition: the range is valid.
[[nodiscard]] std::int64_t head_dim_of_other_adapters(const ProofRange& range);

/// One point of the range.
struct ProofPoint {
  std::int64_t H = 1, KV = 1, D = 1, Dv = 1, gate = 1;
  std::int64_t tp_size = 1, dp_size = 1;
  std::int64_t lora_rank = 1, max_lora_rank = 2;
  std::array<bool, 3> targets = {true, true, true};  ///< of that adapter, by Part
  ConfigNumbers config = ConfigNumbers::of_layer;

  /// Rows of q, k and v together plus tp_size: what "smallest" goes by. Ties go to the smaller
  /// tp_size, then H, KV, D, Dv, gate, more targets, lora_rank, config numbers, dp_size.
  [[nodiscard]] std::int64_t size() const { return (H * gate + KV) * D + KV * Dv + tp_size; }
  friend bool operator==(const ProofPoint&, const ProofPoint&) = default;
};
[[nodiscard]] bool smaller(const ProofPoint& a, const ProofPoint& b);

}  // namespace tplora
