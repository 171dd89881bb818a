// What the rows in an interval map are rows of.
#pragma once

#include <cstdint>

#include "sim/base/ensure.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Row spaces of the maps of a plan: the parts' logical rows, and the one A of a fused adapter.
inline constexpr std::int32_t kSharedA = 3;
[[nodiscard]] constexpr std::int32_t space_of(Part part) {
  return static_cast<std::int32_t>(part);
}
/// Precondition: the space of a part.
[[nodiscard]] constexpr Part part_of(std::int32_t space) {
  ensure_checked([&] { return 0 <= space && space < kSharedA; }, "rows are those of q, k or v");
  return static_cast<Part>(space);
}

}  // namespace tplora::core
