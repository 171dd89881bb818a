#include "sim/layout/copy_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/base/ensure.hpp"
#include "sim/layout/map_facts.hpp"

namespace tplora::core {

namespace {

/// The slices of one source tensor, one behind the other: row of that -> logical row.
IntervalMap joined(const Slices& slices, Source source, std::int64_t& rows) {
  IntervalMap map;
  rows = 0;
  for (const Piece& piece : slices.pieces) {
    if (piece.source == source) {
      ensure(static_cast<std::size_t>(piece.buffer) < slices.maps.size(),
             "a slice was put into a buffer of the load before");
      slices.maps[static_cast<std::size_t>(piece.buffer)].visit(
          piece.to, piece.to + piece.rows, [&](const Segment& segment) {
            if (segment.space != kNothing) {
              map.append(rows + segment.at - piece.to, segment.rows, segment.space, segment.from);
            }
          });
      rows += piece.rows;
    }
  }
  ensure_checked([&] { return in_order(map, rows); }, "slices are joined one behind the other");
  return map;
}

/// Rows of the tensor that a copy of the base weight reads.
std::int64_t weight_rows(const QkvGeometry& geometry, Source source) {
  switch (source) {
    case Source::q: return geometry.rows(Part::q);
    case Source::k: return geometry.rows(Part::k);
    case Source::v: return geometry.rows(Part::v);
    default: return geometry.total_rows();
  }
}

/// Rows of the tensor that a copy reads.
std::int64_t source_rows(const Scope& scope, const CopyTarget& target, Source source) {
  const auto part = static_cast<int>(source);
  switch (target.tensor) {
    case CopyTarget::Tensor::weight: return weight_rows(target.geometry, source);
    case CopyTarget::Tensor::lora_a:
      return source == Source::shared ? scope.value(symbol::r) : scope.value(symbol::r_q + part);
    default: break;
  }
  return source == Source::fused ? scope.value(symbol::rows_q) + scope.value(symbol::rows_k) +
                                       scope.value(symbol::rows_v)
                                 : scope.value(symbol::rows_q + part);
}

/// q, k and v of an adapter that has other rows than the layer, one behind the other.
void append_foreign(const Scope& scope, std::int64_t from, std::int64_t rows, std::int64_t at,
                    IntervalMap& map) {
  std::int64_t begin = 0;
  for (const Part part : kParts) {
    const std::int64_t end = begin + scope.value(symbol::rows_q + static_cast<int>(part));
    const std::int64_t first = std::max(from, begin);
    map.append(at + first - from, std::min(from + rows, end) - first, space_of(part),
               first - begin);
    begin = end;
  }
}

/// Puts rows [from, from+rows) of a whole source at `at`.
void put_source(const Scope& scope, Source source, const CopyTarget& target, std::int64_t at,
                std::int64_t rows, std::int64_t from, IntervalMap& map) {
  if (target.tensor == CopyTarget::Tensor::lora_a || source != Source::fused) {
    constexpr std::array<std::int32_t, 5> kSpaces = {0, 1, 2, kSharedA, kSharedA};
    map.overwrite(at, rows, kSpaces[static_cast<std::size_t>(source)], from);
    return;
  }
  if (target.foreign) {
    IntervalMap fused;
    append_foreign(scope, from, rows, at, fused);
    map.overlay(fused.segments());
    return;
  }
  if (map.empty() || at >= map.segments().back().end()) {
    append_fused(target.geometry, target.order, from, rows, at, map);
    return;
  }
  IntervalMap fused;
  append_fused(target.geometry, target.order, from, rows, at, fused);
  map.overlay(fused.segments());
}

/// Evaluates where a copy takes its rows and where it puts them.
bool place_piece(Scope& scope, const Copy& copy, const CopyTarget& target, Piece& piece) {
  if (!scope.eval(copy.from, piece.from) || !scope.eval(copy.rows, piece.wanted_rows) ||
      (copy.at && !scope.eval(*copy.at, piece.to))) {
    return false;
  }
  const auto outside = [](std::int64_t n) { return n > kMaxRows || n < -kMaxRows; };
  if (piece.wanted_rows < 0 || piece.to < 0 || outside(piece.from) || outside(piece.wanted_rows) ||
      outside(piece.to)) {
    // A negative count is no assertion of an engine: the description is wrong.
    return scope.stop(
        [&] {
          return fmt::format("a copy of {} rows from row {} to row {}, expected counts from 0 on",
                             piece.wanted_rows, piece.from, piece.to);
        },
        copy.place, piece.wanted_rows < 0 || piece.to < 0);
  }
  const std::int64_t reached = target.extents[static_cast<std::size_t>(copy.buffer)];
  if (target.tensor == CopyTarget::Tensor::weight && piece.to < reached && piece.wanted_rows > 0) {
    return scope.stop(
        [&] {
          return fmt::format(
              "output columns from {} on are written twice, the copies before end at {}", piece.to,
              reached);
        },
        copy.place, true);
  }
  return true;
}

/// Whether maps are in order, and as long as the pieces together: a weight's, of whose columns each
/// is written once; others, whose rows may be written again and whose slices may have gaps, at
/// most.
bool made_of_pieces(const CopyTarget& target) {
  for (std::size_t i = 0; i < target.maps.size(); ++i) {
    std::int64_t copied = 0;
    for (const Piece& piece : target.pieces) {
      copied += static_cast<std::size_t>(piece.buffer) == i ? piece.rows : 0;
    }
    const std::int64_t rows = rows_of(target.maps[i]);
    const bool once = target.tensor == CopyTarget::Tensor::weight;
    if (!in_order(target.maps[i], target.extents[i]) || (once ? rows != copied : rows > copied)) {
      return false;
    }
  }
  return true;
}

bool put_piece(Scope& scope, const Copy& copy, CopyTarget& target, Piece& piece) {
  if (!place_piece(scope, copy, target, piece)) {
    return false;
  }
  ensure((copy.source == Source::shared) <= (target.tensor == CopyTarget::Tensor::lora_a),
         "only an A is shared");
  const auto buffer = static_cast<std::size_t>(copy.buffer);
  std::int64_t available = source_rows(scope, target, copy.source);
  const bool cut_before = target.slices.cut;
  const IntervalMap slices =
      cut_before ? joined(target.slices, copy.source, available) : IntervalMap();
  const std::int64_t begin = std::clamp<std::int64_t>(piece.from, 0, available);
  const std::int64_t end =
      std::clamp<std::int64_t>(piece.from + piece.wanted_rows, begin, available);
  if (target.past_end == PastEnd::error && end - begin != piece.wanted_rows) {
    return scope.stop(
        [&] {
          return fmt::format("rows {} to {} are taken of a source {} that has {}: {} and {}",
                             piece.from, piece.from + piece.wanted_rows, source_name(copy.source),
                             available, scope.describe(copy.from), scope.describe(copy.rows));
        },
        copy.place);
  }
  const bool zero_fill = target.past_end == PastEnd::zero;
  piece.rows = zero_fill ? piece.wanted_rows : end - begin;
  ensure(0 <= piece.rows && piece.rows <= piece.wanted_rows,
         "a copy has no more rows than it wants");
  IntervalMap& map = target.maps[buffer];
  if (zero_fill) {
    map.overwrite(piece.to, piece.rows, kZeros, 0);
  }
  const std::int64_t at = zero_fill ? piece.to + (begin - std::min(begin, piece.from)) : piece.to;
  if (cut_before) {
    slices.visit(begin, end, [&](const Segment& segment) {
      if (segment.space != kNothing) {
        map.overwrite(at + segment.at - begin, segment.rows, segment.space, segment.from);
      }
    });
  } else {
    put_source(scope, copy.source, target, at, end - begin, begin, map);
  }
  target.extents[buffer] = std::max(target.extents[buffer], piece.to + piece.rows);
  ensure(end_of(map) <= target.extents[buffer], "a copy writes no row behind those it counts");
  return true;
}

bool copy_once(Scope& scope, const Copy& copy, int number, CopyTarget& target) {
  ensure(0 <= copy.buffer && static_cast<std::size_t>(copy.buffer) < target.maps.size(),
         "a copy goes to a buffer of its section");
  // Filled in where it will stay, and taken back on failure.
  Piece& piece = target.pieces.emplace_back();
  piece.copy = number;
  piece.source = copy.source;
  piece.buffer = copy.buffer;
  piece.to = target.extents[static_cast<std::size_t>(copy.buffer)];
  if (put_piece(scope, copy, target, piece)) {
    return true;
  }
  target.pieces.pop_back();
  return false;
}

}  // namespace

bool copy_rows(Scope& scope, const std::vector<Copy>& copies, CopyTarget& target) {
  ensure(target.maps.size() == target.extents.size(), "a buffer has a map and an extent");
  ensure(target.tensor != CopyTarget::Tensor::weight || target.maps.size() == 1,
         "a rank has one base weight");
  ensure(target.pieces.empty(), "a section is copied once");
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const bool good = scope.for_each_index(
        copies[i].loops, [&] { return copy_once(scope, copies[i], static_cast<int>(i), target); });
    if (!good) {
      return false;
    }
  }
  ensure_checked([&] { return made_of_pieces(target); }, "maps hold the rows of their pieces");
  return true;
}

}  // namespace tplora::core
