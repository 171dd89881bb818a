#include "verify/compare/compare.hpp"

#include <array>

#include "sim/numerics/scalar.hpp"
#include "tests/catch.hpp"
#include "verify/compare/digest.hpp"

using namespace tplora;
using namespace tplora::core;

TEST_CASE("a difference says where, how many, and one example", "[compare]") {
  // Two tokens, three rows, the second side embedded in wider memory.
  const std::array<float, 6> expected = {1, 2, 3, 4, 5, 6};
  const std::array<float, 10> got = {9, 1, 2, 3, 9, 9, 4, 7, 8, 9};
  const Difference difference =
      compare_bits(view_of(expected.data(), {.rows = 2, .cols = 3, .row_stride = 3}),
                   view_of(got.data() + 1, {.rows = 2, .cols = 3, .row_stride = 5}));
  CHECK(difference.wrong == 2);
  CHECK(difference.tokens == std::vector<std::int64_t>{1});
  CHECK(difference.first_row == 1);
  CHECK(difference.last_row == 2);
  CHECK(difference.example_token == 1);
  CHECK(difference.expected == 5);
  CHECK(difference.got == 7);
}

TEST_CASE("bits are compared, not values", "[compare]") {
  const auto wrong = [](float a, float b) {
    const MatrixShape one{.rows = 1, .cols = 1, .row_stride = 1};
    return compare_bits(view_of(&a, one), view_of(&b, one)).wrong;
  };
  CHECK(wrong(0.0F, -0.0F) == 1);
  CHECK(wrong(canonical_nan(), canonical_nan()) == 0);
  CHECK(wrong(1.0F, 1.0F) == 0);
}

TEST_CASE("the digest is FNV-1a", "[compare]") {
  Digest digest;
  CHECK(digest.value() == 0xcbf29ce484222325ULL);
  digest.add_word(0x0000000000000061ULL);  // "a" and seven zero bytes
  Digest other;
  other.add(std::bit_cast<float>(0x00000061U));
  other.add(0.0F);
  CHECK(digest.value() == other.value());
  CHECK(digest.value() != Digest().value());
}
