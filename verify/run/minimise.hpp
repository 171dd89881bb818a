// The smallest case that fails the same way.
#pragma once

#include <cstdint>
#include <functional>

#include "verify/case/library.hpp"
#include "verify/run/laws.hpp"

namespace tplora::core {

struct Smallest {
  LayerReport report;      ///< with its findings and their causes
  std::int64_t tried = 0;  ///< cases
  /// The contract's rules for the model's class are not those for a geometry alone, so that the
  /// model stays.
  bool keeps_model = false;
};

/// Another case fails the same way if it has the same verdict, if what is wrong first (the law, and
/// the failing formula or check) is wrong in it, if nothing else is wrong in it than here, by no
/// other place, if the same is blamed for what is told first, and if it lies inside the contract's
/// claims, or outside, as this one does; and a token must meet it. Tried are, in this order and
/// until nothing changes: fewer steps, adapters and tokens, less of each adapter, fewer slots; then
/// geometries and tp_sizes, the smallest tp_size first, of it the fewest heads. Not smaller: dtype,
/// data, seed, program and accumulators.
///
/// Refused: a case that keeps every law or has no qkv projection, and what check_laws refuses.
/// `stop`: once true, the smallest so far; refused where not even the case itself is explained.
/// `progress`: told how many cases were tried.
[[nodiscard]] Result<Smallest> minimise(
    const PreparedCase& item, const LoadedEngine& engine, const Model& model,
    const std::function<bool()>& stop = [] { return false; },
    const std::function<void(std::int64_t)>& progress = [](std::int64_t) {});

}  // namespace tplora::core
