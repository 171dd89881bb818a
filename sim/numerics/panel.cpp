#include "sim/numerics/panel.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/numerics/kernels.hpp"

namespace tplora::core {

void Panel::resize(std::int64_t rows, std::int64_t cols) {
  rows_ = rows;
  cols_ = cols;
  // Whole blocks, and one more for kernels that take two at a time.
  const std::int64_t blocks = (rows + kPanelRows - 1) / kPanelRows + 1;
  const auto size = static_cast<std::size_t>(blocks * kPanelRows * cols);
  if (storage_ == ScalarType::fp32 && values_.size() < size) {
    values_.resize(size);
  } else if (storage_ != ScalarType::fp32 && bits_.size() < size) {
    bits_.resize(size);
  }
}

void Panel::pack(const WeightRows& source) {
  ensure(storage_ == ScalarType::fp32 || storage_ == source.type,
         "a panel stores what it is packed from");
  resize(source.rows, source.cols);
  if (storage_ == ScalarType::fp32) {
    pack_blocks(source, values_.data());
    return;
  }
  const auto* const from = static_cast<const std::uint16_t*>(source.values);
  for (std::int64_t row = 0; row < source.rows; ++row) {
    std::uint16_t* const to =
        bits_.data() + row / kPanelRows * kPanelRows * cols_ + row % kPanelRows;
    for (std::int64_t k = 0; k < cols_; ++k) {
      to[k * kPanelRows] = from[row * source.row_stride + k];
    }
  }
}

}  // namespace tplora::core
