#include "sim/pool/flat_pool.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/layout/map_facts.hpp"

namespace tplora::core {

template <class Element>
FlatPool<Element>::FlatPool(const RankBuild& build, const Deployment& deployment,
                            std::int64_t a_cols, Element guard, Element fresh)
    : slots_(deployment.slots), guard_(guard) {
  ensure(slots_ > 0, "a pool has slots");
  const auto allocate = [&](std::int64_t rows, std::int64_t cols) {
    ensure(rows >= 0 && cols > 0, "a slot has rows, if any, with columns");
    const auto size = static_cast<std::size_t>(deployment.slots * rows * cols);
    return SlotTensor<Element>{rows, cols, std::vector<Element>(size, fresh)};
  };
  for (const std::int64_t rows : build.a_rows) {
    a_.push_back(allocate(rows, a_cols));
  }
  for (const std::int64_t rows : build.b_rows) {
    b_.push_back(allocate(rows, deployment.max_lora_rank));
  }
}

template <class Element>
void FlatPool<Element>::clear(SlotTensor<Element>& tensor, std::int64_t slot) {
  const auto begin = tensor.memory.begin() + tensor.row_begin(slot, 0);
  std::fill(begin, begin + tensor.rows * tensor.cols, Element{});
}

// Copies into every slot row that the map names as many elements as rows of its space have; a space
// below 0 stands for zeros.
template <class Element>
template <class ColumnsOf, class RowOf>
void FlatPool<Element>::copy(const Contract& contract, const IntervalMap& map,
                             const AdapterShape& shape, std::int64_t slot,
                             const ColumnsOf& columns_of, SlotTensor<Element>& tensor,
                             RowOf row_of) {
  ensure(end_of(map) <= tensor.rows, "a slice ends before the next slot begins");
  for (const Segment& segment : map.segments()) {
    const bool targeted = segment.space == kSharedA ||
                          (segment.space >= 0 && shape.has(static_cast<Part>(segment.space)));
    const std::int64_t cols = columns_of(targeted ? segment.space : kZeros);
    ensure(cols <= tensor.cols, "an adapter's rows are no longer than the slot's");
    const bool zero_fill = segment.space < 0 || contract.pool.absent == PoolAbsent::zero;
    for (std::int64_t i = 0; i < segment.rows; ++i) {
      auto* const to = tensor.memory.data() + tensor.row_begin(slot, segment.at + i);
      if (targeted) {
        std::copy_n(row_of(segment.space, segment.from + i), cols, to);
      } else if (zero_fill) {
        std::fill_n(to, cols, Element{});
      }
    }
  }
}

template <class Element>
void FlatPool<Element>::load(const Contract& contract, const RankLoad& load,
                             const AdapterShape& shape, const AdapterRows<Element>& rows,
                             std::int64_t slot) {
  ensure(0 <= slot && slot < slots_, "an adapter is loaded into a slot of the pool");
  ensure(load.b_maps.size() == b_.size() && load.a_maps.size() == a_.size(),
         "a load has a slice for each buffer");
  ensure(shape.lora_rank > 0, "an adapter has a lora_rank");
  const std::int64_t columns = shape.largest_rank();
  const auto columns_of = [&](std::int32_t space) {
    return space < 0 ? std::min(shape.lora_rank, columns) : shape.rank_of(part_of(space));
  };
  const bool clears = contract.pool.clear == PoolClear::slot;
  for (std::size_t i = 0; i < b_.size(); ++i) {
    ensure(columns <= b_[i].cols, "an adapter's lora_rank fits the pool");
    if (clears) {
      clear(b_[i], slot);
    }
    copy(contract, load.b_maps[i], shape, slot, columns_of, b_[i],
         [&](std::int32_t space, std::int64_t row) { return rows.b_row(space, row); });
    if (contract.pool.clear == PoolClear::tail) {
      for (std::int64_t row = 0; row < b_[i].rows; ++row) {
        const auto begin = b_[i].memory.begin() + b_[i].row_begin(slot, row);
        std::fill(begin + columns, begin + b_[i].cols, Element{});
      }
    }
  }
  for (std::size_t i = 0; i < a_.size(); ++i) {
    if (clears) {
      clear(a_[i], slot);
    }
    copy(
        contract, load.a_maps[i], shape, slot, [&](std::int32_t) { return a_[i].cols; }, a_[i],
        [&](std::int32_t space, std::int64_t row) { return rows.a_row(space, row); });
  }
}

template class FlatPool<float>;
template class FlatPool<Label>;

}  // namespace tplora::core
