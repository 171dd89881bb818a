#include "sim/numerics/panel.hpp"

#include <algorithm>

namespace tplora {

void Panel::resize(std::int64_t rows, std::int64_t cols) {
  rows_ = rows;
  cols_ = cols;
  const auto size =
      static_cast<std::size_t>((rows + kPanelRows - 1) / kPanelRows * kPanelRows * cols);
  if (values_.size() < size) {
    values_.resize(size);
  }
}

void Panel::pack(const float* source, std::int64_t rows, std::int64_t cols,
                 std::int64_t row_stride) {
  resize(rows, cols);
  for (std::int64_t first = 0; first < rows; first += kPanelRows) {
    float* const to = block(first / kPanelRows);
    const std::int64_t some = std::min(kPanelRows, rows - first);
    for (std::int64_t i = 0; i < some; ++i) {
      const float* const row = source + (first + i) * row_stride;
      for (std::int64_t k = 0; k < cols; ++k) {
        to[k * kPanelRows + i] = row[k];
      }
    }
  }
}

}  // namespace tplora
