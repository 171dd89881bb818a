// What must stand on one rank: weights, slots in no engine's layout, outputs.
#pragma once

#include <vector>

#include "verify/case/prepared_case.hpp"
#include "verify/golden/owned_heads.hpp"
#include "verify/run/unsharded.hpp"
#include "verify/safetensors/writer.hpp"

namespace tplora::core {

/// The dtype that a value has after `steps`: that of the model where the last one rounds.
[[nodiscard]] ScalarType type_after(std::span<const Step> steps, ScalarType dtype);

/// By slot the number of the adapter that is in it after the case's steps, -1 for none.
[[nodiscard]] std::vector<int> adapters_in_slots(const Case& one);

/// Tensors of rankN.safetensors but the engine's own buffers (docs/formats/golden.md). After the
/// forward; `unsharded` must outlive them.
[[nodiscard]] std::vector<TensorToWrite> rank_tensors(const PreparedCase& item,
                                                      const Unsharded& unsharded,
                                                      const OwnedHeads& own);

}  // namespace tplora::core
