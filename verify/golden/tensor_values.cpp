#include "verify/golden/tensor_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace tplora::core {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{1} << 20;

float value_of(ScalarType type, const std::byte* bytes) {
  if (type == ScalarType::fp32) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, bytes, sizeof bits);
    return std::bit_cast<float>(bits);
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  return decode(type, bits);
}

}  // namespace

Result<std::vector<float>> tensor_values(const StoredTensor& tensor,
                                         const std::vector<std::int64_t>& shape, ScalarType dtype,
                                         RoundingCount& count) {
  const TensorEntry& entry = *tensor.entry;
  const auto stored = scalar_type_of(entry.type);
  if (!stored) {
    return fail(
        fmt::format("dtype {}: expected F32, F16 or BF16; a quantised tensor is not computed "
                    "with as it is stored",
                    tensor_type_name(entry.type)),
        tensor.place());
  }
  if (entry.shape != shape) {
    return fail(fmt::format("shape {}: expected {}", shape_text(entry.shape), shape_text(shape)),
                tensor.place());
  }
  const std::int64_t size = bits_of(entry.type) / 8;
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(entry.bytes / size));
  std::vector<std::byte> block;
  for (std::int64_t begin = 0; begin < entry.bytes; begin += kBlockBytes) {
    block.resize(static_cast<std::size_t>(std::min(kBlockBytes, entry.bytes - begin)));
    if (auto read = tensor.file->read(entry, begin, block); !read) {
      return fail(read.error());
    }
    for (std::size_t at = 0; at < block.size(); at += static_cast<std::size_t>(size)) {
      const float value = value_of(*stored, block.data() + at);
      const float kept = round_to(dtype, value);
      if (!std::isfinite(kept)) {
        const auto number = static_cast<std::int64_t>(values.size());
        return fail(fmt::format("element {} of the row-major {} is {}{}: expected finite values",
                                number, shape_text(shape), value,
                                std::isfinite(value)
                                    ? fmt::format(", too large for {}", scalar_type_name(dtype))
                                    : ""),
                    tensor.place());
      }
      count.changed += kept != value ? 1 : 0;
      ++count.values;
      values.push_back(kept);
    }
  }
  return values;
}

}  // namespace tplora::core
