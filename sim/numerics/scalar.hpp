// The scalar types of models, held exactly in fp32, and the one way to round to them.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tplora::core {

/// Storage types of model, activations and adapters. In memory every scalar is a float that holds
/// a value of the case's type exactly, so no code depends on the type; rounding is an explicit
/// call, and comparing two such floats bit for bit compares the stored values bit for bit.
enum class ScalarType { bf16, fp16, fp32 };
[[nodiscard]] std::string_view scalar_type_name(ScalarType type);
[[nodiscard]] std::optional<ScalarType> scalar_type_of(std::string_view name);

/// The one NaN that is ever stored: 0x7fc00000.
[[nodiscard]] inline float canonical_nan() {
  return std::bit_cast<float>(0x7fc00000U);
}

[[nodiscard]] inline bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

/// The nearest value of `type`, ties to even; subnormals are kept, magnitudes past the largest
/// finite value by half a unit become infinite, every NaN becomes the canonical one.
[[nodiscard]] inline float round_to(ScalarType type, float value) {
  if (value != value) {
    return canonical_nan();
  }
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  const auto at_bit = [](std::uint32_t pattern, int dropped) {
    const std::uint32_t half = (1U << (dropped - 1)) - 1 + ((pattern >> dropped) & 1U);
    return (pattern + half) & ~((1U << dropped) - 1);
  };
  switch (type) {
    case ScalarType::fp32: return value;
    case ScalarType::bf16:
      // Carries run into the exponent, as they must; infinity has no bits to drop.
      return std::bit_cast<float>(at_bit(bits, 16));
    case ScalarType::fp16: break;
  }
  if (magnitude >= 0x477ff000U) {  // 65520 and above
    return std::bit_cast<float>((bits & 0x80000000U) | 0x7f800000U);
  }
  if (magnitude < 0x38800000U) {  // below 2^-14: multiples of 2^-24, which is the unit of 0.5
    const float rounded = (std::bit_cast<float>(magnitude) + 0.5F) - 0.5F;
    return std::bit_cast<float>((bits & 0x80000000U) | std::bit_cast<std::uint32_t>(rounded));
  }
  return std::bit_cast<float>(at_bit(bits, 13));
}

/// The bit pattern of `type` (16 or 32 bits). Precondition: `value` is a value of the type.
[[nodiscard]] std::uint32_t encode(ScalarType type, float value);
/// The value of a bit pattern of `type`.
[[nodiscard]] float decode(ScalarType type, std::uint32_t bits);

}  // namespace tplora::core
