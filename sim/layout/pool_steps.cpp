#include "sim/layout/pool_steps.hpp"

#include <algorithm>

namespace tplora::core {

std::vector<PoolEvent> pool_events(const std::vector<AdapterShape>& adapters,
                                   const std::vector<PoolStep>& steps) {
  using Kind = PoolStep::Kind;
  std::vector<AdapterShape> shapes = adapters;
  std::vector<int> written(adapters.size(), -1);  // by adapter: the last event that wrote it
  std::vector<PoolEvent> events;
  for (const PoolStep& step : steps) {
    const auto adapter = static_cast<std::size_t>(step.adapter);
    if (step.kind == Kind::evict || step.kind == Kind::use) {
      continue;
    }
    if (step.kind == Kind::rescale) {
      shapes[adapter].lora_alpha = step.lora_alpha;
    } else if (step.kind == Kind::load) {
      written[adapter] = -1;
    }
    const bool writes = step.kind != Kind::rescale;
    events.push_back({.adapter = step.adapter,
                      .shape = shapes[adapter],
                      .slot = writes ? step.slot : -1,
                      .previous = written[adapter]});
    if (writes) {
      written[adapter] = static_cast<int>(events.size()) - 1;
    }
  }
  return events;
}

std::vector<LiveAdapter> live_adapters(const std::vector<AdapterShape>& adapters,
                                       const std::vector<PoolStep>& steps, PoolLookup lookup) {
  using Kind = PoolStep::Kind;
  std::vector<LiveAdapter> live;
  std::vector<std::int64_t> first_slot(adapters.size(), -1);
  std::vector<AdapterShape> shapes = adapters;
  int event = 0;
  for (const PoolStep& step : steps) {
    const auto adapter = static_cast<std::size_t>(step.adapter);
    if (step.kind == Kind::use) {
      continue;
    }
    if (step.kind == Kind::rescale) {
      shapes[adapter].lora_alpha = step.lora_alpha;
      for (LiveAdapter& one : live) {
        if (one.adapter == step.adapter) {
          one.shape = shapes[adapter];
          one.scaled = event;
        }
      }
      ++event;
      continue;
    }
    std::erase_if(live, [&](const LiveAdapter& one) { return one.slot == step.slot; });
    if (step.kind == Kind::evict) {
      continue;
    }
    first_slot[adapter] = first_slot[adapter] < 0 ? step.slot : first_slot[adapter];
    live.push_back({.adapter = step.adapter,
                    .shape = shapes[adapter],
                    .slot = step.slot,
                    .event = event,
                    .scaled = event});
    ++event;
  }
  std::sort(live.begin(), live.end(),
            [](const LiveAdapter& a, const LiveAdapter& b) { return a.slot < b.slot; });
  if (lookup == PoolLookup::first) {
    for (LiveAdapter& one : live) {
      one.slot = first_slot[static_cast<std::size_t>(one.adapter)];
    }
  }
  return live;
}

std::vector<int> scaling_events(PoolScale scale, const std::vector<PoolEvent>& events, int event,
                                int scaled) {
  if (scale == PoolScale::table) {
    return {scaled};
  }
  std::vector<int> list;
  for (int at = event; at >= 0;
       at = scale == PoolScale::cache ? events[static_cast<std::size_t>(at)].previous : -1) {
    list.push_back(at);
  }
  std::reverse(list.begin(), list.end());
  return list;
}

}  // namespace tplora::core
