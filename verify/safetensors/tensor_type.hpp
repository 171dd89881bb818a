// The element types of safetensors and .npy files.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/numerics/scalar.hpp"

namespace tplora::core {

/// In the order in which writers of the format sort tensors, the last first.
enum class TensorType {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
};

/// "BF16", as headers call it.
[[nodiscard]] std::string_view tensor_type_name(TensorType type);
[[nodiscard]] std::optional<TensorType> tensor_type_of(std::string_view name);
/// Of one element.
[[nodiscard]] std::int64_t bits_of(TensorType type);

/// How values of a model's dtype are stored, and back; nothing for types that hold none.
[[nodiscard]] TensorType stored_type(ScalarType type);
[[nodiscard]] std::optional<ScalarType> scalar_type_of(TensorType type);

/// "[16, 64]".
[[nodiscard]] std::string shape_text(std::span<const std::int64_t> shape);

/// Number of elements and bytes. Nothing: a negative size, more than 64 bits can count, or elements
/// that do not fill their last byte.
[[nodiscard]] std::optional<std::int64_t> element_count(std::span<const std::int64_t> shape);
[[nodiscard]] std::optional<std::int64_t> byte_count(TensorType type,
                                                     std::span<const std::int64_t> shape);

}  // namespace tplora::core
