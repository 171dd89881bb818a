#include "sim/numerics/scalar.hpp"

#include <array>

namespace tplora::core {
namespace {
constexpr std::array<std::string_view, 3> kNames = {"bf16", "fp16", "fp32"};
}

std::string_view scalar_type_name(ScalarType type) {
  return kNames[static_cast<std::size_t>(type)];
}

std::optional<ScalarType> scalar_type_of(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) {
      return static_cast<ScalarType>(i);
    }
  }
  return std::nullopt;
}

std::uint32_t encode(ScalarType type, float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (type == ScalarType::fp32) {
    return bits;
  }
  if (type == ScalarType::bf16) {
    return bits >> 16;
  }
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude >= 0x7f800000U) {
    return sign | (magnitude == 0x7f800000U ? 0x7c00U : 0x7e00U);
  }
  if (magnitude < 0x38800000U) {  // subnormal: a multiple of 2^-24
    return sign | static_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p24F);
  }
  return sign | ((magnitude - 0x38000000U) >> 13);
}

float decode(ScalarType type, std::uint32_t bits) {
  if (type == ScalarType::fp32) {
    return std::bit_cast<float>(bits);
  }
  if (type == ScalarType::bf16) {
    return std::bit_cast<float>(bits << 16);
  }
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t magnitude = bits & 0x7fffU;
  if (magnitude >= 0x7c00U) {
    return std::bit_cast<float>(sign | (magnitude == 0x7c00U ? 0x7f800000U : 0x7fc00000U));
  }
  if (magnitude < 0x0400U) {
    const float value = static_cast<float>(magnitude) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000U));
}

}  // namespace tplora::core
