#include "sim/layout/plan_cache.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"

namespace tplora::core {

namespace {

/// Whether no entry is repeated, and no formula of one depends on anything that `changes`. `known`
/// is the answer, once it was found.
template <class Entries, class Formulas, class Changes>
bool repeats(std::optional<bool>& known, const Contract& contract, const Entries& entries,
             const Formulas& formulas, const Changes& changes) {
  if (!known) {
    known = std::all_of(entries.begin(), entries.end(), [&](const auto& entry) {
      bool same = entry.loops.empty();
      formulas(entry, [&](const Formula& formula) {
        same = same && !changes(contract.dependence(formula));
      });
      return same;
    });
  }
  return *known;
}

constexpr auto kOfRank = [](const Dependence& on) { return on.tp_rank || on.index; };
constexpr auto kOfLoraRank = [](const Dependence& on) { return on.adapter || on.index; };

constexpr auto kOfCopy = [](const Copy& copy, const auto& each) {
  each(copy.from);
  each(copy.rows);
  if (copy.at) {
    each(*copy.at);
  }
};

constexpr auto kOfKernel = [](const KernelEntry& entry, const auto& each) {
  for_each_formula(entry, each);
};

/// Whether something is kept for the adapter.
template <class Kept>
bool is_kept(const std::vector<Kept>& list, const AdapterShape& adapter) {
  return std::any_of(list.begin(), list.end(),
                     [&](const Kept& one) { return one.adapter == adapter; });
}

}  // namespace

bool LoadCache::find_b(const AdapterShape& adapter, RankLoad& load) const {
  if (!has_b_ || b_targets_ != adapter.targets || b_rows_ != adapter.part_rows) {
    return false;
  }
  ensure(load.slice_rows.size() == b_slice_rows_.size(), "ranks of a contract have equal buffers");
  load.b_pieces = b_pieces_;
  load.b_maps = b_maps_;
  load.slice_rows = b_slice_rows_;
  return true;
}

bool LoadCache::find_a(const AdapterShape& adapter, RankLoad& load) const {
  const auto found =
      std::find_if(a_.begin(), a_.end(), [&](const KeptA& one) { return one.adapter == adapter; });
  if (found == a_.end()) {
    return false;
  }
  load.a_pieces = found->pieces;
  load.a_maps = found->maps;
  return true;
}

bool LoadCache::find_launches(const AdapterShape& adapter, RankLoad& load) const {
  const auto found = std::find_if(launches_.begin(), launches_.end(),
                                  [&](const KeptLaunches& one) { return one.adapter == adapter; });
  if (found == launches_.end()) {
    return false;
  }
  load.launches = found->launches;
  return true;
}

void LoadCache::keep_b(const AdapterShape& adapter, const RankLoad& load) {
  if (repeats(b_repeats_, contract_, contract_.lora_b.copies, kOfCopy, kOfLoraRank)) {
    const std::size_t buffers = contract_.lora_b.buffers.size();
    ensure(load.b_maps.size() == buffers && load.slice_rows.size() == buffers,
           "a slice of B is kept for each buffer");
    b_pieces_ = load.b_pieces;
    b_maps_ = load.b_maps;
    b_slice_rows_ = load.slice_rows;
    b_targets_ = adapter.targets;
    b_rows_ = adapter.part_rows;
    has_b_ = true;
  }
}

void LoadCache::keep_a(const AdapterShape& adapter, const RankLoad& load) {
  if (repeats(a_repeats_, contract_, contract_.lora_a.copies, kOfCopy, kOfRank)) {
    ensure(load.a_maps.size() == contract_.lora_a.buffers.size(),
           "rows of A are kept for each buffer");
    ensure_checked([&] { return !is_kept(a_, adapter); },
                   "copies that are kept are not made again");
    a_.push_back({adapter, load.a_pieces, load.a_maps});
  }
}

void LoadCache::keep_launches(const AdapterShape& adapter, const RankLoad& load) {
  if (repeats(launches_repeat_, contract_, contract_.kernel, kOfKernel, kOfRank)) {
    ensure_checked([&] { return !is_kept(launches_, adapter); },
                   "launches that are kept are not evaluated again");
    launches_.push_back({adapter, load.launches});
  }
}

}  // namespace tplora::core
