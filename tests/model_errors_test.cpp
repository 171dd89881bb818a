// What is refused, and with which sentence; inline geometry.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tests/model_support.hpp"

using namespace tplora;
using namespace tplora::core;
using namespace tplora::test;

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
  CHECK(has(error_with([](QkvGeometry& g) { g.fused_order = RowOrder::per_head; }),
            "found num_attention_heads 4 and num_key_value_heads 2"));
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
  CHECK(has(load_error("H=16,KV=2,D=256,hidden"), "\"hidden\" gives no decimal integer"));
  CHECK(has(load_error("H=16,KV=2,D=2.5,hidden=8"), "\"D=2.5\" gives no decimal integer"));
  CHECK(has(load_error("H=9223372036854775808,KV=2,D=2,hidden=8"),
            "gives no decimal integer of 64 bits"));
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
  CHECK(list_models(folder.path() / "nothing").error().text() ==
        (folder.path() / "nothing").string() + ": no such folder");
  // Nothing is left out in silence.
  std::filesystem::create_symlink(folder.path() / "gone", inner / "gone");
  CHECK(list_models(inner).error().text() ==
        (inner / "gone").string() + ": a link that leads nowhere, expected a folder");
  std::filesystem::remove(inner / "gone");
  std::filesystem::create_symlink(folder.path() / "gone", inner / "org/gone.json");
  CHECK(list_models(inner).error().text() ==
        (inner / "org/gone.json").string() + ": a link that leads nowhere, expected a file");
  std::filesystem::remove(inner / "org/gone.json");
  std::filesystem::create_directory_symlink(inner / "org", inner / "linked");
  CHECK(list_models(inner) == std::vector<std::string>{"linked/inside", "org/inside"});
  std::filesystem::create_directory(folder.path() / "empty");
  CHECK(list_models(folder.path() / "empty").error().sentence ==
        "no models here, expected ORGANISATION/NAME.json");
}

TEST_CASE("a config is read as Python's json module reads it", "[model]") {
  const std::string odd = with_keys(
      kLlama,
      R"("head_dim": 1, "head_dim": 32, "a": 1e999, "b": [-1e400, 0.1e999, NaN], "c": "\ud800 \ud83d\ude00", "d": {"e": "\\ud800"}, "d": 1)");
  test::TemporaryFolder folder;
  const auto read = [&](const std::string& text) {
    return core::load_model(folder.write("config.json", text).string(), test::configs().models());
  };
  const auto model = read(odd);
  REQUIRE(model);
  CHECK(model->layer_kinds[0].geometry->head_dim == 32);
  const auto error = [&](const char* members) {
    const auto refused = read(with_keys(kLlama, members));
    return refused ? "" : refused.error().text();
  };
  CHECK(has(error(R"("head_dim": 1e999)"), "found \"1e999\", expected"));
  CHECK(has(error(R"("a": 1e)"), "not valid JSON"));
  CHECK(has(error(R"("a": infinity)"), "not valid JSON"));
  for (const char* number : {"+1e999", "01e999", "0x1p99999", "1e", "--1e999", "1.e999"}) {
    CHECK(has(error(fmt::format(R"("a": {})", number).c_str()), "not valid JSON"));
  }
}

TEST_CASE("a file that is no config is refused with its place", "[model]") {
  test::TemporaryFolder folder;
  CHECK(has(load_error((folder.path() / "missing.json").string()), "missing.json: no such file"));
  CHECK(has(load_error(folder.path().string()), "found a directory, expected a file"));
  CHECK(has(load_error(folder.write("cut.json", kLlama.substr(0, 40)).string()), "not valid JSON"));
  CHECK(
      has(load_error(folder.write("list.json", "[1]").string()), "found [1], expected an object"));
  CHECK(has(load_error(folder.write("deep.json", std::string(1000, '[')).string()),
            "nesting deeper"));
  const auto file = folder.write("config.json", kLlama).string();
  const auto model = load_model(file, models());
  REQUIRE(model);
  CHECK(model->name == file);
}

TEST_CASE("numbers that only Python writes are read where nobody looks at them", "[model]") {
  const test::TemporaryFolder folder;
  const auto load = [&](const std::string& rest) {
    return load_model(folder
                          .write("config.json", R"({"model_type": "llama", "hidden_size": 64,
                          "num_attention_heads": 4, "num_hidden_layers": 2, )" +
                                                    rest + "}")
                          .string(),
                      folder.path());
  };
  for (const std::string value :
       {"Infinity", "-Infinity", "NaN", "[0.0, Infinity]", "[NaN,-Infinity ,1e-3]", R"("Infinity")",
        R"("a \"NaN, Infinity")"}) {
    INFO(value);
    CHECK(load("\"time_step_limit\": " + value).has_value());
  }
  CHECK(has(load("\"num_key_value_heads\": Infinity").error().text(),
            "config.json#/num_key_value_heads: found \"Infinity\""));
  CHECK(has(load("\"head_dim\": NaN").error().text(), "config.json#/head_dim"));
  for (const std::string value : {"Infinity1", "+Infinity", "infinity", "NaN.0", "- Infinity"}) {
    INFO(value);
    CHECK_FALSE(load("\"time_step_limit\": " + value).has_value());
  }
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
