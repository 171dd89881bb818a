#include "verify/safetensors/tensor_type.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "sim/base/checked.hpp"

namespace tplora::core {
namespace {

struct TypeRow {
  std::string_view name;
  std::int64_t bits;
};

constexpr std::array<TypeRow, 22> kTypes = {{
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
}};

}  // namespace

std::string_view tensor_type_name(TensorType type) {
  return kTypes[static_cast<std::size_t>(type)].name;
}

std::optional<TensorType> tensor_type_of(std::string_view name) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const TypeRow& row) { return row.name == name; });
  return found == kTypes.end() ? std::nullopt
                               : std::optional(static_cast<TensorType>(found - kTypes.begin()));
}

std::int64_t bits_of(TensorType type) {
  return kTypes[static_cast<std::size_t>(type)].bits;
}

TensorType stored_type(ScalarType type) {
  switch (type) {
    case ScalarType::bf16: return TensorType::bf16;
    case ScalarType::fp16: return TensorType::f16;
    case ScalarType::fp32: break;
  }
  return TensorType::f32;
}

std::optional<ScalarType> scalar_type_of(TensorType type) {
  switch (type) {
    case TensorType::bf16: return ScalarType::bf16;
    case TensorType::f16: return ScalarType::fp16;
    case TensorType::f32: return ScalarType::fp32;
    default: return std::nullopt;
  }
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

std::optional<std::int64_t> element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size < 0) {
      return std::nullopt;
    }
    empty = empty || size == 0;
  }
  for (const std::int64_t size : empty ? std::span<const std::int64_t>() : shape) {
    const auto product = checked_mul(count, size);
    if (!product) {
      return std::nullopt;
    }
    count = *product;
  }
  return empty ? 0 : count;
}

std::optional<std::int64_t> byte_count(TensorType type, std::span<const std::int64_t> shape) {
  const auto count = element_count(shape);
  const auto bits = count ? checked_mul(*count, bits_of(type)) : std::nullopt;
  return bits && *bits % 8 == 0 ? std::optional(*bits / 8) : std::nullopt;
}

}  // namespace tplora::core
