// What pieces of a pool's maps hold, as violations tell it.
#pragma once

#include "sim/base/interval_map.hpp"
#include "sim/layout/violation.hpp"

namespace tplora::core {

/// Of a map of B rows; of A rows.
[[nodiscard]] Content content_of_b(const Segment& piece);
[[nodiscard]] Content content_of_a(const Segment& piece);

}  // namespace tplora::core
