// The logical tensors of a case, made from a seed: any slice anywhere, no rank in sight.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sim/adapter/adapter.hpp"
#include "sim/data/logical_tensors.hpp"
#include "sim/data/tensor_id.hpp"
#include "sim/data/wide.hpp"
#include "sim/model/geometry.hpp"
#include "sim/numerics/panel.hpp"
#include "sim/numerics/scalar.hpp"

namespace tplora::core {

/// How values are made (docs/numerics.md gives every formula).
enum class DataKind {
  labels,    ///< every value tells its row and adapter; not random
  integers,  ///< -1, 0, 1 on a budget: every order of summation gives the same bits
  wide,      ///< random signs and fractions over eight octaves: exercises every rounding
  file,      ///< weights and adapters are somebody's own, x is as in wide
};
[[nodiscard]] std::string_view data_kind_name(DataKind kind);
[[nodiscard]] std::optional<DataKind> data_kind_of(std::string_view name);

/// What fixes every value of a case's tensors.
struct DataSpec {
  DataKind kind = DataKind::wide;
  ScalarType dtype = ScalarType::bf16;
  std::uint64_t seed = 1;
  QkvGeometry geometry;
};

/// Largest sums that `integers` can reach, whatever the shape: |x W^T + bias|, |x A^T|, |u B^T|.
/// With a scaling of at most 2, base + delta stays below 2^8 and is exact in bf16.
inline constexpr std::int64_t kIntegerBaseBudget = 100;
inline constexpr std::int64_t kIntegerShrinkBudget = 12;
inline constexpr std::int64_t kIntegerExpandBudget = 48;

/// Makes tensors by logical index. Every value is a value of the spec's dtype and depends on
/// kind, dtype, seed, tensor id, row, column and the tensor's row length alone.
class Generator : public LogicalTensors {
 public:
  /// Of `file` only x can be made.
  explicit Generator(const DataSpec& spec) : spec_(spec) {}

  [[nodiscard]] std::vector<float> x(std::int64_t tokens) const override;
  [[nodiscard]] std::vector<float> bias(Part part) const override;
  [[nodiscard]] Adapter adapter(const AdapterSpec& adapter, std::int32_t number) const override;
  void weight_rows(Part part, std::int64_t first_row, std::int64_t rows, float* out) const override;
  void weight_panel(Part part, std::int64_t first_row, std::int64_t rows,
                    Panel& panel) const override;
  /// `panel` becomes rows [first_row, first_row + rows) of a tensor with row length hidden_size.
  void fill_panel(TensorId id, std::int64_t first_row, std::int64_t rows, Panel& panel) const;

  /// out[i * out_stride + j] = element (row first_row + i, column first_col + j) of a tensor with
  /// rows of `cols` elements.
  struct Block {
    std::int64_t cols = 0;
    std::int64_t first_row = 0, rows = 0;
    std::int64_t first_col = 0, block_cols = 0;
  };
  void fill(TensorId id, const Block& block, float* out, std::int64_t out_stride) const;

 private:
  [[nodiscard]] WideStream wide_stream(TensorId id) const;
  void fill_row(TensorId id, std::int64_t cols, std::int64_t row, std::int64_t first_col,
                std::int64_t count, float* out) const;
  void fill_integers(TensorId id, std::int64_t cols, std::int64_t row, std::int64_t first_col,
                     std::int64_t count, float* out) const;
  [[nodiscard]] float label(TensorId id, std::int64_t cols, std::int64_t row,
                            std::int64_t col) const;
  [[nodiscard]] std::int64_t fused_row(Part part, std::int64_t row) const;

  DataSpec spec_;
};

}  // namespace tplora::core
