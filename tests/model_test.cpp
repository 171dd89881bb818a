// Every collected model against its index, and the rules that read a config.
#include <algorithm>
#include <set>

#include "sim/base/json.hpp"
#include "sim/model/config_reader.hpp"
#include "sim/model/model_source.hpp"
#include "tests/support.hpp"

using namespace tplora;

namespace {

std::filesystem::path models() {
  return test::configs().models();
}

Result<Model> read_text(const std::string& text) {
  const auto json = parse_json(text, "config.json");
  return json ? read_config(JsonView(*json, "config.json"), "m") : fail(json.error());
}

Model model_of(const std::string& text) {
  auto model = read_text(text);
  if (!model) {
    FAIL(model.error().text());
  }
  return *model;
}

/// The only layer kind's geometry.
QkvGeometry geometry_of(const std::string& text) {
  const Model model = model_of(text);
  REQUIRE(model.layer_kinds.size() == 1);
  REQUIRE(model.layer_kinds[0].geometry);
  return *model.layer_kinds[0].geometry;
}

const LayerKind& kind_of(const Model& model, const std::string& name) {
  const auto found = std::find_if(model.layer_kinds.begin(), model.layer_kinds.end(),
                                  [&](const LayerKind& kind) { return kind.kind == name; });
  if (found == model.layer_kinds.end()) {
    FAIL("no layer kind " << name << " in " << model.name);
  }
  return *found;
}

std::string error_of(const std::string& text) {
  const auto model = read_text(text);
  REQUIRE_FALSE(model);
  return model.error().text();
}

std::string load_error(const std::string& argument) {
  const auto model = load_model(argument, models());
  REQUIRE_FALSE(model);
  return model.error().text();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// `base` with more members: with_keys(kLlama, R"("head_dim": 64)").
std::string with_keys(std::string base, const std::string& members) {
  return base.insert(base.rfind('}'), ", " + members);
}

using Indices = std::vector<std::int64_t>;

/// "0-2,5" as 0 1 2 5.
Indices indices_of(const std::string& ranges) {
  Indices list;
  for (std::size_t at = 0; at < ranges.size();) {
    const std::size_t comma = std::min(ranges.find(',', at), ranges.size());
    const std::string range = ranges.substr(at, comma - at);
    const std::size_t dash = range.find('-');
    const std::int64_t first = std::stoll(range.substr(0, dash));
    const std::int64_t last =
        dash == std::string::npos ? first : std::stoll(range.substr(dash + 1));
    for (std::int64_t i = first; i <= last; ++i) {
      list.push_back(i);
    }
    at = comma + 1;
  }
  return list;
}

void check_checkpoint(const Json& expect, const CheckpointForm& form) {
  CHECK(fusion_name(form.fusion) == expect["fusion"].get<std::string>());
  if (expect.contains("order")) {
    CHECK(row_order_name(form.order) == expect["order"].get<std::string>());
  }
  CHECK(gate_layout_name(form.gate) == expect["gate"].get<std::string>());
  CHECK(form.transposed == expect["transposed"].get<bool>());
  CHECK(has(std::string(form.tensors), expect["tensors"].get<std::string>()));
}

void check_kind(const Json& expect, const LayerKind& kind) {
  REQUIRE(kind.geometry);
  const QkvGeometry& g = *kind.geometry;
  CHECK(g.hidden_size == expect["hidden_size"].get<std::int64_t>());
  CHECK(g.num_attention_heads == expect["num_attention_heads"].get<std::int64_t>());
  CHECK(g.num_key_value_heads == expect["num_key_value_heads"].get<std::int64_t>());
  CHECK(g.head_dim == expect["head_dim"].get<std::int64_t>());
  CHECK(g.v_head_dim == expect["v_head_dim"].get<std::int64_t>());
  CHECK(g.q_multiplier == expect["q_multiplier"].get<std::int64_t>());
  if (expect.contains("qkv_bias")) {
    CHECK(g.qkv_bias == expect["qkv_bias"].get<bool>());
  }
  if (!expect["layers"].is_null()) {
    CHECK(kind.indices == indices_of(expect["layers"].get<std::string>()));
  }
  check_checkpoint(expect["checkpoint"], kind.checkpoint);
}

void check_model(const Json& entry, const Model& model) {
  std::int64_t with_qkv = 0;
  Indices without;
  for (const LayerKind& kind : model.layer_kinds) {
    with_qkv += kind.geometry ? 1 : 0;
    CHECK(kind.why_no_qkv.empty() == kind.geometry.has_value());
    if (!kind.geometry) {
      without.insert(without.end(), kind.indices.begin(), kind.indices.end());
    }
  }
  CHECK(with_qkv == static_cast<std::int64_t>(entry["expect"].size()));
  for (const Json& expect : entry["expect"]) {
    check_kind(expect, kind_of(model, expect["kind"].get<std::string>()));
  }
  if (entry.contains("without_qkv")) {
    std::sort(without.begin(), without.end());
    CHECK(without == indices_of(entry["without_qkv"].get<std::string>()));
  }
}

const std::string kLlama =
    R"({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 4,
        "num_attention_heads": 32, "num_key_value_heads": 8})";
const std::string kQwen35 =
    R"({"model_type": "qwen3_5_moe_text", "hidden_size": 2048, "num_hidden_layers": 8,
        "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256})";

}  // namespace

TEST_CASE("every collected model reads as its index says", "[model]") {
  const auto index = read_json_file(models() / "index.json");
  REQUIRE(index);
  CHECK((*index)["format"] == "tplora-models/1");
  CHECK((*index)["models"].size() == 273);
  for (const auto& [name, entry] : (*index)["models"].items()) {
    INFO(name);
    const auto model = load_model(name, models());
    if ((*index)["refused"].contains(name)) {
      CHECK_FALSE(model);
      continue;
    }
    if (!model) {
      FAIL(model.error().text());
    }
    CHECK(model->name == name);
    check_model(entry, *model);
  }
}

TEST_CASE("the index and the folder hold the same models", "[model]") {
  const auto index = read_json_file(models() / "index.json");
  REQUIRE(index);
  std::set<std::string> indexed;
  for (const auto& [name, entry] : (*index)["models"].items()) {
    CHECK(std::filesystem::is_regular_file(models() / (name + ".json")));
    indexed.insert(name);
  }
  const auto listed = list_models(models());
  CHECK(std::is_sorted(listed.begin(), listed.end()));
  CHECK(listed.size() + (*index)["refused"].size() == indexed.size());
  for (const std::string& name : listed) {
    CHECK(indexed.contains(name));
    CHECK_FALSE((*index)["refused"].contains(name));
  }
}

TEST_CASE("every layer kind that is read is valid and distinct", "[model]") {
  for (const std::string& name : list_models(models())) {
    INFO(name);
    const auto model = load_model(name, models());
    REQUIRE(model);
    REQUIRE_FALSE(model->layer_kinds.empty());
    std::set<std::string> kinds;
    std::set<std::int64_t> layers;
    for (const LayerKind& kind : model->layer_kinds) {
      CHECK(kinds.insert(kind.kind).second);
      CHECK(std::is_sorted(kind.indices.begin(), kind.indices.end()));
      for (const std::int64_t layer : kind.indices) {
        CHECK(layers.insert(layer).second);
      }
      CHECK((!kind.geometry || validate(*kind.geometry)));
    }
  }
}

TEST_CASE("a row count is heads times rows per head", "[model]") {
  const QkvGeometry g{.hidden_size = 2048,
                      .num_attention_heads = 16,
                      .num_key_value_heads = 2,
                      .head_dim = 256,
                      .v_head_dim = 128,
                      .q_multiplier = 2};
  REQUIRE(validate(g));
  CHECK(g.rows(Part::q) == 16 * 2 * 256);
  CHECK(g.rows(Part::k) == 2 * 256);
  CHECK(g.rows(Part::v) == 2 * 128);
  CHECK(g.total_rows() == g.rows(Part::q) + g.rows(Part::k) + g.rows(Part::v));
  CHECK(part_name(Part::v) == "v");
  for (const RowOrder order : {RowOrder::blocks, RowOrder::per_group, RowOrder::per_head}) {
    CHECK(row_order_of(row_order_name(order)) == order);
  }
  CHECK_FALSE(row_order_of("rows"));
}

TEST_CASE("a geometry outside its ranges is refused by name", "[model]") {
  const QkvGeometry good{.hidden_size = 64,
                         .num_attention_heads = 4,
                         .num_key_value_heads = 2,
                         .head_dim = 8,
                         .v_head_dim = 8};
  const auto error_with = [&](auto change) {
    QkvGeometry g = good;
    change(g);
    const auto valid = validate(g);
    return valid ? std::string() : valid.error().sentence;
  };
  CHECK(error_with([](QkvGeometry&) {}).empty());
  CHECK(has(error_with([](QkvGeometry& g) { g.hidden_size = 0; }), "hidden_size is 0"));
  CHECK(has(error_with([](QkvGeometry& g) { g.num_attention_heads = -4; }),
            "num_attention_heads is -4"));
  CHECK(has(error_with([](QkvGeometry& g) { g.num_key_value_heads = 0; }),
            "num_key_value_heads is 0"));
  CHECK(has(error_with([](QkvGeometry& g) { g.head_dim = 0; }), "head_dim is 0"));
  CHECK(has(error_with([](QkvGeometry& g) { g.v_head_dim = 0; }), "v_head_dim is 0"));
  CHECK(has(error_with([](QkvGeometry& g) { g.q_multiplier = 3; }),
            "expected an integer from 1 to 2"));
  CHECK(has(error_with([](QkvGeometry& g) { g.num_key_value_heads = 3; }), "not a multiple"));
  CHECK(has(error_with([](QkvGeometry& g) {
              g.num_attention_heads = g.num_key_value_heads = kMaxHeads;
              g.head_dim = g.hidden_size = kMaxDim;
            }),
            "does not fit 64 bits"));
}

TEST_CASE("an inline geometry is a model of one layer", "[model]") {
  const auto model = load_model("H=16,KV=2,D=256,hidden=2048", models());
  REQUIRE(model);
  CHECK(model->name == "H=16,KV=2,D=256,hidden=2048");
  REQUIRE(model->layer_kinds.size() == 1);
  CHECK(model->layer_kinds[0].kind == "all");
  CHECK(model->layer_kinds[0].indices == Indices{0});
  CHECK(model->layer_kinds[0].geometry == QkvGeometry{.hidden_size = 2048,
                                                      .num_attention_heads = 16,
                                                      .num_key_value_heads = 2,
                                                      .head_dim = 256,
                                                      .v_head_dim = 256,
                                                      .config_num_attention_heads = 16,
                                                      .config_num_key_value_heads = 2,
                                                      .config_head_dim = 256});
  const auto gated = load_model("hidden=64,D=8,Dv=4,KV=1,H=2,gate=2,bias=1", models());
  REQUIRE(gated);
  const QkvGeometry& g = *gated->layer_kinds[0].geometry;
  CHECK(g.v_head_dim == 4);
  CHECK(g.q_multiplier == 2);
  CHECK(g.qkv_bias);
  CHECK(gated->layer_kinds[0].checkpoint.gate == GateLayout::per_head);
}

TEST_CASE("a bad inline geometry is refused with one sentence", "[model]") {
  CHECK(has(load_error("H=16,KV=2,D=256"), "the key hidden is missing"));
  CHECK(has(load_error("H=16,KV=2,D=256,hidden=2048,H=16"), "the key H stands twice"));
  CHECK(has(load_error("H=16,KV=2,D=256,hidden=2048,heads=4"), "unknown key \"heads\""));
  CHECK(has(load_error("H=16,KV=2,D=256,hidden=2048,"), "unknown key \"\""));
  CHECK(has(load_error("H=16,KV=2,D=256,hidden"), "\"hidden\" gives no integer"));
  CHECK(has(load_error("H=16,KV=2,D=2.5,hidden=8"), "\"D=2.5\" gives no integer"));
  CHECK(has(load_error("H=9223372036854775808,KV=2,D=2,hidden=8"), "gives no integer of 64 bits"));
  CHECK(has(load_error("H=0,KV=2,D=2,hidden=8"), "num_attention_heads is 0"));
  CHECK(has(load_error("H=16,KV=3,D=2,hidden=8"), "not a multiple of num_key_value_heads 3"));
  CHECK(has(load_error("H=16,KV=2,D=2,hidden=8,bias=2"), "bias is 2"));
  CHECK(has(load_error("H=16,KV=2,D=2,hidden=8,gate=0"), "expected an integer from 1 to 2"));
  CHECK(has(load_error("H=1048576,KV=1048576,D=4294967296,hidden=4294967296"),
            "does not fit 64 bits"));
}

TEST_CASE("an unknown model is refused with near names and the accepted forms", "[model]") {
  const std::string error = load_error("qwen3.5-35b-a3b");
  CHECK(has(error, "near names: Qwen/Qwen3.5-35B-A3B"));
  CHECK(has(error, "a path to a config.json"));
  CHECK(has(error, "H=16,KV=2,D=256,hidden=2048"));
  CHECK(has(load_error("Qwen/Qwen3.5-35B-A3"), "Qwen/Qwen3.5-35B-A3B"));
  CHECK(has(load_error("Qwem/Qwen3.5-35B-A3B"), "Qwen/Qwen3.5-35B-A3B"));
  CHECK(has(load_error("alibaba/qwen3.5-35b"), "near names: Qwen/Qwen3.5-35B-A3B"));
  CHECK_FALSE(has(load_error("zzzzzzzzzzzzzzzzzzzzzz"), "near names"));
  CHECK(load_error(std::string(100000, 'x')).size() < 600);
  CHECK(has(load_error(""), "no model is called"));
}

TEST_CASE("a model name never leaves the folder", "[model]") {
  test::TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "models" / "org");
  folder.write("outside.json", kLlama);
  folder.write("models/index.json", "{}");
  folder.write("models/org/inside.json", kLlama);
  const auto inner = folder.path() / "models";
  CHECK(load_model("org/inside", inner));
  CHECK_FALSE(load_model("../outside", inner));
  CHECK_FALSE(load_model("org/../../outside", inner));
  CHECK_FALSE(load_model("org/.", inner));
  CHECK_FALSE(load_model("index", inner));
  CHECK(list_models(inner) == std::vector<std::string>{"org/inside"});
  CHECK(list_models(folder.path() / "nothing").empty());
}

TEST_CASE("a file that is no config is refused with its place", "[model]") {
  test::TemporaryFolder folder;
  CHECK(has(load_error((folder.path() / "missing.json").string()), "missing.json: no such file"));
  CHECK(has(load_error(folder.path().string()), "found a directory, expected a file"));
  CHECK(has(load_error(folder.write("cut.json", kLlama.substr(0, 40)).string()), "not valid JSON"));
  CHECK(
      has(load_error(folder.write("list.json", "[1]").string()), "found [1], expected an object"));
  CHECK(has(
      load_error(folder.write("twice.json", with_keys(kLlama, R"("head_dim": 1, "head_dim": 1)"))
                     .string()),
      "stands twice"));
  CHECK(has(load_error(folder.write("deep.json", std::string(1000, '[')).string()),
            "nesting deeper"));
  const auto file = folder.write("config.json", kLlama).string();
  const auto model = load_model(file, models());
  REQUIRE(model);
  CHECK(model->name == file);
}

TEST_CASE("wrong types and counts outside their range are refused by pointer", "[model]") {
  const auto refused = [](const std::string& key, const std::string& value) {
    std::string text = kLlama;
    const auto at = text.find("\"" + key + "\": ") + key.size() + 4;
    text.replace(at, text.find_first_of(",}", at) - at, value);
    return error_of(text);
  };
  for (const std::string& key :
       {std::string("hidden_size"), std::string("num_attention_heads"),
        std::string("num_key_value_heads"), std::string("num_hidden_layers")}) {
    for (const std::string& value : {std::string("0"), std::string("-8"), std::string("\"32\""),
                                     std::string("32.0"), std::string("[32]"), std::string("true"),
                                     std::string("9223372036854775808"), std::string("1e30")}) {
      INFO(key << " " << value);
      const std::string error = refused(key, value);
      CHECK(has(error, "config.json#/" + key + ": found "));
      CHECK(has(error, "expected a positive integer"));
    }
  }
  CHECK(has(refused("num_attention_heads", "null"), "num_attention_heads (or n_head"));
  CHECK(has(refused("hidden_size", "null"), "hidden_size (or n_embd"));
  CHECK(has(refused("num_key_value_heads", "5"), "32 is not a multiple of num_key_value_heads 5"));
  CHECK(has(refused("num_attention_heads", "9223372036854775807"), "does not divide hidden_size"));
  CHECK(has(refused("num_hidden_layers", "100001"), "expected at most 100000"));
  CHECK(has(error_of(with_keys(kLlama, R"("attention_bias": "yes")")), "expected true or false"));
  CHECK(has(error_of(with_keys(kLlama, R"("n_head": 16)")), "expected the two to agree"));
  CHECK(has(error_of(with_keys(kLlama, R"("head_dim": 9223372036854775807)")), "head_dim is 9223"));
  CHECK(has(error_of(R"({"model_type": 7})"), "expected a string"));
}

TEST_CASE("an unknown family is refused however complete its keys", "[model]") {
  std::string text = kLlama;
  text.replace(text.find("llama"), 5, "novel");
  const std::string error = error_of(with_keys(text, R"("head_dim": 128)"));
  CHECK(
      has(error, "config.json#/model_type: found \"novel\", expected a model_type of the family"));
  CHECK(has(error, "num_key_value_heads, head_dim, bias, output gate and layer kinds"));
  CHECK(has(error_of(R"({"hidden_size": 64, "num_attention_heads": 4})"),
            "found neither a model_type nor a known class"));
  CHECK(has(error_of(R"({"model_type": "internvl_chat", "hidden_size": 64})"),
            "llm_config is missing"));
  CHECK(has(error_of(R"({"model_type": "llava", "text_config": {"model_type": "novel"}})"),
            "config.json#/text_config/model_type"));
  CHECK(has(error_of(R"({"model_type": "llava", "text_config": 5})"),
            "config.json#/text_config: found 5"));
  CHECK(has(error_of(R"({"model_type": "llava"})"), "is missing"));
}

TEST_CASE("architectures speak only where model_type is absent", "[model]") {
  std::string text = kLlama;
  text.replace(text.find("\"model_type\": \"llama\""), 21,
               "\"architectures\": [\"X\", \"Qwen2ForCausalLM\"]");
  CHECK(geometry_of(text).qkv_bias);
  CHECK_FALSE(geometry_of(with_keys(kLlama, R"("architectures": ["Qwen2ForCausalLM"])")).qkv_bias);
}

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
  CHECK(geometry_of(qwen3 + R"(, "head_dim": null})").head_dim == 64);
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
  CHECK(geometry_of(mha).config_num_key_value_heads == 0);

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
