#include "verify/compare/compare.hpp"

#include <algorithm>

#include "sim/numerics/scalar.hpp"

namespace tplora {

Difference compare_bits(const Stretch& stretch) {
  Difference difference;
  for (std::int64_t token = 0; token < stretch.tokens; ++token) {
    const float* const expected = stretch.expected + token * stretch.expected_stride;
    const float* const got = stretch.got + token * stretch.got_stride;
    const std::int64_t before = difference.wrong;
    for (std::int64_t row = 0; row < stretch.rows; ++row) {
      if (same_bits(expected[row], got[row])) {
        continue;
      }
      if (difference.wrong++ == 0) {
        difference.example_token = token;
        difference.example_row = row;
        difference.expected = expected[row];
        difference.got = got[row];
        difference.first_row = row;
      }
      difference.first_row = std::min(difference.first_row, row);
      difference.last_row = std::max(difference.last_row, row);
    }
    if (difference.wrong != before) {
      difference.tokens.push_back(token);
    }
  }
  return difference;
}

}  // namespace tplora
