// What comes out without any rounding, and how far a right kernel may be from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/case/prepared_case.hpp"
#include "verify/check/findings.hpp"
#include "verify/golden/owned_heads.hpp"
#include "verify/reference/reference.hpp"

namespace tplora::core {

/// One element. The exact value is `high` + `low`, to some 100 bits of the largest sum on its way.
struct ExactValue {
  double high = 0, low = 0;
  /// No kernel of the declared program and accumulators is farther away, in whatever order it sums:
  /// each sum of n terms is within n u S of the exact one, S being the sum of magnitudes really
  /// summed and u the unit of the accumulator (2^-24 to nearest, 2^-23 cut off, more where a matrix
  /// unit keeps fewer bits; docs/numerics.md), and every rounding of the program adds half a unit.
  double bound = 0;
};

/// [tokens, width] of y, y_base or delta of a rank, or [tokens, lora_rank] of u.q, u.k, u.v, as the
/// golden has it.
[[nodiscard]] std::vector<ExactValue> exact_values(const PreparedCase& item, const OwnedHeads& own,
                                                   const std::string& tensor, int threads);

/// Distance of `value` from the exact value rounded correctly to `type`, in units in the last place
/// there. Infinite for what is not finite.
[[nodiscard]] double ulp_distance(float value, const ExactValue& exact, ScalarType type);

}  // namespace tplora::core
