// When `integers` data have one right answer, whatever the order of summation.
#pragma once

#include <cstdint>
#include <string>

#include "sim/base/result.hpp"
#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// Largest magnitudes that any sum of a case can reach, and what must hold them exactly.
struct IntegerBudget {
  std::int64_t base = 0;    ///< |x W^T + bias|
  std::int64_t shrink = 0;  ///< |x A^T|
  std::int64_t expand = 0;  ///< |u B^T|, before the factor
  std::int64_t units = 0;   ///< |y| in units of the smallest factor, or of 1
  std::int64_t exact = 0;   ///< integers up to here are values of the dtype

  /// "|x W| <= 100, |x A| <= 12, |u B| <= 48, |y| <= 148 of 256".
  [[nodiscard]] std::string text() const;
};

/// Refused: a factor that is no power of two, and one with which outputs leave the integers that
/// the dtype holds: then a rounding would show the order. K never matters: rows of W and A have as
/// many elements as the budget allows, further apart the longer they are.
[[nodiscard]] Result<IntegerBudget> integer_budget(const PreparedCase& item);

}  // namespace tplora::core
