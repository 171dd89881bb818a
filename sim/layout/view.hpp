// What attention reads: the rows that are due in each rank's output columns. It follows from the
// layer's geometry, the query heads a rank owns and the contract's view, and from nothing that the
// rank has copied.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/layout/rank_state.hpp"

namespace tplora::core {

/// Heads [first, first + count).
struct HeadRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
  [[nodiscard]] std::int64_t end() const { return first + count; }
};

/// The query heads that a rank owns (Part::q), or its KV heads.
[[nodiscard]] HeadRange owned_heads(const RankBuild& build, Part part);

/// The KV heads to which the rank's query heads belong. Those that do not exist have some that do
/// not, or none.
[[nodiscard]] HeadRange due_kv_heads(const QkvGeometry& geometry, const RankBuild& build);

/// Whether nobody looks at what a rank computes: it owns no query head (a padded layout has such
/// ranks), and its output is not gathered.
[[nodiscard]] bool owes_nothing(const Contract& contract, const RankBuild& build);

/// Whether the columns that the view's copies name are each of those that attention looks at once:
/// the rank's own, or where outputs are gathered those of all ranks of the group. True where the
/// view has no copies.
[[nodiscard]] bool view_is_whole(const Contract& contract, std::span<const RankState> group,
                                 const RankBuild& build);

/// Sets `due` on each rank of an attention group (ranks in t order). Where outputs are gathered,
/// the last rank's reaches to the end of the layer, however few columns the rank has. Precondition:
/// the query heads that ranks own exist, and the view is whole on each.
void set_due_columns(const Contract& contract, const QkvGeometry& geometry,
                     std::span<RankState> group);

/// Where a rank's attention finds rows it owns: columns of the output of rank `source` (a place in
/// the group), by the contract's view.
struct OwnedRows {
  Part part = Part::q;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t source = 0;
  std::int64_t column = 0;
};

/// All rows that are due to rank `t` of the group, in the order of the view. Columns may lie
/// outside the source's output where the contract is wrong. Precondition: a rank of the group,
/// whose due columns are set.
[[nodiscard]] std::vector<OwnedRows> owned_rows(const Contract& contract,
                                                const QkvGeometry& geometry,
                                                std::span<const RankState> group, std::size_t t);

}  // namespace tplora::core
