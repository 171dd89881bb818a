// Candidates on `labels` data: what stands where something else is due.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "verify/case/prepared_case.hpp"
#include "verify/check/findings.hpp"
#include "verify/golden/owned_heads.hpp"

namespace tplora::core {

/// What a rank's tensors are read with.
struct LabelContext {
  const PreparedCase& item;
  const OwnedHeads& own;
  std::vector<int> resident;  ///< by slot: number of its adapter, -1 for none

  /// The row that is due at a column.
  [[nodiscard]] LabelledRow due(std::int64_t column) const;
};

/// [tokens, width] of y, y_base or delta: the base rows and, of each adapter with tokens, the rows
/// of B behind each column.
[[nodiscard]] std::vector<PlaceFinding> places_of_output(const LabelContext& context,
                                                         const std::string& tensor,
                                                         std::span<const float> values);

/// Rows [width, hidden_size] of a base weight shard, of which only some are given: `first_column`
/// is the first one's.
[[nodiscard]] std::vector<PlaceFinding> places_of_weight(const LabelContext& context,
                                                         std::span<const float> values);

/// A buffer of B, [slots, rows, cols]: rows are those of columns [first_column, first_column +
/// due_rows). Of an adapter's row its own lora_rank elements are looked at.
struct SlotBuffer {
  std::string tensor;
  std::int64_t rows = 0, cols = 0;
  std::int64_t first_column = 0, due_rows = 0;
};
/// `residue`: slots whose A holds rows of others. There, rows of parts that the adapter does not
/// target must be zero; elsewhere they meet nothing that would let them out.
[[nodiscard]] std::vector<PlaceFinding> places_of_b(const LabelContext& context,
                                                    const SlotBuffer& buffer,
                                                    std::span<const float> values,
                                                    std::span<const std::int64_t> residue);

/// Slots of a buffer of A in which something stands that is neither zero nor the resident's.
[[nodiscard]] std::vector<std::int64_t> slots_with_residue(const LabelContext& context,
                                                           const SlotBuffer& buffer,
                                                           std::span<const float> values);

/// A buffer of A, [slots, rows, hidden_size]: the rows of each part that a resident targets stand
/// there, one behind the other. `only`: the part that the buffer is
/// for, nothing where it holds all of them.
[[nodiscard]] std::vector<PlaceFinding> places_of_a(const LabelContext& context,
                                                    const SlotBuffer& buffer,
                                                    std::optional<Part> only,
                                                    std::span<const float> values);

}  // namespace tplora::core
