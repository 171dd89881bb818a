// What the config of a LoRA adapter says: all that a layout may depend on.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "sim/base/ensure.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// The factor of a part's delta is lora_alpha / lora_rank of the part, with `rslora`
/// lora_alpha / sqrt(lora_rank) (peft.tuners.lora.LoraLayer.update_layer).
struct AdapterShape {
  std::int64_t lora_rank = 16;                       ///< `r`
  std::int64_t lora_alpha = 16;                      ///< in units of 1/alpha_unit
  std::int64_t alpha_unit = 1;                       ///< a power of ten: alpha may have decimals
  bool rslora = false;                               ///< `use_rslora`
  std::array<bool, 3> targets = {true, true, true};  ///< by Part
  bool shared_a = false;                             ///< a fused adapter: one A for q, k and v
  /// By Part, 0 where nothing is said: `rank_pattern`; `alpha_pattern`, in units of 1/alpha_unit;
  /// rows of the tensor of B, where they are other than the layer's.
  std::array<std::int64_t, 3> part_ranks = {}, part_alphas = {}, part_rows = {};

  [[nodiscard]] bool has(Part part) const { return targets[place_of(part)]; }
  /// Rows of A and columns of B.
  [[nodiscard]] std::int64_t rank_of(Part part) const {
    const std::int64_t own = part_ranks[place_of(part)];
    return own == 0 ? lora_rank : own;
  }
  /// In units of 1/alpha_unit.
  [[nodiscard]] std::int64_t alpha_of(Part part) const {
    const std::int64_t own = part_alphas[place_of(part)];
    return own == 0 ? lora_alpha : own;
  }
  /// The largest lora_rank of a part that is targeted; lora_rank where none is.
  [[nodiscard]] std::int64_t largest_rank() const {
    std::int64_t largest = 0;
    for (const Part part : kParts) {
      largest = has(part) ? std::max(largest, rank_of(part)) : largest;
    }
    return largest == 0 ? lora_rank : largest;
  }
  friend bool operator==(const AdapterShape&, const AdapterShape&) = default;

 private:
  static std::size_t place_of(Part part) {
    const auto number = static_cast<std::size_t>(part);
    ensure_checked([&] { return number < 3; }, "an adapter is asked for q, k or v");
    return number;
  }
};

/// A lora_alpha of so many units of 1/unit, as a decimal: "22.5", "16".
[[nodiscard]] std::string alpha_text(std::int64_t alpha, std::int64_t unit);

/// Gives the adapter another lora_alpha, which has no decimals; those of alpha_pattern stay.
inline void rescale(AdapterShape& adapter, std::int64_t lora_alpha) {
  adapter.lora_alpha = lora_alpha * adapter.alpha_unit;
}

}  // namespace tplora::core
