// What is due and what stands where on every rank, for one adapter: all that requirements follow
// from.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/layout/analysis.hpp"
#include "verify/explain/rank_trace.hpp"

namespace tplora::core {

/// Where a row of a space stands in a map; nothing: nowhere.
[[nodiscard]] std::optional<std::int64_t> position(const IntervalMap& map, std::int32_t space,
                                                   std::int64_t row);

/// What stands in the tensors that a section's copies read.
class Sources {
 public:
  Sources(const QkvGeometry& geometry, FusedOrder order, FusedBy fused_by);
  /// Of an adapter's A.
  explicit Sources(const AdapterShape& shape);
  /// Row of the tensor -> row of a part (A: lora_rank index).
  [[nodiscard]] const IntervalMap& of(Source source) const {
    return source == Source::fused || source == Source::shared
               ? fused_
               : own_[static_cast<std::size_t>(source)];
  }

 private:
  IntervalMap fused_;
  std::array<IntervalMap, 3> own_;
};

struct RankFacts {
  RankTrace trace;
  IntervalMap due;                               ///< output column -> row
  std::vector<IntervalMap> b, a;                 ///< by buffer: what the copies put where
  std::vector<IntervalMap> due_b, due_a;         ///< by buffer: what kernels look for there
  std::vector<std::int64_t> b_extent, a_extent;  ///< by buffer: where the last copy ends
};

class GroupFacts {
 public:
  /// Of adapter number `adapter`; -1: of a whole adapter of lora_rank 16, where a case has none.
  GroupFacts(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
             int adapter);

  /// Ranks of an attention group, as the contract says it or else all.
  [[nodiscard]] std::int64_t group_size() const;

  const Contract& contract;
  const LayoutCase& input;
  AdapterShape shape;
  Sources base, lora_b, lora_a;
  std::vector<RankFacts> ranks;  ///< by tp_rank

 private:
  void fill(std::size_t rank, const Analysis& analysis);
  [[nodiscard]] std::vector<std::int64_t> a_begin(std::size_t rank) const;
  [[nodiscard]] IntervalMap due_columns(std::size_t rank, const Analysis& analysis) const;
};

}  // namespace tplora::core
