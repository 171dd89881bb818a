// One rank's adapter slots in flat memory, laid out and addressed as on the device.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/ensure.hpp"
#include "sim/contract/contract.hpp"
#include "sim/layout/plan.hpp"

namespace tplora::core {

/// A device tensor [slots, rows, cols], contiguous.
template <class Element>
struct SlotTensor {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<Element> memory;

  /// Where row `row`, counted from the start of `slot`, begins: in a later slot, perhaps.
  [[nodiscard]] std::int64_t row_begin(std::int64_t slot, std::int64_t row) const {
    ensure_checked([&] { return slot >= 0 && row >= 0; },
                   "rows are counted up from a slot's first");
    return (slot * rows + row) * cols;
  }
};

/// Where a load takes an adapter's elements from, by logical row.
template <class Element>
class AdapterRows {
 public:
  virtual ~AdapterRows() = default;
  /// A row `row` of `space` (a Part or kSharedA): [a_cols] elements.
  [[nodiscard]] virtual const Element* a_row(std::int32_t space, std::int64_t row) const = 0;
  /// B row `row` of part `space`: as many elements as the part has lora_rank, as the engine stores
  /// them.
  [[nodiscard]] virtual const Element* b_row(std::int32_t space, std::int64_t row) const = 0;
};

/// The slots of one rank. `Element` is float (values) or Label (provenance): both run through the
/// very same memory operations.
///
/// A tensors are [slots, a_rows, a_cols], B tensors [slots, b_rows, max_lora_rank]. A read past
/// the end of a slot lands in the next one; a read past the tensor gives `guard`. `fresh` stands
/// where nothing was loaded yet.
template <class Element>
class FlatPool {
 public:
  FlatPool(const RankBuild& build, const Deployment& deployment, std::int64_t a_cols, Element guard,
           Element fresh);

  /// Puts an adapter into `slot` as the contract's pool section says. Precondition: the slot
  /// exists, the load is of this rank, and fits.
  void load(const Contract& contract, const RankLoad& load, const AdapterShape& shape,
            const AdapterRows<Element>& rows, std::int64_t slot);

  [[nodiscard]] const SlotTensor<Element>& a(int buffer) const {
    const auto number = static_cast<std::size_t>(buffer);
    ensure(number < a_.size(), "a buffer of A is looked at");
    return a_[number];
  }
  [[nodiscard]] const SlotTensor<Element>& b(int buffer) const { return b_tensor(buffer, 0); }
  /// Element `offset`, counted from the first of `slot` in B tensor `buffer`, wherever in memory
  /// that is; `guard` outside the tensor.
  [[nodiscard]] Element b(int buffer, std::int64_t slot, std::int64_t offset) const {
    const SlotTensor<Element>& tensor = b_tensor(buffer, slot);
    ensure_checked([&] { return offset >= 0; }, "elements are counted up from a slot's first");
    const std::int64_t index = tensor.row_begin(slot, 0) + offset;
    return index < static_cast<std::int64_t>(tensor.memory.size())
               ? tensor.memory[static_cast<std::size_t>(index)]
               : guard_;
  }
  [[nodiscard]] Element guard() const { return guard_; }

 private:
  [[nodiscard]] const SlotTensor<Element>& b_tensor(int buffer, std::int64_t slot) const {
    const auto number = static_cast<std::size_t>(buffer);
    ensure_checked([&] { return number < b_.size() && 0 <= slot && slot < slots_; },
                   "a slot of a buffer of B is looked at");
    return b_[number];
  }
  static void clear(SlotTensor<Element>& tensor, std::int64_t slot);
  template <class ColumnsOf, class RowOf>
  static void copy(const Contract& contract, const IntervalMap& map, const AdapterShape& shape,
                   std::int64_t slot, const ColumnsOf& columns_of, SlotTensor<Element>& tensor,
                   RowOf row_of);

  std::int64_t slots_;
  std::vector<SlotTensor<Element>> a_, b_;
  Element guard_;
};

/// Where an element of a pool came from: 0 is "zero", all ones is "outside the pool", one less is
/// "never written".
struct Label {
  std::uint64_t bits = 0;

  static constexpr std::uint64_t kOutside = ~std::uint64_t{0};
  static constexpr std::uint64_t kNeverWritten = kOutside - 1;
  /// Element `col` of row `row` of an adapter's A or B tensor; `space` is a Part or kSharedA.
  static Label of(int adapter, std::int32_t space, std::int64_t row, std::int64_t col) {
    return {(std::uint64_t{1} << 62) | (static_cast<std::uint64_t>(adapter) << 52) |
            (static_cast<std::uint64_t>(space) << 48) | (static_cast<std::uint64_t>(row) << 16) |
            static_cast<std::uint64_t>(col)};
  }
  [[nodiscard]] bool is_zero() const { return bits == 0; }
  [[nodiscard]] bool is_outside() const { return bits == kOutside; }
  [[nodiscard]] bool is_never_written() const { return bits == kNeverWritten; }
  [[nodiscard]] int adapter() const { return static_cast<int>((bits >> 52) & 0x3ff); }
  [[nodiscard]] std::int32_t space() const { return static_cast<std::int32_t>((bits >> 48) & 0xf); }
  [[nodiscard]] std::int64_t row() const {
    return static_cast<std::int64_t>((bits >> 16) & 0xffffffff);
  }
  [[nodiscard]] std::int64_t col() const { return static_cast<std::int64_t>(bits & 0xffff); }
  friend bool operator==(const Label&, const Label&) = default;
};

}  // namespace tplora::core
