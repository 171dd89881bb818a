// The ways in which layers of one model differ. Each rule reads a config and gives the layer kinds;
// a row of the family table names the rule. (all_layers_alike stands in family.hpp.)
#pragma once

#include "sim/model/family.hpp"

namespace tplora::core {

// Layers without a qkv projection.

/// A state space or recurrent model.
[[nodiscard]] Result<std::vector<LayerKind>> no_attention(const ConfigContext& context);
/// Multi-head latent attention in every layer.
[[nodiscard]] Result<std::vector<LayerKind>> latent_attention(const ConfigContext& context);
/// Latent attention with kv_lora_rank (unless use_mla is false), else all alike.
[[nodiscard]] Result<std::vector<LayerKind>> latent_attention_by_key(const ConfigContext& context);
/// Latent attention, unless use_mla is false or kv_lora_rank is written as null: then all alike.
[[nodiscard]] Result<std::vector<LayerKind>> latent_attention_unless_off(
    const ConfigContext& context);
/// Latent attention and linear attention (linear_attn_config/full_attn_layers, kda_layers).
[[nodiscard]] Result<std::vector<LayerKind>> latent_and_linear_attention(
    const ConfigContext& context);

// Attention in some layers only.

/// layer_types, else full_attention in every full_attention_interval-th layer (default 4).
[[nodiscard]] Result<std::vector<LayerKind>> attention_by_interval(const ConfigContext& context);
/// layer_types or layers_block_type, which must be there.
[[nodiscard]] Result<std::vector<LayerKind>> attention_by_type_list(const ConfigContext& context);
/// layer_types, else the indices of full_attn_idxs, else all layers.
[[nodiscard]] Result<std::vector<LayerKind>> attention_or_convolution(const ConfigContext& context);
/// attn_layer_indices.
[[nodiscard]] Result<std::vector<LayerKind>> attention_by_index_list(const ConfigContext& context);
/// Layer i with i % attn_layer_period (default 8) == attn_layer_offset (default 4).
[[nodiscard]] Result<std::vector<LayerKind>> attention_by_period(const ConfigContext& context);
/// hybrid_override_pattern (M mamba, E moe, - mlp, * attention), or layers_block_type. With neither
/// the attention layers' indices are unknown, their geometry is not.
[[nodiscard]] Result<std::vector<LayerKind>> attention_by_pattern(const ConfigContext& context);
/// block_types, repeated over the layers.
[[nodiscard]] Result<std::vector<LayerKind>> attention_by_block_cycle(const ConfigContext& context);
/// block_configs/N/attention: no_op and replace_with_linear blocks have none, the others
/// num_attention_heads / n_heads_in_group KV heads.
[[nodiscard]] Result<std::vector<LayerKind>> attention_by_block_config(
    const ConfigContext& context);

// Two or more geometries.

/// hybrid_layer_pattern (0 full, 1 sliding) or layer_types; sliding layers have swa_* counts.
[[nodiscard]] Result<std::vector<LayerKind>> sliding_with_swa_keys(const ConfigContext& context);
/// layer_types; sliding layers have num_sliding_attention_heads or attention_other_setting's
/// counts.
[[nodiscard]] Result<std::vector<LayerKind>> sliding_with_other_setting(
    const ConfigContext& context);
/// layer_types; full layers have global_head_dim, and with attention_k_eq_v
/// num_global_key_value_heads and no v_proj; the last num_kv_shared_layers have only q_proj.
[[nodiscard]] Result<std::vector<LayerKind>> global_with_other_head_dim(
    const ConfigContext& context);
/// num_query_heads and num_kv_heads are lists, one entry for each layer.
[[nodiscard]] Result<std::vector<LayerKind>> heads_by_layer(const ConfigContext& context);
/// num_key_value_heads_per_layer.
[[nodiscard]] Result<std::vector<LayerKind>> kv_heads_by_layer(const ConfigContext& context);
/// num_attention_heads_per_layer beside one num_key_value_heads; without the list all are alike.
[[nodiscard]] Result<std::vector<LayerKind>> query_heads_by_layer(const ConfigContext& context);
/// A decoder whose class, and with it the bias, follows from the key `version`.
[[nodiscard]] Result<std::vector<LayerKind>> decoder_by_version(const ConfigContext& context);
/// attn_type_list (1 softmax, 0 lightning) or layer_types; a lightning layer has one fused
/// projection in which every head has its own q, k, v.
[[nodiscard]] Result<std::vector<LayerKind>> softmax_and_lightning(const ConfigContext& context);
/// With use_cla only every cla_share_factor-th layer has K and V of its own.
[[nodiscard]] Result<std::vector<LayerKind>> cross_layer_attention(const ConfigContext& context);

// One geometry whose checkpoint form depends on a flag.

/// per_group with new_decoder_architecture; else blocks with multi_query, per_head without.
[[nodiscard]] Result<std::vector<LayerKind>> fused_by_decoder_form(const ConfigContext& context);
/// blocks with multi_query, per_head without.
[[nodiscard]] Result<std::vector<LayerKind>> fused_by_query_flag(const ConfigContext& context);

}  // namespace tplora::core
