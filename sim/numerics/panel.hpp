// Rows of a matrix, packed for the dot kernels.
#pragma once

#include <cstdint>
#include <vector>

namespace tplora {

/// Rows of one block: a kernel works on whole blocks, one row in each vector lane.
inline constexpr std::int64_t kPanelRows = 16;

/// A matrix [rows, cols] as blocks of kPanelRows rows, inside a block column by column:
/// block(b)[k * kPanelRows + i] is row b*kPanelRows + i, column k. Rows missing in the last block
/// are unspecified.
class Panel {
 public:
  Panel(std::int64_t rows, std::int64_t cols) { resize(rows, cols); }

  /// Changes the shape; the contents are unspecified afterwards.
  void resize(std::int64_t rows, std::int64_t cols);
  /// Becomes the matrix at `source`: [rows, row_stride >= cols], row-major.
  void pack(const float* source, std::int64_t rows, std::int64_t cols, std::int64_t row_stride);

  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  [[nodiscard]] float* block(std::int64_t b) { return values_.data() + b * kPanelRows * cols_; }
  [[nodiscard]] const float* block(std::int64_t b) const {
    return values_.data() + b * kPanelRows * cols_;
  }
  [[nodiscard]] float at(std::int64_t row, std::int64_t col) const {
    return block(row / kPanelRows)[col * kPanelRows + row % kPanelRows];
  }

 private:
  std::int64_t rows_ = 0, cols_ = 0;
  std::vector<float> values_;
};

}  // namespace tplora
