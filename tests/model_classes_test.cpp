// The model reader against what the config classes of transformers answer (tests/models).
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "sim/base/json.hpp"
#include "sim/model/model_source.hpp"
#include "tests/support.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

/// One answer of a class: a number, 0 for none, nothing where it differs by layer.
std::optional<std::int64_t> answer(const JsonView& value) {
  if (value.json().is_string()) {
    return std::nullopt;
  }
  return value.json().is_null() ? 0 : value.integer().value_or(-1);
}

/// What an engine computes with where there is no head_dim.
std::int64_t head_dim_or_share(std::int64_t head_dim, const QkvGeometry& g) {
  return head_dim != 0 ? head_dim : g.hidden_size / g.num_attention_heads;
}

/// What an engine is answered that asks for the standard names.
void check_heads(const QkvGeometry& g, const JsonView& answers) {
  if (const auto heads = answer(answers.element(0))) {
    CHECK(g.config_num_attention_heads == *heads);
  }
  if (const auto kv_heads = answer(answers.element(1))) {
    CHECK(g.config_num_key_value_heads == *kv_heads);
  }
  if (const auto head_dim = answer(answers.element(2))) {
    CHECK(head_dim_or_share(g.config_head_dim, g) == head_dim_or_share(*head_dim, g));
  }
}

const std::string kRecord = TPLORA_SOURCE_DIR "/tests/models/transformers-5.24.0.json";

}  // namespace

TEST_CASE("configs are what transformers' classes make of them", "[model]") {
  const auto json = read_json_file(kRecord);
  REQUIRE(json);
  const auto models = JsonView(*json, kRecord).at("models")->members();
  REQUIRE(models);
  int compared = 0;
  for (const auto& [name, answers] : *models) {
    CAPTURE(name);
    const auto model = core::load_model(name, test::configs().models());
    if (!model) {
      continue;  // refused, as index.json says
    }
    std::int64_t layers = 0;
    for (const LayerKind& kind : model->layer_kinds) {
      layers += static_cast<std::int64_t>(kind.indices.size());
      if (!kind.geometry) {
        continue;
      }
      CAPTURE(kind.kind);
      check_heads(*kind.geometry, answers);
      ++compared;
    }
    if (const auto all = answer(answers.element(3)); all && layers != 0) {
      CHECK(layers == *all);
    }
  }
  CHECK(compared > 200);
}

TEST_CASE("an inner config that says nothing is its class's default", "[model]") {
  const test::TemporaryFolder folder;
  const auto json = read_json_file(kRecord);
  REQUIRE(json);
  const auto classes = JsonView(*json, kRecord).at("defaults")->members();
  REQUIRE(classes);
  int compared = 0;
  for (const auto& [type, answers] : *classes) {
    CAPTURE(type);
    const std::string text =
        R"json({"model_type": "llava", "text_config": {"model_type": ")json" + type + "\"}}";
    const auto model =
        core::load_model(folder.write("config.json", text).string(), test::configs().models());
    if (!model) {
      continue;  // a family that is not known, or one whose layers its config has to tell
    }
    for (const LayerKind& kind : model->layer_kinds) {
      if (kind.geometry) {
        check_heads(*kind.geometry, answers);
        ++compared;
      }
    }
  }
  CHECK(compared > 50);
}

TEST_CASE("a null is refused where the class refuses it", "[model]") {
  const test::TemporaryFolder folder;
  const auto json = read_json_file(kRecord);
  REQUIRE(json);
  const JsonView record(*json, kRecord);
  const auto classes = record.at("defaults")->members();
  const auto nulls = record.at("refused_nulls");
  REQUIRE(classes);
  REQUIRE(nulls);
  int refused = 0;
  int taken = 0;
  for (const auto& [type, answers] : *classes) {
    for (const char* key : {"num_key_value_heads", "head_dim"}) {
      CAPTURE(type, key);
      const std::string text = fmt::format(
          R"json({{"model_type": "{}", "hidden_size": 64, "num_attention_heads": 8, "num_hidden_layers": 2, "{}": null}})json",
          type, key);
      const auto model =
          core::load_model(folder.write("config.json", text).string(), test::configs().models());
      const auto own = nulls->find(type);
      const auto keys = own ? own->strings() : Result<std::vector<std::string>>();
      const bool by_class = own && std::find(keys->begin(), keys->end(), key) != keys->end();
      const bool for_null =
          !model && model.error().sentence.find("refuses a null") != std::string::npos;
      const bool unknown = !model && model.error().sentence.find("family") != std::string::npos;
      if (!unknown) {
        CHECK(for_null == by_class);
        ++(by_class ? refused : taken);
      }
    }
  }
  CHECK(refused > 70);
  CHECK(taken > 70);
}

TEST_CASE("an inner config leaves out what its class has by default", "[model]") {
  const test::TemporaryFolder folder;
  const auto layers = [&](const std::string& text) {
    const auto model =
        core::load_model(folder.write("config.json", text).string(), test::configs().models());
    REQUIRE(model);
    return model->layer_kinds[0].indices.size();
  };
  CHECK(layers(R"json({"model_type": "llava", "text_config": {"model_type": "llama"},
    "vision_config": {}})json") == 32);
  CHECK(layers(R"json({"model_type": "llava", "text_config": {"model_type": "llama",
    "num_hidden_layers": 3}})json") == 3);
  // At the top of a file it is always written: absent, it is not known.
  CHECK(layers(R"json({"model_type": "llama", "hidden_size": 64, "num_attention_heads": 8})json") ==
        0);
}
