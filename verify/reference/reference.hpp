// The unsharded QKV + LoRA forward: what the ranks together must reproduce bit for bit.
//
// Knows the model, the adapters and the rounding program; never a contract, a layout, a pool or a
// rank. From the program it takes where to round and where to scale; the scale's value is PEFT's.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/adapter/adapter.hpp"
#include "sim/model/geometry.hpp"
#include "sim/numerics/dot.hpp"
#include "sim/numerics/panel.hpp"
#include "sim/numerics/program.hpp"
#include "sim/numerics/scalar.hpp"
#include "sim/numerics/token_tiles.hpp"

namespace tplora::core {

/// What a reference forward works on. x: [tokens, hidden_size], row-major.
struct ReferenceInput {
  QkvGeometry geometry;
  ScalarType dtype = ScalarType::bf16;
  Accumulator base_accumulator;  ///< of x W
  Accumulator lora_accumulator;  ///< of the shrink and the expand
  const RoundingProgram* program = nullptr;
  std::span<const float> x;
  std::vector<int> adapter_of_token;  ///< number of the adapter, -1 for none
  std::span<const Adapter> adapters;
  bool keep_steps = false;  ///< keep shrink outputs and deltas, too
};

/// K of the expand u B, by adapter number and part: where an engine's kernel is deeper than the
/// adapter's lora_rank, over zeros, K is cut in other places, which shows in the bits. 0, or no
/// entry: the lora_rank.
using ExpandDepths = std::vector<std::array<std::int64_t, 3>>;

/// What the forward passes through, of one part.
struct ForwardSteps {
  std::int64_t lora_rank = 0;  ///< columns of `u`: the largest of an adapter that targets the part
  /// [tokens, lora_rank]: what the shrink gives, as the program rounds it there. Zeros behind an
  /// adapter's own lora_rank, and for tokens without an adapter of this part.
  std::vector<float> u;
  std::vector<float> delta;  ///< [tokens, rows(part)]: what is added to the base output
};

/// Use: construct, feed every panel of the base weight once, `finish`, then read.
class Reference {
 public:
  explicit Reference(ReferenceInput input);

  /// Rows [first_row, first_row + panel.rows()) of the base weight of `part`, and their bias (one
  /// value a row, or empty).
  void accept_panel(Part part, std::int64_t first_row, const Panel& panel,
                    std::span<const float> bias);

  /// Adds the LoRA deltas. A row with an adapter that does not target a part gets a delta of +0
  /// there (it passes through the same kernel); a row without adapter keeps its base bits. May be
  /// called again, with other depths.
  void finish(const ExpandDepths& depths);

  /// [tokens, rows(part)], row-major.
  [[nodiscard]] std::span<const float> output(Part part) const {
    return outputs_[static_cast<std::size_t>(part)];
  }
  /// The same before any delta was added.
  [[nodiscard]] std::span<const float> base_output(Part part) const {
    return bases_[static_cast<std::size_t>(part)];
  }
  /// Precondition: the input says keep_steps. After finish.
  [[nodiscard]] const ForwardSteps& steps(Part part) const {
    return steps_[static_cast<std::size_t>(part)];
  }

 private:
  void add_deltas(Part part, std::span<const std::int64_t> tokens, const Adapter& adapter,
                  std::int64_t depth);
  /// What the shrink of those tokens gives: [tokens, lora_rank of the part].
  [[nodiscard]] std::vector<float> shrink(std::span<const std::int64_t> tokens,
                                          const Adapter& adapter, Part part) const;
  void prepare_steps();
  void keep_shrink(std::span<const std::int64_t> tokens, std::int64_t lora_rank, Part part,
                   std::span<const float> u);

  ReferenceInput input_;
  TokenTiles x_;
  std::array<std::vector<float>, 3> bases_, outputs_;
  std::array<ForwardSteps, 3> steps_;
};

}  // namespace tplora::core
