#include "verify/case/slots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "sim/base/printable.hpp"
#include "verify/case/case_values.hpp"

namespace tplora::core {
namespace {

constexpr int kBaseModel = -1;

/// Who is where, and since when.
class Tenants {
 public:
  Tenants(std::int64_t slots, const PoolSection& pool) : slots_(slots), pool_(pool) {}

  void put(int tenant, std::int64_t slot) {
    std::erase_if(slot_of_, [&](const auto& entry) { return entry.second == slot; });
    slot_of_[tenant] = slot;
    loaded_[tenant] = used_[tenant] = ++clock_;
  }
  void remove(int tenant) { slot_of_.erase(tenant); }
  void use(int tenant) { used_[tenant] = ++clock_; }
  [[nodiscard]] bool resident(int tenant) const { return slot_of_.contains(tenant); }
  [[nodiscard]] std::int64_t slot(int tenant) const { return slot_of_.at(tenant); }

  [[nodiscard]] std::int64_t next_slot() const {
    std::set<std::int64_t> taken;
    for (const auto& [tenant, slot] : slot_of_) {
      taken.insert(slot);
    }
    for (std::int64_t slot = 0; slot < slots_; ++slot) {
      if (!taken.contains(slot)) {
        return slot;
      }
    }
    const auto& since = pool_.evict == PoolEvict::lru ? used_ : loaded_;
    const auto victim =
        std::min_element(slot_of_.begin(), slot_of_.end(), [&](const auto& a, const auto& b) {
          const bool a_is_base = a.first == kBaseModel;
          const bool b_is_base = b.first == kBaseModel;
          return a_is_base != b_is_base ? b_is_base : since.at(a.first) < since.at(b.first);
        });
    return victim->second;
  }

 private:
  std::int64_t slots_;
  const PoolSection& pool_;
  std::map<int, std::int64_t> slot_of_;
  std::map<int, std::int64_t> loaded_, used_;  // by tenant: when, in steps
  std::int64_t clock_ = 0;
};

tl::unexpected<Error> refuse(const Case& one, const PoolStep& step, const char* why) {
  return fail(fmt::format("case line: step \"{}\": the adapter {} at that point",
                          excerpt(print_step(step, one.adapters)), why));
}

}  // namespace

bool leaves_slots_open(const Case& one) {
  using Kind = PoolStep::Kind;
  return std::any_of(one.steps.begin(), one.steps.end(), [](const PoolStep& step) {
    return (step.kind == Kind::load || step.kind == Kind::activate) &&
           step.slot == PoolStep::kEnginesChoice;
  });
}

Result<Case> choose_slots(Case one, const PoolSection& pool) {
  using Kind = PoolStep::Kind;
  Tenants tenants(one.slots, pool);
  const bool base_tokens = std::find(one.tokens.begin(), one.tokens.end(), -1) != one.tokens.end();
  if (pool.base == PoolBase::slot && base_tokens) {
    tenants.put(kBaseModel, 0);
  }
  std::set<int> on_host;
  std::vector<PoolStep> steps;
  for (PoolStep step : one.steps) {
    const bool writes = step.kind == Kind::load || step.kind == Kind::activate;
    const bool resident = tenants.resident(step.adapter);
    const bool from_host = step.kind == Kind::activate || step.kind == Kind::rescale;
    if (from_host && !on_host.contains(step.adapter)) {
      return refuse(one, step, "was not loaded before");
    }
    if (step.kind != Kind::rescale && resident == writes) {
      return refuse(one, step, resident ? "is already resident" : "is not resident");
    }
    if (writes) {
      step.slot = step.slot == PoolStep::kEnginesChoice ? tenants.next_slot() : step.slot;
      tenants.put(step.adapter, step.slot);
      on_host.insert(step.adapter);
    } else if (step.kind == Kind::evict) {
      step.slot = tenants.slot(step.adapter);
      tenants.remove(step.adapter);
    } else if (step.kind == Kind::use) {
      tenants.use(step.adapter);
      continue;
    }
    steps.push_back(step);
  }
  for (const int adapter : one.tokens) {
    if (adapter >= 0 && !tenants.resident(adapter)) {
      return fail(
          fmt::format("case line: a token uses adapter {}, which no slot holds after the steps",
                      excerpt(one.adapters[static_cast<std::size_t>(adapter)].name)));
    }
  }
  one.steps = std::move(steps);
  return one;
}

}  // namespace tplora::core
