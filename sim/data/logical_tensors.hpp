// The logical tensors of a case, wherever they come from.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/adapter/adapter.hpp"
#include "sim/numerics/panel.hpp"

namespace tplora::core {

/// Tensors of one layer, unsharded and row-major, by logical row: no rank in sight. Every value is
/// one of the case's dtype. Safe to be asked from several threads at once.
class LogicalTensors {
 public:
  LogicalTensors() = default;
  LogicalTensors(const LogicalTensors&) = default;
  LogicalTensors& operator=(const LogicalTensors&) = default;
  virtual ~LogicalTensors() = default;

  /// [tokens, hidden_size]
  [[nodiscard]] virtual std::vector<float> x(std::int64_t tokens) const = 0;
  /// [rows of the part]
  [[nodiscard]] virtual std::vector<float> bias(Part part) const = 0;
  /// A and B of every targeted part of adapter number `number`.
  [[nodiscard]] virtual Adapter adapter(const AdapterSpec& adapter, std::int32_t number) const = 0;
  /// Rows [first_row, first_row + rows) of the part's base weight to `out`: [rows, hidden_size].
  virtual void weight_rows(Part part, std::int64_t first_row, std::int64_t rows,
                           float* out) const = 0;
  /// `panel` becomes these rows.
  virtual void weight_panel(Part part, std::int64_t first_row, std::int64_t rows,
                            Panel& panel) const = 0;
};

}  // namespace tplora::core
