// The rules that read a config, family by family.
#include <algorithm>
#include <set>

#include "tests/model_support.hpp"

using namespace tplora;
using namespace tplora::core;
using namespace tplora::test;

namespace {

using Indices = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("head_dim absent or null is hidden_size / num_attention_heads", "[model]") {
  CHECK(geometry_of(kLlama).head_dim == 128);
  CHECK(geometry_of(kLlama).config_head_dim == 0);
  CHECK(geometry_of(with_keys(kLlama, R"("head_dim": null)")).head_dim == 128);
  CHECK(geometry_of(with_keys(kLlama, R"("head_dim": 64)")).head_dim == 64);
  CHECK(geometry_of(with_keys(kLlama, R"("head_dim": 64)")).config_head_dim == 64);
  std::string odd = kLlama;
  odd.replace(odd.find("4096"), 4, "4097");
  CHECK(has(error_of(odd), "32 does not divide hidden_size 4097"));
}

TEST_CASE("a class default stands in for an absent key and not for a null", "[model]") {
  const std::string qwen3 = R"({"model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 2,
                               "num_attention_heads": 16, "num_key_value_heads": 8)";
  CHECK(geometry_of(qwen3 + "}").head_dim == 128);
  CHECK(has(error_of(qwen3 + R"(, "head_dim": null})"), "the class of qwen3 refuses a null"));
  const std::string ernie = R"({"model_type": "ernie4_5", "hidden_size": 1024,
      "num_hidden_layers": 2, "num_attention_heads": 16, "num_key_value_heads": 2)";
  CHECK(geometry_of(ernie + "}").head_dim == 128);
  CHECK(geometry_of(ernie + R"(, "head_dim": null})").head_dim == 64);
  const auto nested = geometry_of(
      R"({"model_type": "gemma3", "text_config": {"hidden_size": 2560, "num_hidden_layers": 34}})");
  CHECK(nested.num_attention_heads == 8);
  CHECK(nested.num_key_value_heads == 4);
  CHECK(nested.head_dim == 256);
  CHECK(nested.config_num_attention_heads == 8);
  const auto llava =
      geometry_of(R"({"model_type": "llava", "text_config": {"model_type": "llama"}})");
  CHECK(llava.hidden_size == 4096);
  CHECK(llava.num_attention_heads == 32);
  CHECK(llava.num_key_value_heads == 32);
  CHECK(has(error_of(R"({"model_type": "gemma3_text", "hidden_size": 2560})"),
            "num_attention_heads (or"));
}

TEST_CASE("kv heads without a key are all heads, or what the family's flag says", "[model]") {
  std::string mha = kLlama;
  mha.erase(mha.find(", \"num_key_value_heads\": 8"), 26);
  CHECK(geometry_of(mha).num_key_value_heads == 32);
  CHECK(geometry_of(mha).config_num_key_value_heads == 32);

  const std::string bigcode =
      R"({"model_type": "gpt_bigcode", "n_embd": 64, "n_head": 8, "n_layer": 2)";
  CHECK(geometry_of(bigcode + "}").num_key_value_heads == 1);
  CHECK(geometry_of(bigcode + R"(, "multi_query": false})").num_key_value_heads == 8);
  CHECK(model_of(bigcode + R"(, "multi_query": false})").layer_kinds[0].checkpoint.order ==
        RowOrder::per_head);

  const std::string falcon =
      R"({"model_type": "falcon", "hidden_size": 4544, "num_attention_heads": 71,
          "num_hidden_layers": 2, "num_kv_heads": 71)";
  CHECK(geometry_of(falcon + R"(, "multi_query": true})").num_key_value_heads == 1);
  CHECK(geometry_of(falcon + R"(, "multi_query": false})").num_key_value_heads == 71);
  const Model grouped = model_of(
      R"({"model_type": "falcon", "hidden_size": 8192, "num_attention_heads": 128,
          "num_hidden_layers": 2, "num_kv_heads": 8, "new_decoder_architecture": true})");
  CHECK(grouped.layer_kinds[0].geometry->num_key_value_heads == 8);
  CHECK(grouped.layer_kinds[0].checkpoint.order == RowOrder::per_group);

  const std::string glm = R"({"model_type": "chatglm", "hidden_size": 4096, "kv_channels": 128,
                             "num_attention_heads": 32, "num_layers": 28, "multi_query_group_num": 2)";
  CHECK(geometry_of(glm + R"(, "multi_query_attention": true})").num_key_value_heads == 2);
  CHECK(geometry_of(glm + R"(, "multi_query_attention": false})").num_key_value_heads == 32);
  CHECK(has(error_of(glm + "}"), "multi_query_attention is missing"));

  CHECK(geometry_of(R"({"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40,
                        "attn_config": {"kv_n_heads": 8, "clip_qkv": 8}})")
            .num_key_value_heads == 8);
}

TEST_CASE("a standard name is shown where the class maps it", "[model]") {
  CHECK(geometry_of(R"({"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12})")
            .config_num_attention_heads == 12);
  CHECK(geometry_of(kLlama).config_num_attention_heads == 32);
  CHECK(geometry_of(kLlama).config_num_key_value_heads == 8);
  CHECK(geometry_of(R"({"model_type": "phi-msft", "n_embd": 64, "n_head": 4, "n_layer": 1})")
            .config_num_attention_heads == 0);
}

TEST_CASE("the output gate is on when its flag is absent", "[model]") {
  CHECK(kind_of(model_of(kQwen35), "full_attention").geometry->q_multiplier == 2);
  CHECK(kind_of(model_of(with_keys(kQwen35, R"("attn_output_gate": null)")), "full_attention")
            .geometry->q_multiplier == 2);
  const Model plain = model_of(with_keys(kQwen35, R"("attn_output_gate": false)"));
  CHECK(kind_of(plain, "full_attention").geometry->q_multiplier == 1);
  CHECK(kind_of(plain, "full_attention").checkpoint.gate == GateLayout::none);
  CHECK(kind_of(model_of(kQwen35), "full_attention").checkpoint.gate == GateLayout::per_head);
}

TEST_CASE("full attention stands in every fourth layer or where layer_types says", "[model]") {
  const Model by_default = model_of(kQwen35);
  CHECK(kind_of(by_default, "full_attention").indices == Indices{3, 7});
  CHECK(kind_of(by_default, "linear_attention").indices == Indices{0, 1, 2, 4, 5, 6});
  CHECK_FALSE(kind_of(by_default, "linear_attention").geometry);
  const Model by_two = model_of(with_keys(kQwen35, R"("full_attention_interval": 2)"));
  CHECK(kind_of(by_two, "full_attention").indices == Indices{1, 3, 5, 7});
  const std::string types = R"("layer_types": ["full_attention", "linear_attention",
      "linear_attention", "linear_attention", "linear_attention", "linear_attention",
      "linear_attention", "linear_attention")";
  CHECK(kind_of(model_of(with_keys(kQwen35, types + "]")), "full_attention").indices == Indices{0});
  CHECK(has(error_of(with_keys(kQwen35, types + R"(, "full_attention"])")),
            "a list of 9 entries, expected num_hidden_layers 8"));
  CHECK(kind_of(model_of(with_keys(kQwen35, types + R"(, "full_attention"],
                                            "num_nextn_predict_layers": 1)")),
                "full_attention")
            .indices == Indices{0});
  CHECK(has(error_of(with_keys(kQwen35, R"("full_attention_interval": 0)")), "positive integer"));
}

TEST_CASE("layers that differ in their mask only are one kind", "[model]") {
  const Model model = model_of(with_keys(
      kLlama, R"("layer_types": ["sliding_attention", "full_attention", "sliding_attention",
                                 "full_attention"])"));
  REQUIRE(model.layer_kinds.size() == 1);
  CHECK(model.layer_kinds[0].kind == "all");
  CHECK(model.layer_kinds[0].indices == Indices{0, 1, 2, 3});
  CHECK(has(error_of(with_keys(kLlama, R"("layer_types": ["full_attention", "full_attention",
                                                          "full_attention", "surprise"])")),
            "config.json#/layer_types/3: found \"surprise\", expected a known layer type"));
  CHECK(has(error_of(with_keys(kLlama, R"("layer_types": [1, 2, 3, 4])")), "expected a string"));
  CHECK(has(error_of(with_keys(kLlama, R"("layer_types": "full_attention")")), "expected a list"));
  std::string uncounted = kLlama;
  uncounted.erase(uncounted.find("\"num_hidden_layers\": 4,"), 23);
  CHECK(model_of(uncounted).layer_kinds[0].indices.empty());
}

TEST_CASE("a hybrid pattern says which layers attend", "[model]") {
  const std::string nemotron =
      R"({"model_type": "nemotron_h", "hidden_size": 8192, "num_hidden_layers": 5,
          "num_attention_heads": 64, "num_key_value_heads": 8, "attention_head_dim": 128)";
  const Model model = model_of(nemotron + R"(, "hybrid_override_pattern": "M-*E*"})");
  CHECK(kind_of(model, "attention").indices == Indices{2, 4});
  CHECK(kind_of(model, "mamba").indices == Indices{0});
  CHECK(kind_of(model, "mlp").indices == Indices{1});
  CHECK(kind_of(model, "moe").indices == Indices{3});
  const Model unknown = model_of(nemotron + "}");
  REQUIRE(unknown.layer_kinds.size() == 1);
  CHECK(unknown.layer_kinds[0].kind == "attention");
  CHECK(unknown.layer_kinds[0].indices.empty());
  CHECK(has(error_of(nemotron + R"(, "hybrid_override_pattern": "M-*E"})"), "4 letters"));
  CHECK(has(error_of(nemotron + R"(, "hybrid_override_pattern": "M-*EX"})"), "letters M (mamba)"));
}

TEST_CASE("period, index list and block cycle say which layers attend", "[model]") {
  const std::string start =
      R"("hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 9)";
  const Model jamba = model_of(R"({"model_type": "jamba", "num_key_value_heads": 2,
                                   "attn_layer_period": 4, "attn_layer_offset": 1, )" +
                               start + "}");
  CHECK(kind_of(jamba, "attention").indices == Indices{1, 5});
  CHECK(has(error_of(R"({"model_type": "jamba", "attn_layer_period": 4, "attn_layer_offset": 4, )" +
                     start + "}"),
            "less than attn_layer_period 4"));
  const Model bamba = model_of(R"({"model_type": "bamba", "num_key_value_heads": 2,
                                   "attn_layer_indices": [2, 8], )" +
                               start + "}");
  CHECK(kind_of(bamba, "attention").indices == Indices{2, 8});
  CHECK(has(error_of(R"({"model_type": "bamba", "attn_layer_indices": [9], )" + start + "}"),
            "config.json#/attn_layer_indices/0: found 9, expected a layer index from 0 to 8"));
  CHECK(
      has(error_of(R"({"model_type": "bamba", )" + start + "}"), "attn_layer_indices is missing"));
  const Model recurrent = model_of(R"({"model_type": "recurrent_gemma", "num_key_value_heads": 1,
      "block_types": ["recurrent", "recurrent", "attention"], )" +
                                   start + "}");
  CHECK(kind_of(recurrent, "attention").indices == Indices{2, 5, 8});
  CHECK(has(error_of(R"({"model_type": "recurrent_gemma", "block_types": [], )" + start + "}"),
            "at least one block type"));
  const Model conv = model_of(R"({"model_type": "lfm2", "num_key_value_heads": 2,
                                  "full_attn_idxs": [2, 5], )" +
                              start + "}");
  CHECK(kind_of(conv, "full_attention").indices == Indices{2, 5});
  CHECK_FALSE(kind_of(conv, "conv").geometry);
}

TEST_CASE("latent attention has no qkv projection", "[model]") {
  const std::string keys = R"("hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2)";
  const Model latent = model_of(R"({"model_type": "deepseek_v3", )" + keys + "}");
  REQUIRE(latent.layer_kinds.size() == 1);
  CHECK(latent.layer_kinds[0].kind == "all");
  CHECK(latent.layer_kinds[0].indices == Indices{0, 1});
  CHECK_FALSE(latent.layer_kinds[0].geometry);
  CHECK(has(latent.layer_kinds[0].why_no_qkv, "latent"));
  CHECK_FALSE(model_of(R"({"model_type": "deepseek_v2", )" + keys + "}").layer_kinds[0].geometry);
  CHECK(model_of(R"({"model_type": "deepseek_v2", "use_mla": false, )" + keys + "}")
            .layer_kinds[0]
            .geometry);
  CHECK(model_of(R"({"model_type": "hunyuan", "kv_lora_rank": null, )" + keys + "}")
            .layer_kinds[0]
            .geometry);
  CHECK_FALSE(model_of(R"({"model_type": "hunyuan", "kv_lora_rank": 8, )" + keys + "}")
                  .layer_kinds[0]
                  .geometry);
  const Model mixed = model_of(R"({"model_type": "kimi_linear", )" + keys +
                               R"(, "linear_attn_config": {"full_attn_layers": [2]}})");
  CHECK(kind_of(mixed, "full_attention").indices == Indices{1});
  CHECK(kind_of(mixed, "linear_attention").indices == Indices{0});
}

TEST_CASE("query heads may be counted layer by layer", "[model]") {
  const std::string start = R"({"model_type": "laguna", "hidden_size": 2048,
      "num_attention_heads": 48, "num_hidden_layers": 4)";
  const Model alike = model_of(start + "}");
  REQUIRE(alike.layer_kinds.size() == 1);
  CHECK(alike.layer_kinds[0].geometry->num_attention_heads == 48);
  CHECK(alike.layer_kinds[0].geometry->num_key_value_heads == 8);
  CHECK(alike.layer_kinds[0].geometry->head_dim == 128);
  const Model model = model_of(start + R"(, "num_attention_heads_per_layer": [48, 64, 64, 48]})");
  CHECK(kind_of(model, "heads_48_kv_8").indices == Indices{0, 3});
  const QkvGeometry wide = *kind_of(model, "heads_64_kv_8").geometry;
  CHECK(wide.num_attention_heads == 64);
  CHECK(wide.config_num_attention_heads == 48);
  CHECK(wide.q_multiplier == 1);  // the gate is a projection of its own
  CHECK(has(error_of(start + R"(, "num_attention_heads_per_layer": [48, 60, 60, 48]})"),
            "60 query heads, expected a multiple of the 8 KV heads"));
}

TEST_CASE("decoders of wrappers without keys of their own", "[model]") {
  const auto asr = geometry_of(R"({"model_type": "qwen3_asr", "text_config": {}})");
  CHECK(asr.hidden_size == 2048);
  CHECK(asr.num_attention_heads == 16);
  CHECK(asr.num_key_value_heads == 8);
  CHECK(asr.head_dim == 128);
  const Model v46 = model_of(R"({"model_type": "minicpmv4_6", "text_config": {}})");
  const QkvGeometry full = *kind_of(v46, "full_attention").geometry;
  CHECK(full.num_key_value_heads == 4);
  CHECK(full.q_multiplier == 2);
  CHECK(geometry_of(R"({"model_type": "locateanything", "text_config": {"hidden_size": 2048,
      "num_attention_heads": 16, "num_key_value_heads": 2, "num_hidden_layers": 36}})")
            .qkv_bias);
  const std::string flat =
      R"({"model_type": "minicpmv", "hidden_size": 3584, "num_hidden_layers": 28,
      "num_attention_heads": 28, "num_key_value_heads": 4)";
  CHECK(geometry_of(flat + R"(, "version": 2.6})").qkv_bias);
  CHECK_FALSE(geometry_of(flat + R"(, "version": 2.5})").qkv_bias);
  CHECK(has(error_of(flat + "}"), "follows from `version`"));
  // MiMo-V2.5 writes its config as MiMo-V2-Flash does.
  CHECK(kind_of(model_of(R"({"model_type": "mimo_v2", "hidden_size": 4096, "num_hidden_layers": 2,
      "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 192, "v_head_dim": 128,
      "swa_num_attention_heads": 64, "swa_num_key_value_heads": 8, "swa_head_dim": 192,
      "swa_v_head_dim": 128, "hybrid_layer_pattern": [0, 1]})"),
                "sliding_attention")
            .geometry->num_key_value_heads == 8);
}

TEST_CASE("sliding layers may have heads of their own", "[model]") {
  const std::string start = R"("hidden_size": 4096, "num_hidden_layers": 3,
      "num_attention_heads": 64, "head_dim": 128)";
  const std::string types = R"("layer_types": ["full_attention", "sliding_attention",
                                               "sliding_attention"])";
  const std::string step =
      R"({"model_type": "step3p5", "num_attention_groups": 8, )" + start + ", " + types;
  const Model other = model_of(step + R"(, "attention_other_setting": {"num_attention_heads": 96,
                                         "num_attention_groups": 4, "head_dim": 64}})");
  CHECK(kind_of(other, "full_attention").geometry->num_key_value_heads == 8);
  const QkvGeometry& sliding = *kind_of(other, "sliding_attention").geometry;
  CHECK(sliding.num_attention_heads == 96);
  CHECK(sliding.num_key_value_heads == 4);
  CHECK(sliding.head_dim == 64);
  CHECK(sliding.v_head_dim == 64);
  CHECK(sliding.config_num_attention_heads == 64);
  CHECK(kind_of(model_of(step + R"(, "num_sliding_attention_heads": 96})"), "sliding_attention")
            .geometry->num_attention_heads == 96);
  CHECK(has(error_of(step + "}"), "expected attention_other_setting"));

  const std::string mimo = R"({"model_type": "mimo_v2_flash", "num_key_value_heads": 4, )" + start +
                           R"(, "swa_num_attention_heads": 64, "swa_num_key_value_heads": 8,
                               "swa_head_dim": 192, "hybrid_layer_pattern": [0, 1, 1])";
  const Model swa = model_of(mimo + R"(, "v_head_dim": 96, "swa_v_head_dim": 128})");
  CHECK(kind_of(swa, "full_attention").geometry->v_head_dim == 96);
  CHECK(kind_of(swa, "sliding_attention").geometry->num_key_value_heads == 8);
  CHECK(kind_of(swa, "sliding_attention").geometry->head_dim == 192);
  CHECK(kind_of(swa, "sliding_attention").geometry->v_head_dim == 128);
  CHECK(has(error_of(mimo + R"(, "swa_v_head_dim": 128})"), "v_head_dim is missing"));
  CHECK(has(error_of(mimo + R"(, "v_head_dim": 96})"), "swa_v_head_dim is missing"));
}

TEST_CASE("global layers may have another head_dim and layers may share k and v", "[model]") {
  const std::string gemma = R"({"model_type": "gemma4_text", "hidden_size": 1536,
      "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256,
      "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"])";
  const Model shared = model_of(gemma + R"(, "num_kv_shared_layers": 1})");
  CHECK(kind_of(shared, "sliding_attention").geometry->head_dim == 256);
  CHECK(kind_of(shared, "full_attention").geometry->head_dim == 512);
  CHECK(kind_of(shared, "full_attention").geometry->config_head_dim == 256);
  CHECK(kind_of(shared, "full_attention").indices == Indices{1});
  CHECK(kind_of(shared, "kv_shared").indices == Indices{3});
  CHECK_FALSE(kind_of(shared, "kv_shared").geometry);
  CHECK_FALSE(
      kind_of(model_of(gemma + R"(, "attention_k_eq_v": true})"), "full_attention").geometry);
  CHECK(has(error_of(gemma + R"(, "num_kv_shared_layers": 5})"), "an integer from 0 to 4"));
}

TEST_CASE("per-layer lists give one kind for each pair of head counts", "[model]") {
  const std::string elm = R"({"model_type": "openelm", "model_dim": 1280, "head_dim": 64,
      "num_transformer_layers": 3, "num_query_heads": [12, 12, 16])";
  const Model model = model_of(elm + R"(, "num_kv_heads": [3, 3, 4]})");
  CHECK(kind_of(model, "heads_12_kv_3").indices == Indices{0, 1});
  CHECK(kind_of(model, "heads_16_kv_4").geometry->num_key_value_heads == 4);
  CHECK(has(error_of(elm + R"(, "num_kv_heads": [3, 3]})"), "as long as num_query_heads"));
  CHECK(has(error_of(elm + R"(, "num_kv_heads": [3, 5, 4]})"), "not a multiple"));
  CHECK(has(error_of(elm + "}"), "num_kv_heads"));

  const std::string nas = R"({"model_type": "nemotron-nas", "hidden_size": 64,
      "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": null,
      "block_configs": [{"attention": {"n_heads_in_group": 4}}, {"attention": {"no_op": true}}, )";
  const Model blocks = model_of(nas + R"({"attention": {"n_heads_in_group": 4}}]})");
  CHECK(kind_of(blocks, "attention").indices == Indices{0, 2});
  CHECK(kind_of(blocks, "attention").geometry->num_key_value_heads == 2);
  CHECK_FALSE(kind_of(blocks, "no_op").geometry);
  const Model two = model_of(nas + R"({"attention": {"n_heads_in_group": 8}}]})");
  CHECK(kind_of(two, "heads_8_kv_1").indices == Indices{2});
  CHECK(has(error_of(nas + R"({"attention": {"n_heads_in_group": 3}}]})"), "expected a divisor"));
  CHECK(has(error_of(nas + "{}]})"), "not valid JSON"));
  CHECK(has(error_of(nas + "{}]}"), "config.json#/block_configs/2"));
}

TEST_CASE("lightning layers have a fused projection of their own", "[model]") {
  const Model model = model_of(R"({"model_type": "minimax_m1", "hidden_size": 6144, "head_dim": 128,
      "num_hidden_layers": 3, "num_attention_heads": 64, "num_key_value_heads": 8,
      "attn_type_list": [0, 1, 0]})");
  CHECK(kind_of(model, "full_attention").geometry->num_key_value_heads == 8);
  const LayerKind& lightning = kind_of(model, "linear_attention");
  CHECK(lightning.indices == Indices{0, 2});
  CHECK(lightning.geometry->total_rows() == 3 * 64 * 128);
  CHECK(lightning.checkpoint.order == RowOrder::per_head);
}

TEST_CASE("a shared block reads two hidden states side by side", "[model]") {
  const Model model = model_of(R"({"model_type": "zamba2", "hidden_size": 2560,
      "num_hidden_layers": 2, "num_attention_heads": 32, "kv_channels": 80,
      "layers_block_type": ["mamba", "hybrid"]})");
  const QkvGeometry& g = *kind_of(model, "hybrid").geometry;
  CHECK(g.hidden_size == 5120);
  CHECK(g.head_dim == 160);
}

TEST_CASE("cross-layer attention leaves k and v to every factor-th layer", "[model]") {
  const std::string hunyuan =
      R"({"model_type": "hunyuan", "hidden_size": 64, "num_attention_heads": 4,
      "num_key_value_heads": 2, "num_hidden_layers": 4, "cla_share_factor": 2, "use_cla": )";
  CHECK(kind_of(model_of(hunyuan + "true}"), "self_attention").indices == Indices{0, 2});
  CHECK_FALSE(kind_of(model_of(hunyuan + "true}"), "kv_shared").geometry);
  CHECK(kind_of(model_of(hunyuan + "false}"), "all").geometry);
}

TEST_CASE("the decoder is found inside wrappers", "[model]") {
  const std::string inner = kLlama;
  for (const std::string& text :
       {R"({"model_type": "llava", "text_config": )" + inner + "}",
        R"({"model_type": "internvl_chat", "llm_config": )" + inner + "}",
        R"({"model_type": "multi_modality", "language_config": )" + inner + "}",
        R"({"model_type": "qwen3_omni_moe", "thinker_config": {"text_config": )" + inner + "}}"}) {
    CHECK(geometry_of(text) == geometry_of(kLlama));
  }
  const Model omni = model_of(R"({"model_type": "qwen2_5_omni", "thinker_config": {"model_type":
      "qwen2_5_omni_thinker", "text_config": {"model_type": "qwen2_5_omni_text"}}})");
  CHECK(omni.layer_kinds[0].geometry->num_attention_heads == 28);
  CHECK(omni.layer_kinds[0].geometry->qkv_bias);
}
