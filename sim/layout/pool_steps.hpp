// What happens to the adapter pool before the batch runs: steps of a case, and what they do on a
// rank.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/contract/contract.hpp"
#include "sim/layout/plan.hpp"

namespace tplora::core {

/// A change to the adapter pool, applied on every rank.
struct PoolStep {
  enum class Kind {
    load,      ///< the adapter is read afresh, kept on the host, and put into `slot`
    evict,     ///< `slot`, where it was, is free; the host's copy and the memory stay as they are
    activate,  ///< the adapter is put into `slot` again, from the host's copy
    rescale,   ///< its lora_alpha is `lora_alpha` from now on
    use,       ///< a batch uses it: counts for the choice of slots only, which drops this step
  };
  static constexpr std::int64_t kEnginesChoice = -1;  ///< of a slot that is not chosen yet
  Kind kind = Kind::load;
  int adapter = 0;  ///< number in the list of adapters
  std::int64_t slot = -1;
  std::int64_t lora_alpha = 0;
  friend bool operator==(const PoolStep&, const PoolStep&) = default;
};

/// What a step does on a rank: an adapter is planned, and put into a slot.
struct PoolEvent {
  int adapter = 0;
  AdapterShape shape;      ///< as the adapter is then
  std::int64_t slot = -1;  ///< -1: a rescale, which writes no rows
  int previous = -1;       ///< the last event that wrote this adapter since it was read afresh
};

/// Evictions make no event. Precondition: steps name existing adapters, and slots where they write;
/// an adapter is loaded before it is activated or rescaled.
[[nodiscard]] std::vector<PoolEvent> pool_events(const std::vector<AdapterShape>& adapters,
                                                 const std::vector<PoolStep>& steps);

/// An adapter that tokens can use: resident after the last step.
struct LiveAdapter {
  int adapter = 0;
  AdapterShape shape;     ///< as it is after the last step
  std::int64_t slot = 0;  ///< where its tokens read
  int event = 0;          ///< that put it into its slot
  int scaled = 0;         ///< the last one, a rescale perhaps
};

/// The adapters resident after `steps`, by slot. Precondition: that of pool_events, and an adapter
/// is in one slot at a time, which is the one that it is evicted from.
[[nodiscard]] std::vector<LiveAdapter> live_adapters(const std::vector<AdapterShape>& adapters,
                                                     const std::vector<PoolStep>& steps,
                                                     PoolLookup lookup = PoolLookup::current);

/// The events whose scaling is multiplied into the delta of an adapter that event `event` put into
/// its slot, `scaled` being its last: one, or with PoolScale::cache one for each use of the host's
/// copy. Precondition: both are events of one adapter, the second no earlier than the first.
[[nodiscard]] std::vector<int> scaling_events(PoolScale scale, const std::vector<PoolEvent>& events,
                                              int event, int scaled);

}  // namespace tplora::core
