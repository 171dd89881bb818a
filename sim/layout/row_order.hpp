// The orders in which q, k and v rows stand in one fused tensor.
#pragma once

#include <cstdint>

#include "sim/base/interval_map.hpp"
#include "sim/contract/contract.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// The order in which rows really stand in a fused tensor that a contract takes for `assumed`.
[[nodiscard]] FusedOrder true_order(const QkvGeometry& geometry, FusedOrder assumed,
                                    FusedBy fused_by);

/// Appends to `map`, from target row `at` on, the rows of q heads [first_head, first_head + heads):
/// in the halves order, without their gates first and then the gates. Precondition: the heads
/// exist.
void append_q_heads(const QkvGeometry& geometry, FusedOrder order, std::int64_t first_head,
                    std::int64_t heads, std::int64_t at, IntervalMap& map);

/// Appends to `map`, from target row `at` on, the logical rows that stand at rows
/// [from, from+rows) of a fused tensor in `order`. Precondition: the rows exist.
void append_fused(const QkvGeometry& geometry, FusedOrder order, std::int64_t from,
                  std::int64_t rows, std::int64_t at, IntervalMap& map);

}  // namespace tplora::core
