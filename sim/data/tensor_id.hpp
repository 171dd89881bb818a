// The tensors of a case and their number in the random counter.
#pragma once

#include <cstdint>

#include "sim/model/geometry.hpp"

namespace tplora::core {

/// The logical tensors of a case, unsharded, row-major. The enumerators' values are part of the
/// counter layout (docs/numerics.md): changing one changes bits.
enum class Tensor : std::uint32_t {
  x = 0,       ///< [tokens, hidden_size]
  weight = 1,  ///< [rows of the part, hidden_size]
  bias = 2,    ///< [1, rows of the part]
  lora_a = 3,  ///< [lora_rank, hidden_size]
  lora_b = 4,  ///< [rows of the part, lora_rank]
};

/// One tensor. `part` is q for x and for the one A of a fused adapter; `adapter` is the number in
/// the case's list, 0 for all tensors that are not an adapter's.
struct TensorId {
  Tensor tensor = Tensor::x;
  Part part = Part::q;
  std::int32_t adapter = 0;

  /// Word 2 of the Philox counter.
  [[nodiscard]] std::uint32_t word() const {
    return static_cast<std::uint32_t>(tensor) | (static_cast<std::uint32_t>(part) << 4) |
           (static_cast<std::uint32_t>(adapter) << 8);
  }
};

}  // namespace tplora::core
