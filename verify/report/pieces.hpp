// A rank's plan in the words of a report: parts, heads and logical rows instead of offsets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// Logical rows [from, from+rows) of `part`, all of one head. `from` counts from the part's first
/// row, as in the checkpoint's projection.
struct HeldRows {
  std::string part;
  std::int64_t head = 0;
  std::int64_t from = 0;
  std::int64_t rows = 0;
  friend bool operator==(const HeldRows&, const HeldRows&) = default;
};

/// A piece with what it is for and what it really holds.
struct DescribedPiece {
  std::string part;    ///< by position: the part whose columns it feeds
  std::string buffer;  ///< name of the buffer; "weight" for the base weight
  std::int64_t to = 0, from = 0, rows = 0, wanted_rows = 0;
  std::int64_t column = 0;  ///< first output column that it feeds (A: 0)
  std::vector<HeldRows> holds;
  friend bool operator==(const DescribedPiece&, const DescribedPiece&) = default;
};

struct DescribedRank {
  std::int64_t tp_rank = 0;
  std::int64_t b_buffer_rows = 0, b_slice_rows = 0;  ///< sums over the buffers
  std::vector<DescribedPiece> weight, b, a;
};

/// Describes rank and, where it was planned, the load of the case's first adapter.
[[nodiscard]] DescribedRank describe_rank(const PreparedCase& item, const RankState& rank);

}  // namespace tplora::core
