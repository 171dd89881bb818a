// When `integers` data have one right answer, whatever the order of summation.
#pragma once

#include <cstdint>
#include <string>

#include "sim/base/result.hpp"
#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// Largest magnitudes that any partial sum of a case can reach, in any order: all of them are
/// exact in fp32, and so is every way there.
struct IntegerBudget {
  std::int64_t base = 0;    ///< |x W^T + bias|
  std::int64_t shrink = 0;  ///< |x A^T|
  /// |u B^T| in the units of its terms, of which the factor is one where the program multiplies
  /// before the sum.
  std::int64_t expand = 0;
  std::int64_t exact = 0;  ///< integers up to here are exact in fp32

  /// "|x W| <= 100, |x A| <= 12, |u B| <= 48 units, of 16777216 that fp32 holds exactly".
  [[nodiscard]] std::string text() const;
};

/// Refused: a program that multiplies by the factor before the expand's sum, with a factor of so
/// many bits that the sum would be rounded, which shows the order. K never matters: rows of W and A
/// have as many elements as the budget allows, further apart the longer they are. What is done
/// behind a sum (factor, rounding, base + delta) has no order.
[[nodiscard]] Result<IntegerBudget> integer_budget(const PreparedCase& item);

}  // namespace tplora::core
