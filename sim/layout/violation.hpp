// What can be wrong with a plan: one type for each thing, with just its own fields.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <variant>

#include "sim/layout/verdict.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

// --- what stands in memory where something else is due ------------------------------------------

/// Known to be zero.
struct Zeros {
  friend auto operator<=>(const Zeros&, const Zeros&) = default;
};
/// Nothing was ever put there.
struct NeverWritten {
  friend auto operator<=>(const NeverWritten&, const NeverWritten&) = default;
};
/// Memory outside the tensor.
struct Outside {
  friend auto operator<=>(const Outside&, const Outside&) = default;
};
/// Rows of the base weight.
struct BaseRows {
  Part part = Part::q;
  std::int64_t first_row = 0;  ///< logical row of the part
  friend auto operator<=>(const BaseRows&, const BaseRows&) = default;
};
/// Rows of an adapter's B.
struct LoraBRows {
  int adapter = 0;
  Part part = Part::q;
  std::int64_t first_row = 0;  ///< logical row of the part
  friend auto operator<=>(const LoraBRows&, const LoraBRows&) = default;
};
/// Rows of an adapter's A.
struct LoraARows {
  int adapter = 0;
  std::optional<Part> part;      ///< nothing: the one A of a fused adapter
  std::int64_t first_index = 0;  ///< lora_rank index
  friend auto operator<=>(const LoraARows&, const LoraARows&) = default;
};
using Content = std::variant<Zeros, NeverWritten, Outside, BaseRows, LoraBRows, LoraARows>;

// --- where -------------------------------------------------------------------------------------

/// Output columns [column, column + rows) of a rank, in which logical rows
/// [first_row, first_row + rows) of a part are due.
struct DueRows {
  Part part = Part::q;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t column = 0;
  friend auto operator<=>(const DueRows&, const DueRows&) = default;
};
/// Whose delta is concerned.
struct Delta {
  int adapter = 0;
  std::int64_t slot = 0;
  friend auto operator<=>(const Delta&, const Delta&) = default;
};
/// lora_rank indices [first, first + count).
struct LoraIndices {
  std::int64_t first = 0;
  std::int64_t count = 0;
  friend auto operator<=>(const LoraIndices&, const LoraIndices&) = default;
};

// --- law 4 and 7: heads and the base weight
// ---------------------------------------------------------

/// A rank owns heads that the layer does not have. `part` is q, or k for KV heads.
struct HeadsOutside {
  std::int64_t tp_rank = 0;
  Part part = Part::q;
  std::int64_t first_head = 0;
  std::int64_t heads = 0;
  friend auto operator<=>(const HeadsOutside&, const HeadsOutside&) = default;
};
/// A head is owned by more or fewer ranks of a group than must own it; told on the group's first.
struct WrongOwners {
  std::int64_t tp_rank = 0;
  Part part = Part::q;  ///< q, or k for a KV head
  std::int64_t head = 0;
  std::int64_t owners = 0;
  std::int64_t due_owners = 0;
  friend auto operator<=>(const WrongOwners&, const WrongOwners&) = default;
};
/// A rank's query heads cannot be dealt out evenly to its KV heads.
struct UnevenHeads {
  std::int64_t tp_rank = 0;
  std::int64_t q_heads = 0;
  std::int64_t first_kv = 0;
  std::int64_t kv_heads = 0;
  friend auto operator<=>(const UnevenHeads&, const UnevenHeads&) = default;
};
/// Attention pairs query heads with a KV head to which they do not belong.
struct WrongPairing {
  std::int64_t tp_rank = 0;
  std::int64_t kv_head = 0;      ///< owned at the place of
  std::int64_t due_kv_head = 0;  ///< this one
  friend auto operator<=>(const WrongPairing&, const WrongPairing&) = default;
};
/// Columns hold other rows of the base weight than are due.
struct WrongBase {
  std::int64_t tp_rank = 0;
  DueRows due;
  Content found;
  friend auto operator<=>(const WrongBase&, const WrongBase&) = default;
};
/// Columns in which nothing is due.
struct SurplusColumns {
  std::int64_t tp_rank = 0;
  std::int64_t column = 0;
  std::int64_t columns = 0;
  Content found;
  friend auto operator<=>(const SurplusColumns&, const SurplusColumns&) = default;
};
/// Rows are due behind the last column that the rank has.
struct MissingColumns {
  std::int64_t tp_rank = 0;
  DueRows due;
  friend auto operator<=>(const MissingColumns&, const MissingColumns&) = default;
};

// --- laws 2, 3, 6: the delta
// ----------------------------------------------------------------------

/// The delta of these columns takes other rows of B than are due.
struct WrongLoraB {
  std::int64_t tp_rank = 0;
  Delta delta;
  DueRows due;
  Content found;
  friend auto operator<=>(const WrongLoraB&, const WrongLoraB&) = default;
};
/// It takes other elements of B than are due, because rows of B are taken to be another number of
/// elements apart than they are.
struct WrongStride {
  std::int64_t tp_rank = 0;
  Delta delta;
  DueRows due;
  std::int64_t stride = 0;
  std::int64_t due_stride = 0;
  Content found;  ///< where the first of the elements stands
  friend auto operator<=>(const WrongStride&, const WrongStride&) = default;
};
/// It takes other rows of A. `indices` are those that are due.
struct WrongLoraA {
  std::int64_t tp_rank = 0;
  Delta delta;
  DueRows due;
  LoraIndices indices;
  Content found;
  friend auto operator<=>(const WrongLoraA&, const WrongLoraA&) = default;
};
/// It reads behind the end of the adapter's slot.
struct ReadPastSlot {
  std::int64_t tp_rank = 0;
  Delta delta;
  DueRows due;
  std::optional<LoraIndices> a_rows;      ///< rows of A that are due; nothing: rows of B are
  std::optional<std::int64_t> slot_read;  ///< nothing: outside the pool
  Content found;
  friend auto operator<=>(const ReadPastSlot&, const ReadPastSlot&) = default;
};
/// The contraction ends before the adapter's lora_rank.
struct ShortContraction {
  std::int64_t tp_rank = 0;
  Delta delta;
  DueRows due;
  std::int64_t depth = 0;
  std::int64_t due_depth = 0;
  friend auto operator<=>(const ShortContraction&, const ShortContraction&) = default;
};
/// Something is added where nothing is due: behind the adapter's lora_rank, or in a part that it
/// leaves out.
struct UnwantedTerm {
  std::int64_t tp_rank = 0;
  Delta delta;
  DueRows due;
  LoraIndices indices;  ///< at which it is added
  Content found;        ///< rows of A or of B
  friend auto operator<=>(const UnwantedTerm&, const UnwantedTerm&) = default;
};
/// A launch writes behind the end of the rank's output row.
struct WrittenPastRow {
  std::int64_t tp_rank = 0;
  Delta delta;
  std::int64_t column = 0;
  std::int64_t columns = 0;
  friend auto operator<=>(const WrittenPastRow&, const WrittenPastRow&) = default;
};
/// A tensor of B has other rows than the layer's part, and is loaded all the same: its rows have no
/// meaning here.
struct ForeignRows {
  std::int64_t tp_rank = 0;
  Delta delta;
  Part part = Part::q;
  std::int64_t rows = 0;
  std::int64_t due_rows = 0;
  friend auto operator<=>(const ForeignRows&, const ForeignRows&) = default;
};
/// No launch writes these columns.
struct NoDelta {
  std::int64_t tp_rank = 0;
  Delta delta;
  DueRows due;
  friend auto operator<=>(const NoDelta&, const NoDelta&) = default;
};
/// More than one launch does.
struct SecondDelta {
  std::int64_t tp_rank = 0;
  Delta delta;
  DueRows due;
  friend auto operator<=>(const SecondDelta&, const SecondDelta&) = default;
};

// --- laws 5 and 8
// -----------------------------------------------------------------------------------

/// Ranks that own one KV head differ in what is wrong with it.
struct DisagreeingReplicas {
  std::int64_t tp_rank = 0;
  std::int64_t other_tp_rank = 0;
  Part part = Part::k;  ///< k or v
  std::int64_t kv_head = 0;
  friend auto operator<=>(const DisagreeingReplicas&, const DisagreeingReplicas&) = default;
};
/// An adapter's delta has another factor than is due: lora_alpha / lora_rank, or with rsLoRA
/// lora_alpha / sqrt(lora_rank).
struct WrongScaling {
  std::int64_t tp_rank = 0;
  Delta delta;
  std::optional<Part> part;  ///< of this part only; nothing: of all that the adapter targets
  friend auto operator<=>(const WrongScaling&, const WrongScaling&) = default;
};

/// One broken law in one place.
using Violation =
    std::variant<HeadsOutside, WrongOwners, UnevenHeads, WrongPairing, WrongBase, SurplusColumns,
                 MissingColumns, WrongLoraB, WrongStride, WrongLoraA, ReadPastSlot,
                 ShortContraction, UnwantedTerm, WrittenPastRow, ForeignRows, NoDelta, SecondDelta,
                 DisagreeingReplicas, WrongScaling>;

/// Functions of several alternatives as one, for std::visit.
template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

/// The law that is broken. What stands where another adapter's rows are due breaks law 6 if it is
/// another adapter's or was never written, and law 2 otherwise.
[[nodiscard]] Law law_of(const Violation& violation);
/// The rank on which it is told.
[[nodiscard]] std::int64_t tp_rank_of(const Violation& violation);
/// The columns and rows concerned; nullptr where it is not about due rows.
[[nodiscard]] const DueRows* due_of(const Violation& violation);
/// The delta concerned; nullptr: the base layer.
[[nodiscard]] const Delta* delta_of(const Violation& violation);
/// The adapter whose rows these are; nothing for the base weight, zeros and memory without rows.
[[nodiscard]] std::optional<int> adapter_of(const Content& content);
/// The part whose rows these are, where they are of one.
[[nodiscard]] std::optional<Part> part_of(const Content& content);

}  // namespace tplora::core
