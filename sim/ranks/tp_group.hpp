// Virtual ranks: the sharded QKV + LoRA forward of all ranks of one deployment, then the gather.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sim/adapter/adapter.hpp"
#include "sim/base/ensure.hpp"
#include "sim/layout/analysis.hpp"
#include "sim/numerics/dot.hpp"
#include "sim/numerics/panel.hpp"
#include "sim/numerics/program.hpp"
#include "sim/numerics/scalar.hpp"
#include "sim/numerics/token_tiles.hpp"
#include "sim/pool/flat_pool.hpp"

namespace tplora::core {

/// The arithmetic both sides share.
struct Arithmetic {
  Accumulator base;  ///< of x W
  Accumulator lora;  ///< of the shrink and the expand
  const RoundingProgram* program = nullptr;
  ScalarType dtype = ScalarType::bf16;
};

/// The inputs of one forward. x: [tokens, hidden_size], row-major.
struct Batch {
  std::span<const float> x;
  std::int64_t hidden_size = 0;
  std::vector<int> adapter_of_token;  ///< number of the adapter, -1 for none

  [[nodiscard]] std::int64_t tokens() const {
    return static_cast<std::int64_t>(adapter_of_token.size());
  }
};

/// The ranks of one deployment running one batch. Use: construct, feed every panel of the base
/// weight once, then `finish`, then read outputs.
///
/// Precondition: the analysis' verdict is consistent or silent (every rank could be planned).
class TpGroup {
 public:
  TpGroup(const Contract& contract, const Deployment& deployment, const Analysis& analysis,
          const Arithmetic& arithmetic, const Batch& batch);

  /// Puts the adapters into their slots as the analysis' events say. `adapters` by number, of the
  /// shapes analysed. Once.
  void load_adapters(std::span<const Adapter> adapters);

  /// Rows [first_row, first_row + panel.rows()) of the base weight of `part` pass by; every rank
  /// computes the output columns that its shard makes of them. bias: one value a row of the panel,
  /// or empty.
  void accept_panel(Part part, std::int64_t first_row, const Panel& panel,
                    std::span<const float> bias);

  /// Adds the LoRA deltas. Precondition: adapters were loaded.
  void finish();

  /// The output row of a rank with its delta, and before any delta: [tokens, width], row-major.
  /// Columns to which no base weight was ever loaded hold the guard, a canonical NaN. Precondition:
  /// a rank of the deployment; `output` after finish.
  [[nodiscard]] std::span<const float> output(std::int64_t tp_rank) const {
    return of_rank(outputs_, tp_rank);
  }
  [[nodiscard]] std::span<const float> base_output(std::int64_t tp_rank) const {
    return of_rank(bases_, tp_rank);
  }

  /// The rank's slots. Precondition: a rank of the deployment; adapters were loaded.
  [[nodiscard]] const FlatPool<float>& pool(std::int64_t tp_rank) const {
    const auto rank = static_cast<std::size_t>(tp_rank);
    ensure(rank < pools_.size(), "slots are looked at of a rank that has loaded its adapters");
    return pools_[rank];
  }

 private:
  using Output = std::vector<float>;  ///< [tokens, width]

  [[nodiscard]] static const Output& of_rank(const std::vector<Output>& outputs,
                                             std::int64_t tp_rank) {
    const auto rank = static_cast<std::size_t>(tp_rank);
    ensure(rank < outputs.size(), "an output is read of a rank that has computed it");
    return outputs[rank];
  }

  void shrink(std::size_t rank, const LiveAdapter& live, std::span<const std::int64_t> tokens,
              std::vector<std::vector<float>>& u) const;
  void expand(std::size_t rank, const LiveAdapter& live, std::span<const std::int64_t> tokens,
              const std::vector<std::vector<float>>& u);
  void launch(std::size_t rank, const LiveAdapter& live, float scaling,
              std::span<const std::int64_t> tokens, const KernelLaunch& one,
              const std::vector<float>& u);

  const Contract& contract_;
  Deployment deployment_;
  const Analysis& analysis_;
  Arithmetic arithmetic_;
  const Batch& batch_;
  TokenTiles x_;
  std::vector<FlatPool<float>> pools_;
  std::vector<Output> bases_, outputs_;
};

}  // namespace tplora::core
