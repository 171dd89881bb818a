// Where rows come from: piecewise translations between row spaces.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/base/ensure.hpp"

namespace tplora {

/// Rows [at, at+rows) of a target are rows [from, from+rows) of the row space numbered `space`.
struct Segment {
  std::int64_t at = 0;
  std::int64_t rows = 0;
  std::int32_t space = 0;
  std::int64_t from = 0;

  [[nodiscard]] std::int64_t end() const { return at + rows; }
  friend bool operator==(const Segment&, const Segment&) = default;
};

/// Two spaces every user of the map shares; their rows have no number, so `from` is 0.
inline constexpr std::int32_t kNothing = -1;  ///< never written, or outside the map
inline constexpr std::int32_t kZeros = -2;    ///< known to be zero

/// A list of segments that holds a few without allocating: most maps of a plan have one to four, and
/// a sweep makes millions of them.
class SegmentList {
 public:
  [[nodiscard]] std::span<const Segment> view() const {
    return heap_.empty() ? std::span<const Segment>(inline_.data(), count_)
                         : std::span<const Segment>(heap_);
  }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  /// Precondition: not empty.
  [[nodiscard]] Segment& back() { return heap_.empty() ? inline_[count_ - 1] : heap_.back(); }
  void clear() {
    count_ = 0;
    heap_.clear();
  }
  void push_back(const Segment& segment) {
    if (count_ < inline_.size()) {
      inline_[count_] = segment;
    } else {
      if (heap_.empty()) {
        heap_.assign(inline_.begin(), inline_.end());
      }
      heap_.push_back(segment);
    }
    ++count_;
  }
  friend bool operator==(const SegmentList& a, const SegmentList& b) {
    return std::ranges::equal(a.view(), b.view());
  }

 private:
  std::size_t count_ = 0;
  std::array<Segment, 4> inline_;
  std::vector<Segment> heap_;  ///< all of them, once there are more than fit inline
};

/// A target's rows, each a row of some space: sorted segments without overlap. Rows in a gap, and
/// rows outside, hold kNothing.
class IntervalMap {
 public:
  [[nodiscard]] std::span<const Segment> segments() const { return segments_.view(); }
  [[nodiscard]] bool empty() const { return segments_.empty(); }
  void clear() { segments_.clear(); }

  /// Adds a segment behind all others; joins it to the last where it continues it.
  /// Precondition: segment.at >= the end of the last segment. Empty segments are dropped.
  void append(Segment segment) {
    if (segment.rows <= 0) {
      return;
    }
    segment.from = segment.space < 0 ? 0 : segment.from;
    if (!segments_.empty()) {
      Segment& last = segments_.back();
      ensure(segment.at >= last.end(), "segments are appended in ascending order");
      const bool continues = last.end() == segment.at && last.space == segment.space &&
                             (segment.space < 0 || last.from + last.rows == segment.from);
      if (continues) {
        last.rows += segment.rows;
        return;
      }
    }
    segments_.push_back(segment);
  }

  /// Makes the segment's rows what it says, whatever they were.
  void overwrite(Segment segment) {
    if (segment.rows <= 0) {
      return;
    }
    if (segments_.empty() || segment.at >= segments_.back().end()) {
      append(segment);
      return;
    }
    const std::int64_t first = segments().front().at;
    if (segment.at <= first && segment.end() >= segments_.back().end()) {
      clear();
      append(segment);
      return;
    }
    IntervalMap result;
    visit(std::min(first, segment.at), segment.at,
          [&](const Segment& piece) { result.append_known(piece); });
    result.append(segment);
    visit(segment.end(), segments_.back().end(),
          [&](const Segment& piece) { result.append_known(piece); });
    segments_ = std::move(result.segments_);
  }

  /// Calls `body(segment)` for every piece of the target's rows [begin, end), in order, gaps
  /// included (as kNothing).
  template <class Body>
  void visit(std::int64_t begin, std::int64_t end, Body body) const {
    std::int64_t at = begin;
    for (const Segment& segment : segments_.view()) {
      if (segment.end() <= at) {
        continue;
      }
      if (segment.at >= end) {
        break;
      }
      if (segment.at > at) {
        body(Segment{.at = at, .rows = segment.at - at, .space = kNothing});
        at = segment.at;
      }
      const std::int64_t stop = std::min(end, segment.end());
      body(Segment{.at = at,
                   .rows = stop - at,
                   .space = segment.space,
                   .from = segment.space < 0 ? 0 : segment.from + (at - segment.at)});
      at = stop;
    }
    if (at < end) {
      body(Segment{.at = at, .rows = end - at, .space = kNothing});
    }
  }

  friend bool operator==(const IntervalMap&, const IntervalMap&) = default;

 private:
  void append_known(const Segment& piece) {
    if (piece.space != kNothing) {
      append(piece);
    }
  }

  SegmentList segments_;
};

}  // namespace tplora
