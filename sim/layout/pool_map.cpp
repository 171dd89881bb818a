#include "sim/layout/pool_map.hpp"

#include <algorithm>

#include "sim/layout/map_facts.hpp"

namespace tplora::core {
namespace {

void zero_rows(IntervalMap& map, std::int64_t rows) {
  ensure(rows >= 0, "a buffer has no fewer than no rows");
  map.clear();
  map.append(0, rows, kZeros, 0);
}

/// A buffer's rows as they are before anything is loaded.
void fresh_rows(PoolFresh fresh, IntervalMap& map, std::int64_t rows) {
  zero_rows(map, rows);
  if (fresh == PoolFresh::nothing) {
    map.clear();
  }
}

/// Whether the bands of a buffer with so many rows follow each other from column 0 to `columns`,
/// each saying something of every row unless `holes` may be left.
bool fill_buffer(const std::vector<Band>& bands, std::int64_t columns, std::int64_t rows,
                 bool holes) {
  std::int64_t reached = 0;
  const bool good = std::all_of(bands.begin(), bands.end(), [&](const Band& band) {
    const bool next = band.begin == reached && band.begin < band.end;
    reached = band.end;
    return next && in_order(band.rows, rows) && (holes || rows_of(band.rows) == rows);
  });
  return good && reached == columns;
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

void PoolMap::reset(const Contract& contract, const RankBuild& build,
                    const Deployment& deployment) {
  ensure(deployment.slots > 0 && deployment.max_lora_rank > 0,
         "a pool has slots, and they columns");
  const PoolFresh fresh = contract.pool.fresh;
  max_lora_rank_ = deployment.max_lora_rank;
  slots_.resize(static_cast<std::size_t>(deployment.slots));
  for (SlotMap& slot : slots_) {
    slot.b.resize(build.b_rows.size());
    slot.a.resize(build.a_rows.size());
    for (std::size_t i = 0; i < build.b_rows.size(); ++i) {
      slot.b[i].resize(1);
      slot.b[i][0].begin = 0;
      slot.b[i][0].end = max_lora_rank_;
      fresh_rows(fresh, slot.b[i][0].rows, build.b_rows[i]);
    }
    for (std::size_t i = 0; i < build.a_rows.size(); ++i) {
      fresh_rows(fresh, slot.a[i], build.a_rows[i]);
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
    ensure_checked([&] { return kZeros <= segment.space && segment.space <= kSharedA; },
                   "a slice has rows of parts, of the one A, or zeros");
    if (stored(contract, shape, adapter, segment)) {
      stored_.push_back(segment);
    }
  }
}

/// What stored_ puts into the band's columns, where parts have lora_ranks of their own. Zeros for
/// what an adapter leaves out are as wide as its config's lora_rank.
void PoolMap::overlay_columns(const AdapterShape& shape, Band& band) const {
  std::vector<Segment> here;
  for (const Segment& segment : stored_) {
    const bool own = segment.space >= 0 && part_of_space(segment.space) != kSharedA;
    if (band.begin <
        (own ? shape.rank_of(part_of(part_of_space(segment.space))) : shape.lora_rank)) {
      here.push_back(segment);
    }
  }
  band.rows.overlay(here);
}

void PoolMap::load(const Contract& contract, const RankBuild& build, const RankLoad& load,
                   const AdapterShape& shape, int adapter, std::int64_t number) {
  ensure(has_slot(number), "an adapter is loaded into a slot of the pool");
  ensure(adapter >= 0, "an adapter in a slot has a number");
  SlotMap& slot = slots_[static_cast<std::size_t>(number)];
  ensure(slot.b.size() == build.b_rows.size() && slot.a.size() == build.a_rows.size(),
         "a pool is loaded on the rank that it was made for");
  ensure(load.b_maps.size() == slot.b.size() && load.slice_rows.size() == slot.b.size() &&
             load.a_maps.size() == slot.a.size(),
         "a load has a slice for each buffer");
  const bool clear = contract.pool.clear == PoolClear::slot;
  const bool holes = contract.pool.fresh == PoolFresh::nothing;
  const std::int64_t columns = shape.largest_rank();
  for (std::size_t i = 0; i < slot.b.size(); ++i) {
    auto& bands = slot.b[i];
    ensure(0 < columns && columns <= max_lora_rank_, "an adapter's columns fit its slot");
    ensure(load.slice_rows[i] <= build.b_rows[i], "a slice of B fits its buffer");
    if (clear) {
      bands.resize(1);
      bands[0].begin = 0;
      bands[0].end = max_lora_rank_;
      zero_rows(bands[0].rows, build.b_rows[i]);
    }
    for (const Part part : kParts) {
      split(bands, shape.rank_of(part));
    }
    split(bands, shape.lora_rank);
    store(contract, shape, adapter, load.b_maps[i]);
    const bool uneven = shape.part_ranks != std::array<std::int64_t, 3>{};
    for (Band& band : bands) {
      if (uneven) {
        overlay_columns(shape, band);
      } else if (band.begin < shape.lora_rank) {
        band.rows.overlay(stored_);
      }
      if (band.begin < columns) {
        continue;
      }
      if (contract.pool.clear == PoolClear::tail) {
        zero_rows(band.rows, build.b_rows[i]);
      }
    }
    ensure_checked([&] { return fill_buffer(bands, max_lora_rank_, build.b_rows[i], holes); },
                   "what stands in a slot of B is known of each of its rows and columns");
  }
  for (std::size_t i = 0; i < slot.a.size(); ++i) {
    if (clear) {
      zero_rows(slot.a[i], build.a_rows[i]);
    }
    store(contract, shape, adapter, load.a_maps[i]);
    ensure(end_of(load.a_maps[i]) <= build.a_rows[i], "rows of A fit their buffer");
    slot.a[i].overlay(stored_);
    ensure_checked(
        [&] {
          return in_order(slot.a[i], build.a_rows[i]) &&
                 (holes || rows_of(slot.a[i]) == build.a_rows[i]);
        },
        "what stands in a slot of A is known of each of its rows");
  }
}

}  // namespace tplora::core
