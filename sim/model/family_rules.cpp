// The families: how each model_type's class reads its config. Rows follow the classes of the
// Hugging Face library (5.23: configuration_*.py, modeling_*.py) and, for remote code, the sources
// named in configs/models/index.json; tests/model_index_test.cpp pins every collected model.
#include "sim/model/config_heads.hpp"
#include "sim/model/family.hpp"
#include "sim/model/layer_rules.hpp"

namespace tplora::core {
namespace {

constexpr Flag kAttentionBias = {"attention_bias qkv_bias"};
constexpr Flag kAttentionBiasByDefault = {"attention_bias qkv_bias", true};
constexpr Flag kAlways = {"", true};

constexpr CheckpointForm fused(std::string_view tensor, RowOrder order) {
  return {.fusion = Fusion::qkv, .order = order, .tensors = tensor};
}

constexpr CheckpointForm conv1d(std::string_view tensor) {
  return {.fusion = Fusion::qkv, .transposed = true, .tensors = tensor};
}

constexpr FamilyRule kRules[] = {
    // Separate projections, grouped heads, a bias by flag.
    {.model_types =
         "llama arcee aria_text apertus bitnet chameleon cohere cohere2 cohere2_moe "
         "cohere_compass_text cosmos3_edge_text deepseek deepseek_ocr2_text diffllama "
         "doge dots1 emu3_text_model falcon_h1 flex_olmo flint afmoe gemma gemma2 "
         "gemma3_text gemma3n_text vaultgemma glm4 glm4_moe granite granite_swa "
         "granitemoe granitemoe_swa granitemoeshared granite_docling_text "
         "granite4_vision_text helium hunyuan_v1_dense hunyuan_v1_moe hunyuan_vl_text "
         "hy_v3 hyperclovax internlm3 iquestcoder llama4_text mellum minicpm nanochat "
         "nemotron olmo olmo2 olmo3 olmoe orion phimoe qwen3 qwen3_asr_text qwen3_moe "
         "qwen3_vl_text qwen3_vl_moe_text qwen3_omni_moe_text smollm3 solar solar_open Yi",
     .bias = kAttentionBias},
    {.model_types = "glm glm4v_moe_text glm_image_text gpt_oss jais2 mimo seed_oss",
     .bias = kAttentionBiasByDefault},
    {.model_types = "aquila cwm exaone4 exaone4_5_text exaone_moe glm_ocr_text minimax_m2 "
                    "minimax_m3_vl_text ministral ministral3 mistral mixtral skywork xverse "
                    "voxtral_realtime_text"},
    {.model_types = "qwen2 qwen2_vl_text qwen2_5_vl_text qwen2_5_omni_text glm4v_text phi biogpt",
     .bias = kAlways},
    {.model_types = "qwen2_moe", .bias = {"qkv_bias", true}},
    {.model_types = "stablelm stablelm_epoch", .bias = {"use_qkv_bias"}},
    {.model_types = "ernie4_5 ernie4_5_moe ernie4_5_vl_moe_text paddleocr_vl_text",
     .bias = {"use_bias"}},
    {.model_types = "starcoder2", .bias = {"use_bias", true}},
    {.model_types = "internlm", .bias = {"bias", true}},
    {.model_types = "opt", .bias = {"enable_bias", true}},
    {.model_types = "exaone", .form = {.tensors = "attn.attention.q_proj,k_proj,v_proj"}},
    {.model_types = "gpt_neo",
     .form = {.tensors = "attn.attention.q_proj,k_proj,v_proj"},
     .shows_num_attention_heads = true},
    {.model_types = "gptj",
     .form = {.tensors = "attn.q_proj,k_proj,v_proj"},
     .shows_num_attention_heads = true},
    {.model_types = "grok-1", .form = {.tensors = "query,key,value"}},
    {.model_types = "mllama_text_model",
     .form = {.tensors = "self_attn.q_proj,k_proj,v_proj or cross_attn.q_proj,k_proj,v_proj"}},

    // One fused tensor.
    {.model_types = "phi3 phi3_v phi4mm phi4_multimodal",
     .form = fused("self_attn.qkv_proj", RowOrder::blocks)},
    {.model_types = "phi3small",
     .bias = kAlways,
     .form = fused("self_attn.query_key_value", RowOrder::per_group)},
    {.model_types = "phi-msft", .bias = kAlways, .form = fused("mixer.Wqkv", RowOrder::blocks)},
    {.model_types = "baichuan", .form = fused("self_attn.W_pack", RowOrder::blocks)},
    {.model_types = "qwen", .bias = kAlways, .form = fused("attn.c_attn", RowOrder::blocks)},
    {.model_types = "chatglm",
     .kv_heads = kv_heads_by_group_flag,
     .bias = {"add_qkv_bias"},
     .form = fused("self_attention.query_key_value", RowOrder::blocks)},
    {.model_types = "bailing_moe bailing_moe_v2",
     .bias = {"use_qkv_bias"},
     .form = fused("attention.query_key_value", RowOrder::blocks)},
    {.model_types = "internlm2 internlmxcomposer2",
     .bias = {"bias"},
     .form = fused("attention.wqkv", RowOrder::per_group)},
    {.model_types = "bloom",
     .bias = kAlways,
     .form = fused("self_attention.query_key_value", RowOrder::per_head),
     .shows_num_attention_heads = true},
    {.model_types = "gpt_neox",
     .bias = {"attention_bias", true},
     .form = fused("attention.query_key_value", RowOrder::per_head)},
    {.model_types = "persimmon",
     .bias = kAlways,
     .form = fused("self_attn.query_key_value", RowOrder::per_head)},
    {.model_types = "mpt",
     .bias = {"no_bias", false, true},
     .form = fused("attn.Wqkv", RowOrder::blocks),
     .shows_num_attention_heads = true},
    {.model_types = "dbrx",
     .form = fused("norm_attn_norm.attn.Wqkv", RowOrder::blocks),
     .shows_num_attention_heads = true},
    {.model_types = "molmo",
     .bias = {"qkv_bias", true},
     .form = fused("att_proj", RowOrder::blocks)},
    {.model_types = "intern_vit_6b",
     .bias = {"qkv_bias"},
     .form = fused("attn.qkv", RowOrder::blocks)},
    {.model_types = "gpt2 jais",
     .bias = kAlways,
     .form = conv1d("attn.c_attn"),
     .shows_num_attention_heads = true},
    {.model_types = "gpt_bigcode",
     .kv_heads = one_kv_head_by_flag,
     .layers = fused_by_query_flag,
     .bias = kAlways,
     .form = fused("attn.c_attn", RowOrder::blocks),
     .shows_num_attention_heads = true},
    {.model_types = "falcon",
     .kv_heads = kv_heads_of_decoder_form,
     .layers = fused_by_decoder_form,
     .bias = {"bias"},
     .form = fused("self_attention.query_key_value", RowOrder::blocks)},
    {.model_types = "telechat",  // rows of key_value: each KV head's k, then its v
     .form = {.fusion = Fusion::kv,
              .order = RowOrder::per_group,
              .tensors = "self_attention.query,key_value"}},

    // Several head geometries.
    {.model_types = "gemma4_text gemma4_unified_text",
     .layers = global_with_other_head_dim,
     .bias = kAttentionBias},
    {.model_types = "laguna", .layers = query_heads_by_layer, .bias = kAttentionBias},
    {.model_types = "minicpmv", .layers = decoder_by_version},
    {.model_types = "mimo_v2 mimo_v2_flash",
     .layers = sliding_with_swa_keys,
     .bias = kAttentionBias,
     .v_head_dim_key = "v_head_dim"},
    {.model_types = "step3p5", .layers = sliding_with_other_setting, .bias = kAttentionBias},
    {.model_types = "openelm",
     .layers = heads_by_layer,
     .form = fused("attn.qkv_proj", RowOrder::blocks)},
    {.model_types = "deci nemotron-nas", .layers = kv_heads_by_layer, .bias = kAttentionBias},
    {.model_types = "minimax minimax_m1 minimax_text_01", .layers = softmax_and_lightning},
    {.model_types = "hunyuan", .layers = cross_layer_attention, .bias = kAttentionBias},

    // Attention in some layers only.
    {.model_types = "qwen3_next qwen3_5_text qwen3_5_moe_text",
     .layers = attention_by_interval,
     .bias = kAttentionBias,
     .gate = {"attn_output_gate", true}},
    {.model_types = "olmo_hybrid", .layers = attention_by_interval, .bias = kAttentionBias},
    {.model_types = "lfm2",
     .layers = attention_or_convolution,
     .form = {.tensors = "self_attn.q_proj,k_proj,v_proj"}},
    {.model_types = "lfm2_moe", .layers = attention_by_type_list},
    {.model_types = "lfm3 granitemoehybrid",
     .layers = attention_by_type_list,
     .bias = kAttentionBias},
    {.model_types = "bamba", .layers = attention_by_index_list, .bias = kAttentionBias},
    {.model_types = "jamba", .layers = attention_by_period},
    {.model_types = "nemotron_h",
     .layers = attention_by_pattern,
     .bias = {"attention_bias"},
     .form = {.tensors = "mixer.q_proj,k_proj,v_proj"}},
    {.model_types = "recurrent_gemma",
     .layers = attention_by_block_cycle,
     .bias = kAttentionBias,
     .form = {.tensors = "temporal_block.q_proj,k_proj,v_proj"}},
    {.model_types = "zamba zamba2",
     .layers = attention_by_type_list,
     .form = {.tensors = "shared_transformer.self_attn.q_proj,k_proj,v_proj"},
     .head_dim_key = "attention_head_dim",  // kv_channels there is not the attention's
     .input_multiple = 2},

    // No qkv projection.
    {.model_types = "deepseek_v2",
     .layers = latent_attention_unless_off,
     .bias = {"attention_bias"}},
    {.model_types = "deepseek_v3 deepseek_v32 deepseek_v4 kimi_k2 glm_moe_dsa glm4_moe_lite "
                    "minicpm3 mistral4 longcat_flash youtu axk1",
     .layers = latent_attention},
    {.model_types = "kimi_linear", .layers = latent_and_linear_attention},
    {.model_types = "mamba mamba2 falcon_mamba rwkv xlstm", .layers = no_attention},
};

}  // namespace

std::span<const FamilyRule> family_rules() {
  return kRules;
}

}  // namespace tplora::core
