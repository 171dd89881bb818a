// A run of rows, heads or columns.
#pragma once

#include <compare>
#include <cstdint>

namespace tplora {

/// `first` to `last`, both part of it.
struct Range {
  std::int64_t first = 0, last = 0;

  friend auto operator<=>(const Range&, const Range&) = default;
};

}  // namespace tplora
