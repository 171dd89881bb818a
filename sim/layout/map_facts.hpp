// What must hold of the interval maps of a plan, for assertions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "sim/base/interval_map.hpp"

namespace tplora::core {

/// The row behind the last that a map says something of.
[[nodiscard]] inline std::int64_t end_of(const IntervalMap& map) {
  return map.empty() ? 0 : map.segments().back().end();
}

/// How many rows a map says something of.
[[nodiscard]] inline std::int64_t rows_of(const IntervalMap& map) {
  std::int64_t rows = 0;
  for (const Segment& segment : map.segments()) {
    rows += segment.rows;
  }
  return rows;
}

/// Whether segments are in ascending order, without overlap, not empty, and each of rows that there
/// may be.
[[nodiscard]] inline bool in_order(std::span<const Segment> segments) {
  std::int64_t reached = 0;
  return std::all_of(segments.begin(), segments.end(), [&](const Segment& segment) {
    const bool good = segment.at >= reached && segment.rows > 0 && segment.space >= kZeros &&
                      segment.space != kNothing && segment.from >= 0;
    reached = segment.end();
    return good;
  });
}

/// The same for a map, all of whose rows are below `end`.
[[nodiscard]] inline bool in_order(const IntervalMap& map, std::int64_t end) {
  return in_order(map.segments()) && end_of(map) <= end;
}

}  // namespace tplora::core
