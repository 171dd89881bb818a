// What a model's qkv projection looks like, before any tensor parallelism.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/result.hpp"

namespace tplora {

/// The three parts of a qkv projection, in the order in which engines fuse them.
enum class Part { q, k, v };
inline constexpr std::array<Part, 3> kParts = {Part::q, Part::k, Part::v};

/// "q", "k" or "v".
[[nodiscard]] std::string_view part_name(Part part);

/// Row order of a checkpoint's fused qkv tensor (facts: models, table of fused forms).
enum class RowOrder {
  blocks,     ///< all q heads, all k heads, all v heads
  per_group,  ///< for each KV head: its q heads, then k, then v
  per_head,   ///< for each head: q, k, v (H = KV)
};
[[nodiscard]] std::string_view row_order_name(RowOrder order);
[[nodiscard]] std::optional<RowOrder> row_order_of(std::string_view name);

/// How a checkpoint stores the projections.
enum class Fusion {
  separate,  ///< one tensor each for q, k and v
  qkv,       ///< one tensor for all three
  kv,        ///< one tensor for q, one for k and v
};
[[nodiscard]] std::string_view fusion_name(Fusion fusion);

/// Where the rows of an output gate stand beside those of q (q_multiplier 2).
enum class GateLayout {
  none,
  per_head,  ///< for each head: q, gate
  halves,    ///< all q heads, all gates
};
[[nodiscard]] std::string_view gate_layout_name(GateLayout layout);

/// The checkpoint's form of one layer kind's q, k and v.
struct CheckpointForm {
  Fusion fusion = Fusion::separate;
  RowOrder order = RowOrder::blocks;  ///< of the fused tensor; blocks where nothing is fused
  GateLayout gate = GateLayout::none;
  bool transposed = false;   ///< weight stored [in, out] (Conv1D): its columns are our rows
  std::string_view tensors;  ///< names inside the layer, "self_attn.q_proj,k_proj,v_proj"; static

  friend bool operator==(const CheckpointForm&, const CheckpointForm&) = default;
};

/// Above these a config is a mistake or an attack; far above every published model.
inline constexpr std::int64_t kMaxHeads = std::int64_t{1} << 20;
inline constexpr std::int64_t kMaxDim = std::int64_t{1} << 32;

/// One layer kind's qkv projection: y [tokens, rows] = x [tokens, hidden_size] * W^T (+ bias).
///
/// Counts are of the model, not of a tp_rank. Every field is at least 1 (q_multiplier 1 or 2)
/// except the config-global ones, which are 0 where the config has no such key. num_attention_heads
/// is a multiple of num_key_value_heads, and equal to it where fused_order is per_head; head counts
/// and dimensions stay below kMaxHeads and kMaxDim, and row counts and rows times hidden_size fit
/// 64 bits.
struct QkvGeometry {
  /// Width of x. Not always the config's hidden_size: a shared block may read a concatenation.
  std::int64_t hidden_size = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t v_head_dim = 0;
  /// 2 where q_proj also holds an output gate, interleaved per head as [q, gate]; else 1.
  std::int64_t q_multiplier = 1;
  bool qkv_bias = false;
  /// True row order of the checkpoint's fused tensor, and so of an adapter trained on that module;
  /// blocks where the checkpoint fuses nothing.
  RowOrder fused_order = RowOrder::blocks;
  /// The config's global values as an engine's config look-up sees them; 0 = key absent.
  std::int64_t config_num_attention_heads = 0;
  std::int64_t config_num_key_value_heads = 0;
  std::int64_t config_head_dim = 0;

  [[nodiscard]] std::int64_t heads(Part part) const;
  [[nodiscard]] std::int64_t rows_per_head(Part part) const;
  /// Rows of this part's projection in the checkpoint (the logical width, replicas not counted).
  [[nodiscard]] std::int64_t rows(Part part) const;
  /// Rows of q, k and v together.
  [[nodiscard]] std::int64_t total_rows() const;

  friend bool operator==(const QkvGeometry&, const QkvGeometry&) = default;
};

/// Checks the rules stated at QkvGeometry. The Error names the field as the config calls it.
[[nodiscard]] Result<void> validate(const QkvGeometry& geometry);

/// Layers of one model that share a qkv geometry, or that have none.
struct LayerKind {
  std::string kind;  ///< "full_attention", "sliding_attention", "all", ...
  /// 0-based layer indices, ascending. Empty where the config does not tell them.
  std::vector<std::int64_t> indices;
  std::optional<QkvGeometry> geometry;  ///< nothing: no qkv projection (MLA, linear attention)
  std::string why_no_qkv;               ///< set when geometry is not
  CheckpointForm checkpoint;            ///< meaningful where geometry is set
};

/// A model as far as qkv LoRA under tensor parallelism is concerned.
struct Model {
  std::string name;
  /// The whole config's model_type, "qwen3_5_moe", where it is not written the one that its class
  /// has; empty: a layer of no model in particular.
  std::string model_type;
  /// The class that the config names first under `architectures`; empty: it names none.
  std::string architecture;
  std::vector<LayerKind> layer_kinds;  ///< at least one
};

}  // namespace tplora
