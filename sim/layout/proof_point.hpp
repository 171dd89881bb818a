// One point of the small world in which contracts are proven.
#pragma once

#include <array>
#include <cstdint>

#include "sim/layout/proof_range.hpp"

namespace tplora::core {

/// Up to this tp_size every lora_rank is tried.
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

}  // namespace tplora::core
