// The values of stored tensors, as a case computes with them.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/result.hpp"
#include "sim/numerics/scalar.hpp"
#include "verify/golden/base_checkpoint.hpp"

namespace tplora::core {

/// How many values a rounding changed.
struct RoundingCount {
  std::int64_t values = 0, changed = 0;
};

/// All values of a tensor of the shape given, row-major, rounded to `dtype`, and counted. Refused:
/// another shape, an element type that is not F32, F16 or BF16, a value that is not finite before
/// or after.
[[nodiscard]] Result<std::vector<float>> tensor_values(const StoredTensor& tensor,
                                                       const std::vector<std::int64_t>& shape,
                                                       ScalarType dtype, RoundingCount& count);

}  // namespace tplora::core
