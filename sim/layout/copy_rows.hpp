// Evaluates the copies of one section of a contract: which rows of which source go where.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/layout/rank_plan.hpp"
#include "sim/layout/row_order.hpp"
#include "sim/layout/scope.hpp"

namespace tplora::core {

/// What an earlier load took of an adapter's tensors, where that is all that is left of them.
struct Slices {
  bool cut = false;  ///< false: the tensors are whole
  std::span<const Piece> pieces;
  std::span<const IntervalMap> maps;
};

/// Where the copies of one section go, and what they copy from.
struct CopyTarget {
  enum class Tensor {
    weight,  ///< rows are output columns: each is written once
    lora_b,
    lora_a,  ///< sources are A tensors, with as many rows as their part has lora_rank
  };
  const QkvGeometry& geometry;
  Tensor tensor;
  FusedOrder order = FusedOrder::blocks;  ///< in which rows stand in the fused source
  bool foreign = false;  ///< its parts have other rows than the layer's, one part behind the other
  PastEnd past_end = PastEnd::clip;
  std::vector<Piece>& pieces;       ///< filled in
  std::span<IntervalMap> maps;      ///< one for each buffer
  std::span<std::int64_t> extents;  ///< rows used so far in each buffer
  Slices slices = {};               ///< what is left of the sources
};

/// Makes all copies in their order. Precondition: the target has a map and an extent for each
/// buffer that they name, and slices are of equal buffers. False, with the reason left in `scope`:
/// a formula without a value, a count that cannot be, a column written twice, rows past the end
/// where that is an error.
bool copy_rows(Scope& scope, const std::vector<Copy>& copies, CopyTarget& target);

}  // namespace tplora::core
