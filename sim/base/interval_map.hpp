// Where rows come from: piecewise translations between row spaces.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/base/ensure.hpp"

namespace tplora::core {

/// Rows [at, at+rows) of a target are rows [from, from+rows) of the row space numbered `space`.
/// `Segment s;` leaves all four members unset: a SegmentList holds a few segments that it does not
/// use yet, and setting them to 0 would take time in every map. `Segment{.at = 3}` sets the rest to
/// 0.
struct Segment {
  std::int64_t at;
  std::int64_t rows;
  std::int32_t space;
  std::int64_t from;

  [[nodiscard]] std::int64_t end() const { return at + rows; }
  friend bool operator==(const Segment&, const Segment&) = default;
};

/// Two spaces every user of the map shares; their rows have no number, so `from` is 0.
inline constexpr std::int32_t kNothing = -1;  ///< never written, or outside the map
inline constexpr std::int32_t kZeros = -2;    ///< known to be zero

/// A list of segments that holds a few without allocating: most maps of a plan have one to four,
/// and a sweep makes millions of them.
class SegmentList {
 public:
  SegmentList() {}  // NOLINT(modernize-use-equals-default): `= default` would clear inline_
  [[nodiscard]] std::span<const Segment> view() const {
    return heap_.empty() ? std::span<const Segment>(inline_.data(), count_)
                         : std::span<const Segment>(heap_);
  }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  /// Precondition: not empty.
  [[nodiscard]] const Segment& back() const {
    return heap_.empty() ? inline_[count_ - 1] : heap_.back();
  }
  [[nodiscard]] Segment& back() { return heap_.empty() ? inline_[count_ - 1] : heap_.back(); }
  void clear() {
    count_ = 0;
    heap_.clear();
  }
  /// In numbers, not as a Segment: copying one that was just written stalls the processor, which
  /// cannot forward two narrow stores to one wide load.
  void push_back(std::int64_t at, std::int64_t rows, std::int32_t space, std::int64_t from) {
    if (count_ == inline_.size()) {
      heap_.assign(inline_.begin(), inline_.end());
    }
    Segment& segment = count_ < inline_.size() ? inline_[count_] : heap_.emplace_back();
    segment.at = at;
    segment.rows = rows;
    segment.space = space;
    segment.from = from;
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
  void append(const Segment& segment) {
    append(segment.at, segment.rows, segment.space, segment.from);
  }
  void append(std::int64_t at, std::int64_t rows, std::int32_t space, std::int64_t from) {
    if (rows <= 0) {
      return;
    }
    from = space < 0 ? 0 : from;
    if (!segments_.empty()) {
      Segment& last = segments_.back();
      ensure(at >= last.end(), "segments are appended in ascending order");
      const bool continues =
          last.end() == at && last.space == space && (space < 0 || last.from + last.rows == from);
      if (continues) {
        last.rows += rows;
        return;
      }
    }
    segments_.push_back(at, rows, space, from);
  }

  /// Makes the segment's rows what it says, whatever they were.
  void overwrite(std::int64_t at, std::int64_t rows, std::int32_t space, std::int64_t from) {
    if (rows <= 0) {
      return;
    }
    if (segments_.empty() || at >= segments_.back().end()) {
      append(at, rows, space, from);
      return;
    }
    const Segment segment{.at = at, .rows = rows, .space = space, .from = from};
    overlay({&segment, 1});
  }

  /// Makes the rows of all segments what they say, in one pass; rows between them stay as they are.
  /// Precondition: segments are in ascending order, without overlap and not empty.
  void overlay(std::span<const Segment> segments) {
    if (segments.empty()) {
      return;
    }
    const bool behind = segments_.empty() || segments.front().at >= segments_.back().end();
    if (behind || covers(segments)) {
      if (!behind) {
        clear();
      }
      for (const Segment& segment : segments) {
        append(segment);
      }
      return;
    }
    const std::int64_t end = segments_.back().end();
    std::int64_t at = std::min(this->segments().front().at, segments.front().at);
    IntervalMap result;
    const auto keep = [&](const Segment& piece) { result.append_known(piece); };
    for (const Segment& segment : segments) {
      visit(at, segment.at, keep);
      result.append(segment);
      at = segment.end();
    }
    visit(at, end, keep);
    segments_ = std::move(result.segments_);
  }

  /// Whether rows [begin, end) are, in one segment, rows `from` on of `space`. Precondition:
  /// space >= 0.
  [[nodiscard]] bool holds(std::int64_t begin, std::int64_t end, std::int32_t space,
                           std::int64_t from) const {
    for (const Segment& segment : segments_.view()) {
      if (end <= segment.end()) {
        return segment.at <= begin && segment.space == space &&
               segment.from + (begin - segment.at) == from;
      }
    }
    return false;
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
        body(Segment{.at = at, .rows = segment.at - at, .space = kNothing, .from = 0});
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
      body(Segment{.at = at, .rows = end - at, .space = kNothing, .from = 0});
    }
  }

  friend bool operator==(const IntervalMap&, const IntervalMap&) = default;

 private:
  /// Whether nothing of this map would be left beside the segments. Precondition: both not empty.
  [[nodiscard]] bool covers(std::span<const Segment> segments) const {
    if (segments.front().at > this->segments().front().at ||
        segments.back().end() < segments_.back().end()) {
      return false;
    }
    for (std::size_t i = 1; i < segments.size(); ++i) {
      if (segments[i].at != segments[i - 1].end()) {
        return false;
      }
    }
    return true;
  }

  void append_known(const Segment& piece) {
    if (piece.space != kNothing) {
      append(piece);
    }
  }

  SegmentList segments_;
};

}  // namespace tplora::core
