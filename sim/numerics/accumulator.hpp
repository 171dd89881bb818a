// The named rules by which a sum of products is formed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tplora {

/// How a sum of products is formed (docs/numerics.md).
enum class Accumulator {
  /// acc = fma(x[k], w[k], acc) in fp32, k ascending, from +0.
  fp32_chain,
  /// The sum without any error, then one rounding to fp32, to nearest even.
  exact,
};
[[nodiscard]] std::string_view accumulator_name(Accumulator accumulator);
[[nodiscard]] std::optional<Accumulator> accumulator_of(std::string_view name);

}  // namespace tplora
