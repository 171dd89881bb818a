#include "sim/layout/pool_map.hpp"

#include <algorithm>

namespace tplora::core {
namespace {

IntervalMap& zero_rows(IntervalMap& map, std::int64_t rows) {
  map.clear();
  map.append(0, rows, kZeros, 0);
  return map;
}

/// `segment` of a slice, as the pool stores it for this adapter. False: the rows are left alone.
bool stored(const Contract& contract, const AdapterShape& shape, int adapter, Segment& segment) {
  if (segment.space < 0 || segment.space == kSharedA ||
      shape.targets[static_cast<std::size_t>(segment.space)]) {
    segment.space = segment.space < 0 ? segment.space : pool_space(adapter, segment.space);
    return true;
  }
  segment.space = kZeros;
  return contract.pool.absent == PoolAbsent::zero;
}

}  // namespace

void PoolMap::reset(const RankBuild& build, const Deployment& deployment) {
  max_lora_rank_ = deployment.max_lora_rank;
  slots_.resize(static_cast<std::size_t>(deployment.slots));
  for (SlotMap& slot : slots_) {
    slot.b.resize(build.b_rows.size());
    slot.a.resize(build.a_rows.size());
    for (std::size_t i = 0; i < build.b_rows.size(); ++i) {
      slot.b[i].resize(1);
      slot.b[i][0].begin = 0;
      slot.b[i][0].end = max_lora_rank_;
      zero_rows(slot.b[i][0].rows, build.b_rows[i]);
    }
    for (std::size_t i = 0; i < build.a_rows.size(); ++i) {
      zero_rows(slot.a[i], build.a_rows[i]);
    }
  }
}

void PoolMap::split(std::vector<Band>& bands, std::int64_t column) {
  const auto inside = std::find_if(bands.begin(), bands.end(), [&](const Band& band) {
    return band.begin < column && column < band.end;
  });
  if (inside != bands.end()) {
    Band right = *inside;
    inside->end = column;
    right.begin = column;
    bands.insert(inside + 1, std::move(right));
  }
}

void PoolMap::store(const Contract& contract, const AdapterShape& shape, int adapter,
                    const IntervalMap& slice) {
  stored_.clear();
  for (Segment segment : slice.segments()) {
    if (stored(contract, shape, adapter, segment)) {
      stored_.push_back(segment);
    }
  }
}

void PoolMap::load(const Contract& contract, const RankBuild& build, const RankLoad& load,
                   const AdapterShape& shape, int adapter, std::int64_t number) {
  SlotMap& slot = slots_[static_cast<std::size_t>(number)];
  const bool clear = contract.pool.clear == PoolClear::slot;
  for (std::size_t i = 0; i < slot.b.size(); ++i) {
    auto& bands = slot.b[i];
    if (clear) {
      bands.resize(1);
      bands[0].begin = 0;
      bands[0].end = max_lora_rank_;
      zero_rows(bands[0].rows, build.b_rows[i]);
    }
    split(bands, shape.lora_rank);
    store(contract, shape, adapter, load.b_maps[i]);
    for (Band& band : bands) {
      if (band.begin < shape.lora_rank) {
        band.rows.overlay(stored_);
      } else if (contract.pool.clear == PoolClear::tail) {
        zero_rows(band.rows, build.b_rows[i]);
      }
    }
  }
  for (std::size_t i = 0; i < slot.a.size(); ++i) {
    if (clear) {
      zero_rows(slot.a[i], build.a_rows[i]);
    }
    store(contract, shape, adapter, load.a_maps[i]);
    slot.a[i].overlay(stored_);
  }
}

}  // namespace tplora::core
