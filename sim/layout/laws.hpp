// The laws a plan must keep, as compositions of interval maps (docs/laws.md).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/layout/plan.hpp"
#include "sim/layout/pool_map.hpp"
#include "sim/layout/pool_steps.hpp"

namespace tplora {

/// What really stands where some row was expected.
struct Holder {
  enum class Kind {
    rows,  ///< rows of an adapter or of the base weight
    zeros,
    nothing,  ///< nothing was ever loaded there, or no kernel writes there
    outside,  ///< memory outside the pool
    twice,    ///< a second contribution to the same column
  };
  Kind kind = Kind::nothing;
  int adapter = -1;             ///< with `rows`: the adapter, -1 for the base weight
  std::int32_t part_space = 0;  ///< with `rows`: Part or kSharedA
  std::int64_t first_row = 0;   ///< with `rows`: row in that part, or A row (lora_rank index)
  std::int64_t slot = -1;       ///< the slot it was read from, -1 where that means nothing
  friend bool operator==(const Holder&, const Holder&) = default;
};

/// One stretch of output rows for which a law is broken.
struct Violation {
  enum class Side { heads, weight, lora_a, lora_b, kernel, scaling };
  Law law = Law::identity;
  Side side = Side::lora_b;
  std::int64_t tp_rank = 0;
  int adapter = -1;        ///< the adapter whose delta is concerned, -1: the base layer
  std::int64_t slot = -1;  ///< its slot
  /// Nothing where no row of the model is concerned: columns that no part owns, or behind the
  /// output row; first_row then means nothing.
  std::optional<Part> part = std::nullopt;
  std::int64_t first_row = 0;  ///< logical row in the part (side heads: head number)
  std::int64_t rows = 0;
  std::int64_t column = 0;  ///< first local output column (lora_a: first lora_rank index)
  Holder holder;
  FormulaRef cause;
};

/// Everything the laws look at on one rank.
struct RankState {
  RankBuild build;
  std::vector<RankLoad> loads;        ///< one for each shape that was loaded, then leftovers
  std::vector<std::int32_t> load_of;  ///< by pool event: place in loads, -1 if not planned
  PoolMap pool;

  [[nodiscard]] bool has_load(int event) const {
    return static_cast<std::size_t>(event) < load_of.size() &&
           load_of[static_cast<std::size_t>(event)] >= 0;
  }
  /// What the rank does at a pool event. Precondition: has_load(event).
  [[nodiscard]] const RankLoad& load(int event) const {
    return loads[static_cast<std::size_t>(load_of[static_cast<std::size_t>(event)])];
  }
};

/// Whether nobody looks at what a rank computes: it owns no query head (a padded layout has such
/// ranks), and its output is not gathered.
[[nodiscard]] bool owes_nothing(const Contract& contract, const RankBuild& build);

/// Where a rank's attention finds rows it owns: columns of the output of rank `source` (a place in
/// the group), by the contract's view.
struct OwnedRows {
  Part part = Part::q;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t source = 0;
  std::int64_t column = 0;
};

/// All rows that rank `t` of the group owns, in the order of the view. Columns may lie outside the
/// source's output where the contract is wrong.
[[nodiscard]] std::vector<OwnedRows> owned_rows(const Contract& contract,
                                                const QkvGeometry& geometry,
                                                std::span<const RankState> group, std::size_t t);

/// Laws 4 and 7 for one attention group (ranks in t order): each rank owns heads that belong
/// together, all heads are owned as often as they must, and the base weight's rows stand where
/// attention finds them.
void check_group(const Contract& contract, const QkvGeometry& geometry,
                 std::span<const RankState> group, std::vector<Violation>& violations);

/// The A rows of a live adapter's slot as a group's kernels see them, for each lora_a buffer: with
/// `gather: tp` the buffers of all its ranks in t order, else nothing (each rank sees its own).
void gather_a(const Contract& contract, std::span<const RankState> group, const LiveAdapter& live,
              std::vector<IntervalMap>& gathered);

/// Laws 2, 3 and 6 for one live adapter on one rank; `gathered` comes from gather_a.
void check_delta(const Contract& contract, const Deployment& deployment, const RankState& rank,
                 const LiveAdapter& live, const std::vector<IntervalMap>& gathered,
                 std::vector<Violation>& violations);

/// Law 8 for one live adapter on one rank; `events` are those of scaling_events. Without rows: the
/// violation is about all of the delta.
void check_scaling(const RankState& rank, const LiveAdapter& live, std::span<const int> events,
                   std::vector<Violation>& violations);

/// Law 5: where ranks that own the same KV head differ in what is wrong with it, the replicas
/// differ. Adds one violation for each such rank and part.
void check_agreement(const Contract& contract, const QkvGeometry& geometry,
                     std::span<const RankState> group, std::vector<Violation>& violations);

}  // namespace tplora
