// Rounding programs: where an engine rounds and where it scales, as data.
#pragma once

#include <span>
#include <string_view>

#include "sim/numerics/scalar.hpp"

namespace tplora::core {

/// One elementwise step on an fp32 value.
enum class Step {
  scale,  ///< times the adapter's scaling, in fp32
  round,  ///< to the model's dtype
};

/// What happens to each value on its way. A dot product enters its stage as the fp32 result of the
/// accumulator; sums of two values are formed in fp32.
struct RoundingProgram {
  std::string_view name;
  std::string_view source;
  std::span<const Step> load_b;        ///< each B element, when it is put into a slot
  std::span<const Step> base;          ///< dot(x, W), plus the bias where there is one
  std::span<const Step> shrink;        ///< dot(x, A)
  std::span<const Step> expand_input;  ///< each shrink output, before the expand
  std::span<const Step> delta;         ///< dot(u, B)
  std::span<const Step> sum;           ///< base output + delta
};

/// Every program, sorted by name.
[[nodiscard]] std::span<const RoundingProgram> programs();
/// The program called `name`, or nullptr.
[[nodiscard]] const RoundingProgram* find_program(std::string_view name);

/// `value` after `steps`.
[[nodiscard]] inline float apply(std::span<const Step> steps, float value, float scaling,
                                 ScalarType dtype) {
  for (const Step step : steps) {
    value = step == Step::scale ? value * scaling : round_to(dtype, value);
  }
  return value;
}

}  // namespace tplora::core
