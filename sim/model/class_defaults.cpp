// What the model classes fill in for keys that a config leaves out, from the Hugging Face library
// (5.23, configuration_*.py). Only classes with a default that matters have a row.
#include "sim/model/family.hpp"

namespace tplora::core {
namespace {

/// model_type, hidden_size, num_attention_heads, num_key_value_heads, head_dim.
constexpr ClassDefaults kDefaults[] = {
    {"afmoe", 2048, 16, 0, 128},
    {"apertus", 4096, 32, 0, 0},
    {"arcee", 2560, 32, 0, 0},
    {"aria_text", 4096, 32, 0, 0},
    {"bamba", 4096, 32, 8, 0},
    {"biogpt", 1024, 16, 0, 0},
    {"bitnet", 2560, 20, 5, 0},
    {"chameleon", 4096, 32, 32, 0},
    {"cohere", 8192, 64, 0, 0},
    {"cohere2", 8192, 64, 0, 0},
    {"cohere2_moe", 8192, 64, 0, 128},
    {"cohere_compass_text", 8192, 64, 0, 0},
    {"cosmos3_edge_text", 2048, 16, 8, 128},
    {"cwm", 6144, 48, 8, 128},
    {"dbrx", 2048, 16, 1, 0},
    {"deepseek_ocr2_text", 4096, 32, 0, 0},
    {"deepseek_v2", 4096, 32, 0, 0},
    {"diffllama", 2048, 32, 0, 0},
    {"doge", 1024, 8, 0, 0},
    {"dots1", 4608, 32, 32, 0},
    {"emu3_text_model", 4096, 32, 8, 0},
    {"ernie4_5", 1024, 16, 2, 128},
    {"ernie4_5_moe", 2560, 20, 4, 0},
    {"ernie4_5_vl_moe_text", 2560, 20, 4, 0},
    {"exaone4", 4096, 32, 32, 0},
    {"exaone_moe", 4096, 32, 32, 0},
    {"falcon", 4544, 71, 0, 0},
    {"falcon_h1", 4096, 32, 8, 0},
    {"flex_olmo", 4096, 32, 0, 0},
    {"flint", 2048, 32, 4, 128},
    {"gemma", 3072, 16, 16, 256},
    {"gemma2", 2304, 8, 4, 256},
    {"gemma3_text", 2304, 8, 4, 256},
    {"gemma3n_text", 2048, 8, 2, 256},
    {"gemma4_text", 2304, 8, 4, 256},
    {"gemma4_unified_text", 2304, 8, 4, 256},
    {"glm", 4096, 32, 2, 128},
    {"glm4", 4096, 32, 2, 128},
    {"glm4_moe", 4096, 96, 8, 0},
    {"glm4v_moe_text", 4096, 96, 8, 0},
    {"glm4v_text", 4096, 32, 2, 0},
    {"glm_image_text", 4096, 32, 2, 0},
    {"glm_ocr_text", 1024, 16, 8, 0},
    {"gpt_bigcode", 768, 12, 0, 0},
    {"gpt_neo", 2048, 16, 0, 0},
    {"gpt_neox", 6144, 64, 0, 0},
    {"gpt_oss", 2880, 64, 8, 64},
    {"gptj", 4096, 16, 0, 0},
    {"granite", 4096, 32, 0, 0},
    {"granite4_vision_text", 4096, 32, 0, 0},
    {"granite_docling_text", 1024, 16, 4, 0},
    {"granite_swa", 2560, 20, 4, 0},
    {"granitemoe", 4096, 32, 0, 0},
    {"granitemoe_swa", 4096, 32, 0, 0},
    {"granitemoehybrid", 4096, 32, 0, 0},
    {"granitemoeshared", 4096, 32, 0, 0},
    {"helium", 2560, 20, 20, 128},
    {"hunyuan_v1_dense", 4096, 32, 0, 0},
    {"hunyuan_v1_moe", 4096, 32, 0, 0},
    {"hunyuan_vl_text", 4096, 32, 0, 0},
    {"hy_v3", 4096, 64, 8, 128},
    {"hyperclovax", 4096, 32, 0, 0},
    {"internlm3", 4096, 32, 2, 128},
    {"iquestcoder", 5120, 40, 8, 128},
    {"jais2", 3328, 26, 0, 0},
    {"jamba", 4096, 32, 8, 0},
    {"lfm2", 2560, 32, 8, 0},
    {"lfm2_moe", 2048, 32, 8, 0},
    {"lfm3", 2048, 16, 4, 128},
    {"llama", 4096, 32, 0, 0},
    {"llama4_text", 5120, 40, 8, 128},
    {"mellum", 2304, 32, 4, 128},
    {"mimo_v2_flash", 4096, 64, 4, 192},
    {"minimax", 4096, 32, 8, 0},
    {"minimax_m2", 3072, 48, 8, 128},
    {"minimax_m3_vl_text", 6144, 64, 4, 128},
    {"ministral", 4096, 32, 8, 0},
    {"ministral3", 4096, 32, 8, 128},
    {"mistral", 4096, 32, 8, 0},
    {"mixtral", 4096, 32, 8, 0},
    {"mllama_text_model", 4096, 32, 8, 0},
    {"mpt", 2048, 16, 0, 0},
    {"nanochat", 768, 6, 0, 0},
    {"nemotron", 6144, 48, 0, 0},
    {"nemotron_h", 4096, 32, 8, 128},
    {"olmo", 4096, 32, 0, 0},
    {"olmo2", 4096, 32, 0, 0},
    {"olmo3", 4096, 32, 0, 0},
    {"olmo_hybrid", 3840, 30, 0, 0},
    {"olmoe", 2048, 16, 0, 0},
    {"opt", 768, 12, 0, 0},
    {"paddleocr_vl_text", 1024, 16, 2, 128},
    {"persimmon", 4096, 64, 0, 0},
    {"phi", 2048, 32, 0, 0},
    {"phi3", 3072, 32, 0, 0},
    {"phi4_multimodal", 3072, 32, 8, 0},
    {"phimoe", 4096, 32, 8, 0},
    {"qwen2", 4096, 32, 32, 0},
    {"qwen2_5_omni_text", 3584, 28, 4, 0},
    {"qwen2_5_vl_text", 8192, 64, 8, 0},
    {"qwen2_moe", 2048, 16, 16, 0},
    {"qwen2_vl_text", 8192, 64, 8, 0},
    {"qwen3", 4096, 32, 32, 128},
    {"qwen3_5_moe_text", 2048, 16, 2, 256},
    {"qwen3_5_text", 4096, 16, 4, 256},
    {"qwen3_moe", 2048, 32, 4, 0},
    {"qwen3_next", 2048, 16, 2, 256},
    {"qwen3_omni_moe_text", 2048, 28, 4, 0},
    {"qwen3_vl_moe_text", 2048, 16, 16, 0},
    {"qwen3_vl_text", 4096, 32, 32, 128},
    {"recurrent_gemma", 2560, 10, 0, 0},
    {"seed_oss", 4096, 80, 8, 128},
    {"smollm3", 2048, 16, 4, 0},
    {"solar_open", 4096, 64, 8, 128},
    {"stablelm", 2560, 32, 32, 0},
    {"starcoder2", 3072, 24, 2, 0},
    {"step3p5", 4096, 64, 8, 128},
    {"vaultgemma", 2304, 8, 4, 256},
    {"voxtral_realtime_text", 4096, 32, 8, 0},
    {"zamba", 3712, 16, 16, 0},
    {"zamba2", 2560, 32, 0, 0},
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

}  // namespace

std::string_view classes_with_kv_heads() {
  return kWithKvHeads;
}

std::span<const ClassDefaults> class_defaults() {
  return kDefaults;
}

}  // namespace tplora::core
