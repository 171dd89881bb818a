#include "verify/compare/compare.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/numerics/scalar.hpp"

namespace tplora::core {
namespace {

void note(Difference& difference, std::int64_t token, std::int64_t row, float expected, float got) {
  if (difference.wrong++ == 0) {
    difference.example_token = token;
    difference.example_row = row;
    difference.expected = expected;
    difference.got = got;
    difference.first_row = row;
  }
  difference.first_row = std::min(difference.first_row, row);
  difference.last_row = std::max(difference.last_row, row);
  if (difference.tokens.empty() || difference.tokens.back() != token) {
    difference.tokens.push_back(token);
  }
}

}  // namespace

Difference compare_bits(const MatrixView& expected, const MatrixView& got) {
  ensure(expected.rows() == got.rows() && expected.cols() == got.cols(),
         "equal shapes are compared");
  Difference difference;
  for (std::int64_t token = 0; token < expected.rows(); ++token) {
    for (std::int64_t row = 0; row < expected.cols(); ++row) {
      if (!same_bits(expected(token, row), got(token, row))) {
        note(difference, token, row, expected(token, row), got(token, row));
      }
    }
  }
  return difference;
}

}  // namespace tplora::core
