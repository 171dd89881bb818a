// What an engine does with some classes of models instead.
#include "sim/contract/variants.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/model/model_source.hpp"
#include "tests/support.hpp"
#include "tplora/tplora.hpp"
#include "verify/run/laws.hpp"

using namespace tplora;
using namespace tplora::core;
using test::TemporaryFolder;

namespace {

std::string extending(const std::string& rest) {
  return R"json({"extends": ")json" + (test::configs().root / "engines/vllm.json").string() +
         "\", " + rest + "}";
}

Result<ContractSet> read(const TemporaryFolder& folder, const std::string& variants) {
  return read_contract_set(folder.write("case.json", extending("\"variants\": " + variants)));
}

std::string error_of(const TemporaryFolder& folder, const std::string& variants) {
  const auto contracts = read(folder, variants);
  REQUIRE_FALSE(contracts);
  return contracts.error().text();
}

bool says(const std::string& text, std::initializer_list<const char*> parts) {
  return std::all_of(parts.begin(), parts.end(),
                     [&](const char* part) { return text.find(part) != std::string::npos; });
}

/// The report of each layer kind of `model` with a qkv projection.
std::vector<LayerReport> reports(const std::string& model, const std::string& engine,
                                 std::int64_t tp_size) {
  auto one = parse_case("model=" + model + " engine=" + engine + " tp=" + std::to_string(tp_size) +
                        " R=16 slots=2 adapters=a:r16:alpha32:qkv tokens=a,-");
  REQUIRE(one);
  auto layers = check_layers(*one, test::configs());
  REQUIRE(layers);
  std::erase_if(*layers, [](const LayerReport& layer) { return !layer.item.geometry; });
  return *layers;
}

std::string config_file(const TemporaryFolder& folder, const std::string& text) {
  return folder.write("config.json", text).string();
}

}  // namespace

TEST_CASE("the first variant whose conditions hold is taken", "[variants]") {
  const TemporaryFolder folder;
  const auto contracts = read(folder, R"json([
    {"model_types": ["a", "b"], "modules": ["W_pack"], "say": "both"},
    {"modules": ["W_pack"], "say": "module"},
    {"architectures": ["A"], "say": "class"},
    {"model_types": ["a"], "say": "type"},
    {"model_types": ["*"], "say": "any"}])json");
  REQUIRE(contracts);
  const auto taken = [&](const ModelTraits& traits) { return contracts->of(traits)->variant; };
  CHECK(taken({"a", "", "W_pack"}) == "both");
  CHECK(taken({"c", "", "W_pack"}) == "module");
  CHECK(taken({"a", "", "q_proj,k_proj,v_proj"}) == "type");
  CHECK(taken({"a", "A", "qkv_proj"}) == "class");
  CHECK(taken({"c", "", "qkv_proj"}) == "any");
  CHECK(taken({}).empty());
  CHECK(contracts->of({}) == contracts->base());
}

TEST_CASE("a variant's changes stand at the place where they were written", "[variants]") {
  const TemporaryFolder folder;
  const auto contracts = read(folder, R"json([{"model_types": ["a"], "say": "one",
    "source": ["there"], "replace": {"/pool/absent": "keep"},
    "add": {"/checks/-": {"that": "T == 1", "else": "crash", "say": "alone"}}}])json");
  REQUIRE(contracts);
  const Contract& one = *contracts->of({.model_type = "a", .architecture = {}, .modules = {}});
  const Contract& base = *contracts->base();
  CHECK(one.pool.absent == PoolAbsent::keep);
  CHECK(base.pool.absent == PoolAbsent::zero);
  REQUIRE(one.checks.size() == base.checks.size() + 1);
  CHECK_THAT(one.checks.back().that.place().text(),
             Catch::Matchers::EndsWith("case.json#/variants/0/add/~1checks~1-/that"));
  CHECK_THAT(one.place_of("/pool/absent").text(),
             Catch::Matchers::EndsWith("case.json#/variants/0/replace/~1pool~1absent"));
  CHECK(one.source.back() == "there");
  CHECK(one.source.size() == base.source.size() + 1);
}

TEST_CASE("a variant that says nothing, or changes nothing that is there, is refused",
          "[variants]") {
  const TemporaryFolder folder;
  CHECK(says(error_of(folder, R"json([{"say": "all"}])json"),
             {"model_types, architectures and modules", "case.json#/variants/0"}));
  CHECK(says(error_of(folder, R"json([{"model_types": ["a"]}])json"), {"say"}));
  CHECK(
      says(error_of(folder, R"json([{"modules": ["a"], "say": "x", "when": "1"}])json"), {"when"}));
  CHECK(says(
      error_of(folder, R"json([{"modules": ["a"], "say": "x", "replace": {"/let/no": "1"}}])json"),
      {"has no /let/no", "case.json#/variants/0/replace/~1let~1no"}));
  CHECK(says(
      error_of(folder,
               R"json([{"modules": ["a"], "say": "x", "replace": {"/scaling/num": "nix"}}])json"),
      {"nix", "case.json#/variants/0/replace/~1scaling~1num"}));
  CHECK(says(error_of(folder, R"json([{"modules": ["a"], "say": "x"},
                                      {"modules": ["b"], "say": "x"}])json"),
             {"an earlier variant says \"x\" too", "case.json#/variants/1"}));
  std::string many = "[";
  for (int i = 0; i < 65; ++i) {
    many += (i == 0 ? "" : ",") + fmt::format(R"json({{"modules": ["a"], "say": "{}"}})json", i);
  }
  CHECK(says(error_of(folder, many + "]"), {"65 variants, expected at most 64", "#/variants"}));
  CHECK(says(error_of(folder, R"json({"model_types": ["a"]})json"), {"case.json#/variants"}));
}

// The figures are those of the engine's own two functions at 0.5.23.
TEST_CASE("sglang sizes the buffer of Qwen3-Next without the gate", "[variants]") {
  struct Point {
    std::int64_t tp_size, buffer, slice;
  };
  for (const auto& [tp_size, buffer, slice] :
       {Point{1, 5120, 9216}, Point{2, 2560, 4608}, Point{4, 1536, 2560}, Point{8, 1024, 1536}}) {
    const auto layers = reports("Qwen/Qwen3-Next-80B-A3B-Instruct", "sglang", tp_size);
    REQUIRE(layers.size() == 1);
    const Analysis& analysis = layers[0].analysis;
    CHECK(analysis.verdict == Verdict::crash);
    CHECK(claimed(layers[0].item));
    CHECK(analysis.ranks[0].build.b_rows == std::vector<std::int64_t>{buffer});
    CHECK(analysis.ranks[0].load(0).slice_rows == std::vector<std::int64_t>{slice});
  }
  CHECK(reports("Qwen/Qwen3.5-35B-A3B", "sglang", 4)[0].analysis.verdict == Verdict::consistent);
}

// The release serves the text model by a class of another file, a wrapper without the hook.
TEST_CASE("sglang sizes the buffer of text-only Qwen3.5 without the gate", "[variants]") {
  const TemporaryFolder folder;
  const auto verdict = [&](const std::string& rest) {
    return reports(config_file(folder, R"json({"hidden_size": 64, "num_attention_heads": 8,
      "num_key_value_heads": 2, "head_dim": 8, "num_hidden_layers": 4, )json" +
                                           rest + "}"),
                   "sglang", 2)[0]
        .analysis.verdict;
  };
  CHECK(verdict(R"json("model_type": "qwen3_5_text")json") == Verdict::crash);
  CHECK(verdict(R"json("model_type": "qwen3_5", "architectures": ["Qwen3_5ForCausalLM"])json") ==
        Verdict::crash);
  CHECK(verdict(R"json("model_type": "qwen3_5",
                       "architectures": ["Qwen3_5ForConditionalGeneration"])json") ==
        Verdict::consistent);
}

TEST_CASE("sglang computes with head counts that a config may lack", "[variants]") {
  const TemporaryFolder folder;
  const std::string head = R"json({"hidden_size": 64, "num_attention_heads": 8,
    "num_hidden_layers": 2, "model_type": )json";
  const auto verdict = [&](const std::string& rest) {
    return reports(config_file(folder, head + rest + "}"), "sglang", 1)[0].analysis.verdict;
  };
  CHECK(verdict(R"json("opt")json") == Verdict::crash);  // its class has no such attribute
  // This class shows num_attention_heads where the file has no count of its own.
  CHECK(verdict(R"json("llama")json") == Verdict::consistent);
  CHECK(verdict(R"json("llama", "num_key_value_heads": null)json") == Verdict::consistent);
  // This one leaves a null as it is.
  CHECK(verdict(R"json("qwen2_moe", "num_key_value_heads": null)json") == Verdict::crash);
}

TEST_CASE("sglang refuses adapters of modules that it does not know", "[variants]") {
  for (const char* model : {"baichuan-inc/Baichuan2-7B-Chat", "bigcode/starcoder",
                            "openai-community/gpt2", "internlm/internlm2-chat-7b"}) {
    for (const std::int64_t tp_size : {1, 2, 4}) {
      CHECK(reports(model, "sglang", tp_size)[0].analysis.verdict == Verdict::refused);
    }
  }
}

TEST_CASE("what classes an engine was not read for, its contract does not claim", "[variants]") {
  CHECK_FALSE(claimed(reports("allenai/Olmo-3-7B-Instruct", "sglang", 1)[0].item));
  CHECK_FALSE(claimed(reports("google/gemma-4-12B-it", "sglang", 1)[0].item));
  CHECK(claimed(reports("Qwen/Qwen3-8B", "sglang", 1)[0].item));
}

TEST_CASE("the classes see what their config class computes", "[variants]") {
  const TemporaryFolder folder;
  const auto shown = [&](const std::string& text) {
    const auto model = core::load_model(config_file(folder, text), test::configs().models());
    REQUIRE(model);
    return model->layer_kinds[0].geometry->config_num_key_value_heads;
  };
  // transformers 5.19: GPTBigCodeConfig by multi_query, DbrxConfig by attn_config.kv_n_heads.
  CHECK(shown(R"json({"model_type": "gpt_bigcode", "n_embd": 64, "n_head": 8, "n_layer": 1,
    "multi_query": true})json") == 1);
  CHECK(shown(R"json({"model_type": "dbrx", "d_model": 64, "n_heads": 8, "n_layers": 1,
    "attn_config": {"kv_n_heads": 4}})json") == 4);
  CHECK(shown(R"json({"model_type": "gpt_neox", "hidden_size": 64, "num_attention_heads": 8,
    "num_hidden_layers": 1})json") == 0);
}

TEST_CASE("the library knows a model's class", "[variants][api]") {
  const auto configs = open_configs(test::configs().root);
  REQUIRE(configs);
  const auto engine = tplora::load_engine(*configs, "sglang");
  const auto model = tplora::load_model(*configs, "Qwen/Qwen3-Next-80B-A3B-Instruct");
  REQUIRE((engine && model));
  for (const LayerKind& kind : model->layer_kinds) {
    const auto report = check(*engine, *model, kind, {.tp_size = 2});
    if (!kind.geometry) {
      REQUIRE_FALSE(report);
      CHECK(says(report.error().sentence, {"no qkv projection"}));
      continue;
    }
    REQUIRE(report);
    CHECK(report->verdict == Verdict::crash);
    CHECK(says(report->case_line, {"model=Qwen/Qwen3-Next-80B-A3B-Instruct layer="}));
    const auto bare = check(*engine, *kind.geometry, {.tp_size = 2});
    REQUIRE(bare);
    CHECK(bare->verdict == Verdict::consistent);
  }
}
