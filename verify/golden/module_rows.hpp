// Which rows of q, k and v stand where in a checkpoint's tensors.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Rows [first, first + rows) of a part's own projection.
struct RowRun {
  Part part = Part::q;
  std::int64_t first = 0, rows = 0;
};

/// Rows of the tensor that holds `parts`, in its true order.
[[nodiscard]] std::vector<RowRun> rows_of_tensor(const QkvGeometry& g, const CheckpointForm& form,
                                                 std::span<const Part> parts);

/// The parts that each module of a checkpoint holds.
[[nodiscard]] std::vector<std::vector<Part>> parts_of_modules(Fusion fusion);

[[nodiscard]] std::int64_t count_rows(std::span<const RowRun> runs);

/// Rows of B of the fused module of an adapter: the checkpoint's own order, or q, k, v where it
/// fuses nothing.
[[nodiscard]] std::vector<RowRun> rows_of_fused_b(const QkvGeometry& g, const CheckpointForm& form);
/// Of one part's own module: only a gate has an order.
[[nodiscard]] std::vector<RowRun> rows_of_part_b(const QkvGeometry& g, const CheckpointForm& form,
                                                 Part part);

}  // namespace tplora::core
