// What running a case's numbers takes, known before it starts.
#pragma once

#include <limits>
#include <vector>

#include "sim/base/result.hpp"
#include "verify/run/laws.hpp"

namespace tplora::core {

/// Upper bounds, in floating point since a case may ask for more than 64 bits count.
struct NumericWork {
  /// Of the weights, in the reference and on all ranks, and what steps write, as so many of them.
  double multiplications = 0;
  double floats = 0;  ///< held at the same time: inputs, outputs, adapters, slots of all ranks
};

/// Of the reference alone. Precondition: the case has a geometry.
[[nodiscard]] NumericWork reference_work(const PreparedCase& item);

/// Precondition: the case has a geometry and its analysis no failures.
[[nodiscard]] NumericWork numeric_work(const LayerReport& laws);

/// Refuses what no machine would finish, and what takes more than `bytes` of memory.
[[nodiscard]] Result<void> check_work(const PreparedCase& item, const NumericWork& work,
                                      double bytes = std::numeric_limits<double>::infinity());

}  // namespace tplora::core
