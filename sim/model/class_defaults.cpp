// What the model classes fill in for keys that a config leaves out, from the Hugging Face library
// (5.23, configuration_*.py). Only classes with a default that matters have a row.
#include "sim/model/family.hpp"

namespace tplora::core {
namespace {

/// model_type, hidden_size, num_attention_heads, num_key_value_heads, head_dim, num_hidden_layers.
constexpr ClassDefaults kDefaults[] = {
    {"afmoe", 2048, 16, 0, 128, 32},
    {"apertus", 4096, 32, 0, 0, 32},
    {"arcee", 2560, 32, 0, 0, 32},
    {"aria_text", 4096, 32, 0, 0, 32},
    {"bamba", 4096, 32, 8, 0, 32},
    {"biogpt", 1024, 16, 0, 0, 24},
    {"bitnet", 2560, 20, 5, 0, 30},
    {"chameleon", 4096, 32, 32, 0, 32},
    {"cohere", 8192, 64, 0, 0, 40},
    {"cohere2", 8192, 64, 0, 0, 40},
    {"cohere2_moe", 8192, 64, 0, 128, 40},
    {"cohere_compass_text", 8192, 64, 0, 0, 40},
    {"cosmos3_edge_text", 2048, 16, 8, 128, 28},
    {"cwm", 6144, 48, 8, 128, 64},
    {"dbrx", 2048, 16, 1, 0, 24},
    {"deepseek_ocr2_text", 4096, 32, 0, 0, 32},
    {"deepseek_v2", 4096, 32, 0, 0, 32},
    {"diffllama", 2048, 32, 0, 0, 16},
    {"doge", 1024, 8, 0, 0, 32},
    {"dots1", 4608, 32, 32, 0, 62},
    {"emu3_text_model", 4096, 32, 8, 0, 32},
    {"ernie4_5", 1024, 16, 2, 128, 18},
    {"ernie4_5_moe", 2560, 20, 4, 0, 28},
    {"ernie4_5_vl_moe_text", 2560, 20, 4, 0, 28},
    {"exaone4", 4096, 32, 32, 0, 32},
    {"exaone_moe", 4096, 32, 32, 0, 32},
    {"falcon", 4544, 71, 0, 0, 32},
    {"falcon_h1", 4096, 32, 8, 0, 32},
    {"flex_olmo", 4096, 32, 0, 0, 32},
    {"flint", 2048, 32, 4, 128, 49},
    {"gemma", 3072, 16, 16, 256, 28},
    {"gemma2", 2304, 8, 4, 256, 26},
    {"gemma3_text", 2304, 8, 4, 256, 26},
    {"gemma3n_text", 2048, 8, 2, 256, 35},
    {"gemma4_text", 2304, 8, 4, 256, 30},
    {"gemma4_unified_text", 2304, 8, 4, 256, 30},
    {"glm", 4096, 32, 2, 128, 40},
    {"glm4", 4096, 32, 2, 128, 40},
    {"glm4_moe", 4096, 96, 8, 0, 46},
    {"glm4v_moe_text", 4096, 96, 8, 0, 46},
    {"glm4v_text", 4096, 32, 2, 0, 40},
    {"glm_image_text", 4096, 32, 2, 0, 40},
    {"glm_ocr_text", 1024, 16, 8, 0, 16},
    {"gpt_bigcode", 768, 12, 0, 0, 12},
    {"gpt_neo", 2048, 16, 0, 0, 24},
    {"gpt_neox", 6144, 64, 0, 0, 44},
    {"gpt_oss", 2880, 64, 8, 64, 36},
    {"gptj", 4096, 16, 0, 0, 28},
    {"granite", 4096, 32, 0, 0, 32},
    {"granite4_vision_text", 4096, 32, 0, 0, 32},
    {"granite_docling_text", 1024, 16, 4, 0, 28},
    {"granite_swa", 2560, 20, 4, 0, 24},
    {"granitemoe", 4096, 32, 0, 0, 32},
    {"granitemoe_swa", 4096, 32, 0, 0, 32},
    {"granitemoehybrid", 4096, 32, 0, 0, 32},
    {"granitemoeshared", 4096, 32, 0, 0, 32},
    {"helium", 2560, 20, 20, 128, 24},
    {"hunyuan_v1_dense", 4096, 32, 0, 0, 32},
    {"hunyuan_v1_moe", 4096, 32, 0, 0, 32},
    {"hunyuan_vl_text", 4096, 32, 0, 0, 32},
    {"hy_v3", 4096, 64, 8, 128, 80},
    {"hyperclovax", 4096, 32, 0, 0, 32},
    {"internlm3", 4096, 32, 2, 128, 48},
    {"iquestcoder", 5120, 40, 8, 128, 80},
    {"jais2", 3328, 26, 0, 0, 32},
    {"jamba", 4096, 32, 8, 0, 32},
    {"laguna", 2048, 48, 8, 128, 40},
    {"lfm2", 2560, 32, 8, 0, 32},
    {"lfm2_moe", 2048, 32, 8, 0, 32},
    {"lfm3", 2048, 16, 4, 128, 24},
    {"llama", 4096, 32, 0, 0, 32},
    {"llama4_text", 5120, 40, 8, 128, 48},
    {"mellum", 2304, 32, 4, 128, 28},
    {"mimo_v2_flash", 4096, 64, 4, 192, 48},
    {"minimax", 4096, 32, 8, 0, 32},
    {"minimax_m2", 3072, 48, 8, 128, 62},
    {"minimax_m3_vl_text", 6144, 64, 4, 128, 60},
    {"ministral", 4096, 32, 8, 0, 32},
    {"ministral3", 4096, 32, 8, 128, 34},
    {"mistral", 4096, 32, 8, 0, 32},
    {"mixtral", 4096, 32, 8, 0, 32},
    {"mllama_text_model", 4096, 32, 8, 0, 40},
    {"mpt", 2048, 16, 0, 0, 24},
    {"nanochat", 768, 6, 0, 0, 12},
    {"nemotron", 6144, 48, 0, 0, 32},
    {"nemotron_h", 4096, 32, 8, 128, 4},
    {"olmo", 4096, 32, 0, 0, 32},
    {"olmo2", 4096, 32, 0, 0, 32},
    {"olmo3", 4096, 32, 0, 0, 32},
    {"olmo_hybrid", 3840, 30, 0, 0, 32},
    {"olmoe", 2048, 16, 0, 0, 16},
    {"opt", 768, 12, 0, 0, 12},
    {"paddleocr_vl_text", 1024, 16, 2, 128, 18},
    {"persimmon", 4096, 64, 0, 0, 36},
    {"phi", 2048, 32, 0, 0, 24},
    {"phi3", 3072, 32, 0, 0, 32},
    {"phi4_multimodal", 3072, 32, 8, 0, 32},
    {"phimoe", 4096, 32, 8, 0, 32},
    {"qwen2", 4096, 32, 32, 0, 32},
    {"qwen2_5_omni_text", 3584, 28, 4, 0, 28},
    {"qwen2_5_vl_text", 8192, 64, 8, 0, 80},
    {"qwen2_moe", 2048, 16, 16, 0, 24},
    {"qwen2_vl_text", 8192, 64, 8, 0, 80},
    {"qwen3", 4096, 32, 32, 128, 32},
    {"qwen3_5_moe_text", 2048, 16, 2, 256, 40},
    {"qwen3_5_text", 4096, 16, 4, 256, 32},
    {"qwen3_asr_text", 2048, 16, 8, 128, 28},
    {"qwen3_moe", 2048, 32, 4, 0, 24},
    {"qwen3_next", 2048, 16, 2, 256, 48},
    {"qwen3_omni_moe_text", 2048, 28, 4, 0, 28},
    {"qwen3_vl_moe_text", 2048, 16, 16, 0, 24},
    {"qwen3_vl_text", 4096, 32, 32, 128, 32},
    {"recurrent_gemma", 2560, 10, 0, 0, 26},
    {"seed_oss", 4096, 80, 8, 128, 64},
    {"smollm3", 2048, 16, 4, 0, 36},
    {"solar_open", 4096, 64, 8, 128, 48},
    {"stablelm", 2560, 32, 32, 0, 32},
    {"starcoder2", 3072, 24, 2, 0, 30},
    {"step3p5", 4096, 64, 8, 128, 45},
    {"vaultgemma", 2304, 8, 4, 256, 26},
    {"voxtral_realtime_text", 4096, 32, 8, 0, 32},
    {"zamba", 3712, 16, 16, 0, 76},
    {"zamba2", 2560, 32, 0, 0, 54},
};

/// Given null, these classes of the Hugging Face library (5.19, instantiated with 8 heads) show 8;
/// dbrx takes the count from attn_config, gpt_bigcode from multi_query (configuration_*.py).
constexpr std::string_view kWithKvHeads =
    "afmoe apertus arcee aria_text bamba bitnet cohere cohere2 cohere2_moe "
    "cohere_compass_text cosmos3_edge_text csm dbrx deepseek_ocr2_text deepseek_v2 "
    "deepseek_v3 diffllama doge dots1 ernie4_5 eurobert falcon_h1 flex_olmo glm4v_text "
    "glm_image_text gpt_bigcode granite granite4_vision_text granite_swa granitemoe "
    "granitemoe_swa granitemoehybrid granitemoeshared hunyuan_v1_dense hunyuan_v1_moe "
    "hunyuan_vl_text hyperclovax jais2 kimi_linear llama longcat_flash minicpm3 mistral4 "
    "nanochat olmo olmo2 olmo3 olmo_hybrid olmoe paddleocr_vl_text phi phi3 phi4_multimodal "
    "qwen2 qwen2_5_omni_text qwen2_5_vl_text qwen2_vl_text qwen3 qwen3_vl_text "
    "recurrent_gemma seed_oss smollm3 zamba2";

/// Given null, these classes refuse the config (5.19 and 5.24 alike; tests/models).
constexpr std::string_view kNoNullKvHeads =
    "axk1 cwm deepseek_v32 deepseek_v4 exaone4 exaone_moe flint gemma gemma2 gemma3_text "
    "gemma3n_text gemma4_text gemma4_unified_text glm4 glm4_moe glm4_moe_lite "
    "glm4v_moe_text glm_moe_dsa glm_ocr_text gpt_oss helium hy_v3 jamba laguna lfm2 "
    "lfm2_moe lfm3 llama4_text mellum mimo_v2_flash minimax minimax_m2 minimax_m3_vl_text "
    "ministral ministral3 mistral mixtral mllama_text_model nemotron_h phimoe "
    "qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next qwen3_omni_moe_text "
    "qwen3_vl_moe_text solar_open stablelm starcoder2 step3p5 vaultgemma "
    "voxtral_realtime_text youtu zamba";
constexpr std::string_view kNoNullHeadDim =
    "cohere2_moe cosmos3_edge_text cwm deepseek_v32 deepseek_v4 falcon flint gemma gemma2 "
    "gemma3_text gemma3n_text gemma4_text gemma4_unified_text glm4 glm_moe_dsa gpt_oss "
    "helium hy_v3 laguna lfm3 llama4_text longcat_flash mellum mimo_v2_flash minimax_m2 "
    "minimax_m3_vl_text ministral3 nemotron_h qwen3 qwen3_5_moe_text qwen3_5_text "
    "qwen3_next qwen3_vl_text seed_oss solar_open step3p5 vaultgemma";

}  // namespace

std::string_view classes_without_null_kv_heads() {
  return kNoNullKvHeads;
}

std::string_view classes_without_null_head_dim() {
  return kNoNullHeadDim;
}

std::string_view classes_with_kv_heads() {
  return kWithKvHeads;
}

std::span<const ClassDefaults> class_defaults() {
  return kDefaults;
}

}  // namespace tplora::core
