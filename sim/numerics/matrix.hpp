// Row-major fp32 matrices that somebody else owns.
#pragma once

#include <Eigen/Core>
#include <cstdint>

namespace tplora::core {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A view of rows that lie `outer` elements apart. Only for places and comparison: Eigen's products
/// and conversions stay out of the bit path.
using MatrixView = Eigen::Map<const Matrix, Eigen::Unaligned, Eigen::OuterStride<>>;

/// [rows, cols] at `values`, one row every `row_stride` elements.
struct MatrixShape {
  std::int64_t rows = 0, cols = 0, row_stride = 0;
};
[[nodiscard]] inline MatrixView view_of(const float* values, const MatrixShape& shape) {
  return {values, shape.rows, shape.cols, Eigen::OuterStride<>(shape.row_stride)};
}

}  // namespace tplora::core
