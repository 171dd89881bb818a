// What is wrong with a candidate, as values; verify/report makes sentences of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/data/labels.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Element-wise agreement of one tensor. Indices are row-major positions.
struct TensorComparison {
  std::string tensor;
  std::int64_t tp_rank = 0;
  std::vector<std::int64_t> shape = {};
  std::int64_t elements = 0;    ///< that were compared
  std::int64_t mismatched = 0;  ///< of these, by the judge's measure
  std::int64_t bits_differ = 0;
  std::optional<std::int64_t> first = {};  ///< the first that is mismatched
  float expected = 0, found = 0;           ///< there
  double greatest_absolute = 0, greatest_relative = 0;
  std::int64_t at_absolute = 0, at_relative = 0;
  std::int64_t not_finite = 0;  ///< NaN or infinite where something finite is due
  bool constant = false;        ///< every element of the candidate has the same bits
  float constant_value = 0;
  /// Where the judge looked at the exact result, too: greatest distances from it, correctly
  /// rounded, in units in the last place, of the candidate and of the golden; and the greatest
  /// error as a part of its bound.
  bool judged = false;
  double worst_ulp = 0, golden_worst_ulp = 0, worst_of_bound = 0;
  std::int64_t at_worst = 0;
};

/// Nothing stands there: zeros.
struct FoundZero {
  friend bool operator==(const FoundZero&, const FoundZero&) = default;
};
/// NaN or infinity: memory that nothing wrote, or an overflow.
struct FoundNotFinite {
  friend bool operator==(const FoundNotFinite&, const FoundNotFinite&) = default;
};
/// Values that are no label of this golden.
struct FoundUnknown {
  friend bool operator==(const FoundUnknown&, const FoundUnknown&) = default;
};
/// The buffer ends before.
struct FoundEnd {
  friend bool operator==(const FoundEnd&, const FoundEnd&) = default;
};
/// A row of the base weight or of an adapter's B; of several consecutive ones the first.
struct FoundRow {
  bool of_base = false;
  LabelledRow row;
  friend bool operator==(const FoundRow&, const FoundRow&) = default;
};
/// A row of an adapter's A; of several consecutive ones the first.
struct FoundARow {
  LabelledARow row;
  friend bool operator==(const FoundARow&, const FoundARow&) = default;
};
using Holder = std::variant<FoundZero, FoundNotFinite, FoundUnknown, FoundEnd, FoundRow, FoundARow>;

/// Which of the laws (docs/laws.md) does not hold.
enum class CheckLaw { identity, residue, fit };

/// Consecutive rows of one part of one rank at which something else stands than is due. Rows and
/// heads are logical, both ends part of the range.
struct PlaceFinding {
  std::string tensor;
  std::int64_t tp_rank = 0;
  CheckLaw law = CheckLaw::identity;
  std::optional<Part> part = {};  ///< nothing: rows of A whose place is the engine's affair
  std::int64_t first_head = 0, last_head = 0;
  std::int64_t first_row = 0, last_row = 0;        ///< due, of the part (of A: lora_rank indices)
  std::int64_t first_column = 0, last_column = 0;  ///< of the rank; rows of its buffer
  std::optional<int> adapter = {};                 ///< number; nothing: the base layer
  std::optional<std::int64_t> slot = {};           ///< where a slot was looked at
  Holder found = FoundZero{};
  std::optional<int> tokens_of =
      {};                    ///< of the base layer: tokens of this adapter (-1: of none) only
  bool nothing_due = false;  ///< the adapter does not target the part
};

/// A buffer of another height than the columns that it is for.
struct FitFinding {
  std::string tensor;
  std::int64_t tp_rank = 0;
  std::int64_t rows = 0;  ///< of the buffer
  std::int64_t due = 0;
};

/// The golden has a tensor of these ranks, and the candidate of others only.
struct MissingRanks {
  std::string tensor;
  std::vector<std::int64_t> ranks;
};

/// Another computation that gives just the candidate's bits.
struct SameBits {
  std::string what;     ///< "split=8 of K", "the factor applied twice" ..
  bool is_bug = false;  ///< `what` is the name of a published bug
};

}  // namespace tplora::core
