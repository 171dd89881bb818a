// Bits against bits.
#pragma once

#include <cstdint>
#include <vector>

namespace tplora {

/// The same logical rows on both sides, for every token. expected and got: [tokens, stride], of
/// which `rows` columns from the pointer on are compared.
struct Stretch {
  std::int64_t tokens = 0;
  std::int64_t rows = 0;
  const float* expected = nullptr;
  std::int64_t expected_stride = 0;
  const float* got = nullptr;
  std::int64_t got_stride = 0;
};

/// Where two stretches differ. Rows count from the stretch's first.
struct Difference {
  std::int64_t wrong = 0;  ///< elements that differ in any bit
  std::int64_t first_row = -1, last_row = -1;
  std::vector<std::int64_t> tokens;  ///< ascending
  std::int64_t example_token = -1, example_row = -1;
  float expected = 0, got = 0;  ///< at the example
};

/// Compares bit for bit: signed zeros differ, one canonical NaN equals itself.
[[nodiscard]] Difference compare_bits(const Stretch& stretch);

}  // namespace tplora
