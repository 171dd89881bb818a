// The points of a range, one after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "sim/base/ensure.hpp"
#include "sim/layout/analysis.hpp"
#include "sim/layout/proof_point.hpp"

namespace tplora::core {

/// hidden_size of every proof geometry; the laws do not look at it.
inline constexpr std::int64_t kProofHidden = 16;
/// Tokens of a proof case: the first multiple of tp_size from four on.
[[nodiscard]] constexpr std::int64_t proof_tokens(std::int64_t tp_size) {
  ensure(tp_size > 0, "a deployment has ranks");
  return tp_size >= 4 ? tp_size : (4 + tp_size - 1) / tp_size * tp_size;
}

/// lora_alpha of the adapter with this number: another factor for each, and the first's no whole
/// number.
[[nodiscard]] constexpr std::int64_t proof_alpha(std::size_t adapter, std::int64_t lora_rank) {
  return adapter == 0 ? 2 * lora_rank + 1 : static_cast<std::int64_t>(adapter + 2) * lora_rank;
}

/// The standard scenario at a point: z of full rank was in slot 0 and has gone, a of lora_rank is
/// in slot 0, b of full rank in slot 1. Adapters by number: a, b, z.
[[nodiscard]] LayoutCase proof_case(const Contract& contract, const ProofPoint& point);

/// Makes `input`, which proof_case gave for another point of the same contract, that of `point`.
void place_point(const ProofPoint& point, LayoutCase& input);

/// Keeps the smaller of two points.
void keep_smaller(std::optional<ProofPoint>& kept, const ProofPoint& point);

/// Calls `body` for everything of the range with these heads, with max_lora_rank set and lora_rank
/// left to the body: from max_lora_rank - 1 on.
void for_each_deployment(const ProofRange& range, std::int64_t H, std::int64_t KV,
                         const std::function<void(ProofPoint&)>& body);

/// Calls `body` for the adapters of other shapes at a point's deployment, see ProofRange.
void for_each_other_adapter(const Contract& contract, ProofPoint point,
                            const std::function<void(const ProofPoint&)>& body);

/// Which numbers beside the layer's a contract looks at.
struct OtherNumbers {
  bool of_config = false, of_dp = false;
};
[[nodiscard]] OtherNumbers other_numbers(const Contract& contract);
/// Calls `body` for the other numbers at a point, see ProofRange.
void for_each_other_number(const OtherNumbers& numbers, ProofPoint point,
                           const std::function<void(const ProofPoint&)>& body);

/// Calls `body` for all heads of the range, several at once; it locks the mutex for what it shares.
/// `progress` is told the share done, from 0 to 1, from one thread at a time.
void for_each_heads(
    const ProofRange& range, int jobs, const std::function<void(double)>& progress,
    const std::function<void(std::int64_t H, std::int64_t KV, std::mutex& mutex)>& body);

}  // namespace tplora::core
