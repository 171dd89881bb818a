// Weight rows, packed for the dot kernels.
#pragma once

#include <cstdint>

#include "sim/base/aligned.hpp"
#include "sim/numerics/scalar.hpp"

namespace tplora::core {

/// Rows of one block: a kernel works on whole blocks, one row in each vector lane.
inline constexpr std::int64_t kPanelRows = 16;

/// Row-major weights [rows, row_stride >= cols] that somebody else owns: `float` for fp32, 16-bit
/// patterns for bf16 and fp16.
struct WeightRows {
  const void* values = nullptr;
  ScalarType type = ScalarType::fp32;
  std::int64_t rows = 0, cols = 0, row_stride = 0;

  [[nodiscard]] float at(std::int64_t row, std::int64_t col) const {
    const std::int64_t i = row * row_stride + col;
    return type == ScalarType::fp32 ? static_cast<const float*>(values)[i]
                                    : decode(type, static_cast<const std::uint16_t*>(values)[i]);
  }
};

/// A matrix [rows, cols] as blocks of kPanelRows rows, inside a block column by column: element
/// k * kPanelRows + i of block b is row b*kPanelRows + i, column k. Rows missing in the last block,
/// and one block behind it, are there but unspecified.
///
/// Elements are stored as fp32, or as patterns of a 16-bit type: half the memory to read.
class Panel {
 public:
  Panel(std::int64_t rows, std::int64_t cols, ScalarType storage = ScalarType::fp32)
      : storage_(storage) {
    resize(rows, cols);
  }

  /// Changes the shape; the contents are unspecified afterwards.
  void resize(std::int64_t rows, std::int64_t cols);
  /// Becomes the rows of `source`. Precondition: their type is this panel's storage, or the storage
  /// is fp32, which holds every type.
  void pack(const WeightRows& source);
  /// Becomes the fp32 matrix at `source`: [rows, row_stride >= cols], row-major.
  void pack(const float* source, std::int64_t rows, std::int64_t cols, std::int64_t row_stride) {
    pack({.values = source, .rows = rows, .cols = cols, .row_stride = row_stride});
  }

  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  [[nodiscard]] ScalarType storage() const { return storage_; }
  /// Block b where the storage is fp32.
  [[nodiscard]] float* block(std::int64_t b) { return values_.data() + b * kPanelRows * cols_; }
  [[nodiscard]] const float* block(std::int64_t b) const {
    return values_.data() + b * kPanelRows * cols_;
  }
  /// Block b where the storage is a 16-bit type.
  [[nodiscard]] const std::uint16_t* bits(std::int64_t b) const {
    return bits_.data() + b * kPanelRows * cols_;
  }
  [[nodiscard]] float at(std::int64_t row, std::int64_t col) const {
    const std::int64_t i = col * kPanelRows + row % kPanelRows;
    return storage_ == ScalarType::fp32 ? block(row / kPanelRows)[i]
                                        : decode(storage_, bits(row / kPanelRows)[i]);
  }

 private:
  ScalarType storage_;
  std::int64_t rows_ = 0, cols_ = 0;
  AlignedVector<float> values_;        ///< fp32 storage
  AlignedVector<std::uint16_t> bits_;  ///< 16-bit storage
};

}  // namespace tplora::core
