// The named rules by which a sum of products is formed (docs/numerics.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sim/base/result.hpp"
#include "sim/numerics/matrix_unit.hpp"
#include "sim/numerics/scalar.hpp"

namespace tplora::core {

/// K cut into contiguous parts, each a chain of its own from +0; their fp32 results are added in
/// fp32, to nearest even, one after the other. Each part is as long as the rule says; the last has
/// the rest.
struct SplitK {
  std::int64_t parts = 1;  ///< so many parts of ceil(ceil(K / unit) / parts) * unit
  std::int64_t unit = 64;
  std::int64_t length = 0;  ///< or, where not 0, parts of this length: a promotion interval
  bool descending = false;  ///< the last part first
  bool operator==(const SplitK&) const = default;

  [[nodiscard]] std::int64_t part_cols(std::int64_t cols) const;
};

struct Accumulator {
  enum class Rule {
    /// acc = fma(x[k], w[k], acc) in fp32, k ascending, from +0.
    fp32_chain,
    /// The sum without any error, then one rounding to fp32, to nearest even.
    exact,
    /// A chain of a matrix unit's groups, k ascending, from +0; cut into parts by `split`.
    tensor_core,
  };
  Rule rule = Rule::fp32_chain;
  std::string_view architecture;  ///< tensor_core: the unit's name, or "" where it was spelt out
  MatrixUnit unit;                ///< tensor_core
  SplitK split;                   ///< tensor_core
  bool operator==(const Accumulator&) const = default;

  static const Accumulator fp32_chain;
  static const Accumulator exact;
};
inline constexpr Accumulator Accumulator::fp32_chain{};
inline constexpr Accumulator Accumulator::exact{
    .rule = Rule::exact, .architecture = {}, .unit = {}, .split = {}};

/// Reads `fp32_chain`, `exact`, or `tensor_core:` with a unit and options, comma between: a name
/// (volta, ampere, hopper, blackwell) or group=, fraction=, floor=, result=; then split=, unit=,
/// merge=ascending|descending, or promote=. Refused: a unit that no source describes for
/// `operands`.
[[nodiscard]] Result<Accumulator> accumulator_of(const std::string& text, OperandType operands);
/// The same for operands of a model's dtype; fp32 values meet a matrix unit as tf32.
[[nodiscard]] Result<Accumulator> accumulator_of(const std::string& text, ScalarType dtype);
/// The text that reads as `accumulator`.
[[nodiscard]] std::string accumulator_name(const Accumulator& accumulator);

}  // namespace tplora::core
