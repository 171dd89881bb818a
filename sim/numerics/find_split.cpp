#include "sim/numerics/find_split.hpp"

#include <limits>
#include <vector>

#include "sim/base/ensure.hpp"

namespace tplora::core {

SplitSearch find_split(Accumulator accumulator, const TokenTiles& x, const WeightRows& weights,
                       const KernelResult& kernel) {
  ensure(accumulator.rule == Accumulator::Rule::tensor_core, "only a matrix unit's K is cut");
  SplitSearch best{.split = {}, .mismatches = std::numeric_limits<std::int64_t>::max()};
  std::vector<float> out(kernel.values.size());
  std::int64_t last_length = 0;
  for (int parts = 1; parts <= kernel.most_parts && best.mismatches > 0; ++parts) {
    accumulator.split.parts = parts;
    const std::int64_t length = accumulator.split.part_cols(x.cols());
    if (length == last_length) {
      continue;  // the same cut
    }
    last_length = length;
    multiply(accumulator, x, weights, out.data(), weights.rows, kernel.threads);
    std::int64_t mismatches = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const float wanted = kernel.values[i];
      const bool both_nan = wanted != wanted && out[i] != out[i];
      mismatches += both_nan || same_bits(round_to(kernel.type, out[i]), wanted) ? 0 : 1;
    }
    if (mismatches < best.mismatches) {
      best = {accumulator.split, mismatches};
    }
  }
  return best;
}

}  // namespace tplora::core
