// How a model is served, and what formulas know of that.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "sim/contract/symbols.hpp"
#include "sim/model/adapter_shape.hpp"
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

/// Values of the predefined symbols, by number.
using SymbolValues = std::array<std::int64_t, symbol::count>;

/// The values that layer and deployment give, with T = tp_size, which a contract may redefine; 0
/// for those of a tp_rank and of an adapter. Precondition: the geometry is valid, and all counts of
/// the deployment are.
[[nodiscard]] SymbolValues symbol_values(const QkvGeometry& geometry, const Deployment& deployment);

/// Puts the values that an adapter gives, by symbol; rows of B that it says nothing of are those of
/// the layer, which `values` has. Precondition: there is a place for each predefined symbol.
void put_adapter(const AdapterShape& adapter, std::span<std::int64_t> values);
/// The same for what `scaling` knows of one part.
void put_part(const AdapterShape& adapter, Part part, std::span<std::int64_t> values);

}  // namespace tplora::core
