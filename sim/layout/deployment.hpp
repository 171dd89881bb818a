// How a model is served, and what formulas know of that and of an adapter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sim/base/ensure.hpp"
#include "sim/contract/symbols.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// How the model is served.
struct Deployment {
  std::int64_t tp_size = 1;  ///< ranks in all
  std::int64_t dp_size = 1;  ///< attention data parallelism; groups of tp_size/dp_size ranks
  std::int64_t max_lora_rank = 16;
  std::int64_t slots = 2;
  std::int64_t tokens = 4;
};

/// What a contract's formulas may know of an adapter.
struct AdapterShape {
  std::int64_t lora_rank = 16;
  std::int64_t lora_alpha = 16;
  std::array<bool, 3> targets = {true, true, true};  ///< by Part
  bool shared_a = false;                             ///< a fused adapter: one A for q, k and v

  [[nodiscard]] bool has(Part part) const {
    const auto number = static_cast<std::size_t>(part);
    ensure_checked([&] { return number < targets.size(); }, "an adapter is asked for q, k or v");
    return targets[number];
  }
  friend bool operator==(const AdapterShape&, const AdapterShape&) = default;
};

/// Values of the predefined symbols, by number.
using SymbolValues = std::array<std::int64_t, symbol::count>;

/// The values that layer and deployment give, with T = tp_size, which a contract may redefine; 0
/// for those of a tp_rank and of an adapter. Precondition: the geometry is valid, and all counts of
/// the deployment are.
[[nodiscard]] SymbolValues symbol_values(const QkvGeometry& geometry, const Deployment& deployment);

}  // namespace tplora::core
