#include "sim/layout/pool_steps.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

bool is_one_of(int number, std::size_t count) {
  return 0 <= number && static_cast<std::size_t>(number) < count;
}

}  // namespace

std::vector<PoolEvent> pool_events(const std::vector<AdapterShape>& adapters,
                                   const std::vector<PoolStep>& steps) {
  using Kind = PoolStep::Kind;
  std::vector<AdapterShape> shapes = adapters;
  std::vector<int> written(adapters.size(), -1);  // by adapter: the last event that wrote it
  std::vector<PoolEvent> events;
  for (const PoolStep& step : steps) {
    ensure(is_one_of(step.adapter, adapters.size()), "a step names an adapter that there is");
    const auto adapter = static_cast<std::size_t>(step.adapter);
    if (step.kind == Kind::evict || step.kind == Kind::use) {
      continue;
    }
    if (step.kind == Kind::rescale) {
      ensure(step.lora_alpha > 0, "an adapter is rescaled to a lora_alpha");
      rescale(shapes[adapter], step.lora_alpha);
    } else if (step.kind == Kind::load) {
      written[adapter] = -1;
    }
    const bool writes = step.kind != Kind::rescale;
    ensure(!writes || step.slot >= 0, "a step that writes has chosen its slot");
    ensure(step.kind == Kind::load || written[adapter] >= 0,
           "an adapter is loaded before it is activated or rescaled");
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
    ensure(is_one_of(step.adapter, adapters.size()), "a step names an adapter that there is");
    const auto adapter = static_cast<std::size_t>(step.adapter);
    if (step.kind == Kind::use) {
      continue;
    }
    if (step.kind == Kind::rescale) {
      rescale(shapes[adapter], step.lora_alpha);
      for (LiveAdapter& one : live) {
        if (one.adapter == step.adapter) {
          one.shape = shapes[adapter];
          one.scaled = event;
        }
      }
      ++event;
      continue;
    }
    const auto resident = std::find_if(live.begin(), live.end(), [&](const LiveAdapter& one) {
      return one.adapter == step.adapter;
    });
    if (step.kind == Kind::evict) {
      ensure(resident != live.end() && resident->slot == step.slot,
             "an adapter is evicted from the slot that it is in");
    } else {
      ensure(resident == live.end(), "an adapter is in one slot at a time");
      ensure(step.slot >= 0, "a resident adapter has a slot");
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
  ensure(std::adjacent_find(live.begin(), live.end(),
                            [](const LiveAdapter& a, const LiveAdapter& b) {
                              return a.slot == b.slot;
                            }) == live.end(),
         "a slot has one tenant");
  if (lookup == PoolLookup::first) {
    for (LiveAdapter& one : live) {
      one.slot = first_slot[static_cast<std::size_t>(one.adapter)];
    }
  }
  return live;
}

std::vector<int> scaling_events(PoolScale scale, const std::vector<PoolEvent>& events, int event,
                                int scaled) {
  ensure(is_one_of(event, events.size()) && is_one_of(scaled, events.size()) && event <= scaled,
         "an adapter's last event is none before that which put it into its slot");
  ensure(events[static_cast<std::size_t>(event)].adapter ==
             events[static_cast<std::size_t>(scaled)].adapter,
         "the factors of a delta are those of one adapter");
  if (scale == PoolScale::table) {
    return {scaled};
  }
  std::vector<int> list;
  for (int at = event; at >= 0;
       at = scale == PoolScale::cache ? events[static_cast<std::size_t>(at)].previous : -1) {
    ensure(list.empty() || at < list.back(), "what an event goes on from came before it");
    list.push_back(at);
  }
  std::reverse(list.begin(), list.end());
  return list;
}

}  // namespace tplora::core
