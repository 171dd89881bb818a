// safetensors files, written as the format's own library writes them, byte for byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/safetensors/output_file.hpp"
#include "verify/safetensors/tensor_type.hpp"

namespace tplora::core {

/// Takes the next bytes of a tensor.
using TakeBytes = std::function<Result<void>(std::span<const std::byte>)>;

/// A tensor to be written: its bytes are asked for when they are due, row-major, little-endian.
struct TensorToWrite {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<std::int64_t> shape;
  std::function<Result<void>(const TakeBytes&)> produce;
};

/// Writes all or nothing (OutputFile): data begin at a multiple of 8, tensors stand by element
/// type, the widest first, then by name. Preconditions: names differ, shapes are valid, each tensor
/// produces just its bytes. Refused: what OutputFile or a tensor refuses.
[[nodiscard]] Result<WrittenFile> write_safetensors(
    const std::filesystem::path& file, const std::map<std::string, std::string>& metadata,
    std::vector<TensorToWrite> tensors);

/// A tensor of floats that are values of `type`, held until it is written.
[[nodiscard]] TensorToWrite tensor_of(std::string name, ScalarType type,
                                      std::vector<std::int64_t> shape, std::vector<float> values);
/// A tensor of I32.
[[nodiscard]] TensorToWrite tensor_of(std::string name, std::vector<std::int32_t> values);

/// Hands values of `type` on as bytes, a block at a time.
[[nodiscard]] Result<void> put_values(ScalarType type, std::span<const float> values,
                                      const TakeBytes& take);

}  // namespace tplora::core
