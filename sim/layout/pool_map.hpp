// One rank's adapter slots as interval maps: which adapter row every pool cell holds.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/base/ensure.hpp"
#include "sim/contract/contract.hpp"
#include "sim/layout/plan.hpp"
#include "sim/layout/spaces.hpp"

namespace tplora::core {

/// Row spaces of a pool: an adapter's logical rows of one part (B), or its A rows for one part.
/// Non-negative; kZeros and kNothing keep their meaning.
/// Precondition, here and below: a part or kSharedA of an adapter's number.
[[nodiscard]] constexpr std::int32_t pool_space(int adapter, std::int32_t part_space) {
  ensure_checked([&] { return adapter >= 0 && 0 <= part_space && part_space <= kSharedA; },
                 "a pool holds rows of an adapter's parts");
  return adapter * 4 + part_space;
}
[[nodiscard]] constexpr int adapter_of_space(std::int32_t space) {
  ensure_checked([&] { return space >= 0; }, "zeros and nothing are no adapter's");
  return space / 4;
}
[[nodiscard]] constexpr std::int32_t part_of_space(std::int32_t space) {
  ensure_checked([&] { return space >= 0; }, "zeros and nothing are of no part");
  return space % 4;
}

/// Columns [begin, end) of a B buffer's slot, all with the same rows. Column c of a row holds
/// column c of the adapter's B, so only the row needs a map.
struct Band {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  IntervalMap rows;
};

/// What one slot holds.
struct SlotMap {
  std::vector<std::vector<Band>> b;  ///< for each lora_b buffer: bands covering [0, R)
  std::vector<IntervalMap> a;        ///< for each lora_a buffer
};

/// The symbolic twin of a rank's flat memory: the same loads, on row ranges.
class PoolMap {
 public:
  /// Nothing is loaded: all slots hold what the contract says of fresh memory. Reuses memory of an
  /// earlier use.
  void reset(const Contract& contract, const RankBuild& build, const Deployment& deployment);
  /// Puts adapter number `adapter` into `slot` as the contract's pool section says. Precondition:
  /// the slot exists, the pool was reset for this rank, and the load fits its buffers.
  void load(const Contract& contract, const RankBuild& build, const RankLoad& load,
            const AdapterShape& shape, int adapter, std::int64_t slot);

  /// Precondition: the slot exists.
  [[nodiscard]] const SlotMap& slot(std::int64_t number) const {
    ensure(has_slot(number), "a slot of the pool is looked at");
    return slots_[static_cast<std::size_t>(number)];
  }

 private:
  [[nodiscard]] bool has_slot(std::int64_t number) const {
    return 0 <= number && number < static_cast<std::int64_t>(slots_.size());
  }
  static void split(std::vector<Band>& bands, std::int64_t column);
  /// Puts the rows of a slice that this adapter's load writes into stored_.
  void store(const Contract& contract, const AdapterShape& shape, int adapter,
             const IntervalMap& slice);

  void overlay_columns(const AdapterShape& shape, Band& band) const;

  std::vector<SlotMap> slots_;
  std::vector<Segment> stored_;
  std::int64_t max_lora_rank_ = 0;
};

}  // namespace tplora::core
