// What the tests of the config reader share.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "sim/base/json.hpp"
#include "sim/model/config_reader.hpp"
#include "sim/model/model_source.hpp"
#include "tests/support.hpp"

namespace tplora::test {

using namespace core;

inline std::filesystem::path models() {
  return configs().models();
}

inline Result<Model> read_text(const std::string& text) {
  const auto json = parse_json(text, "config.json");
  return json ? read_config(JsonView(*json, "config.json"), "m") : fail(json.error());
}

inline Model model_of(const std::string& text) {
  auto model = read_text(text);
  if (!model) {
    FAIL(model.error().text());
  }
  return *model;
}

/// The only layer kind's geometry.
inline QkvGeometry geometry_of(const std::string& text) {
  const Model model = model_of(text);
  REQUIRE(model.layer_kinds.size() == 1);
  REQUIRE(model.layer_kinds[0].geometry);
  return *model.layer_kinds[0].geometry;
}

inline const LayerKind& kind_of(const Model& model, std::string_view name) {
  const auto found = std::find_if(model.layer_kinds.begin(), model.layer_kinds.end(),
                                  [&](const LayerKind& kind) { return kind.kind == name; });
  if (found == model.layer_kinds.end()) {
    FAIL("no layer kind " << name << " in " << model.name);
  }
  return *found;
}

inline std::string error_of(const std::string& text) {
  const auto model = read_text(text);
  REQUIRE_FALSE(model);
  return model.error().text();
}

inline std::string load_error(const std::string& argument) {
  const auto model = load_model(argument, models());
  REQUIRE_FALSE(model);
  return model.error().text();
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// `base` with more members: with_keys(kLlama, R"("head_dim": 64)").
inline std::string with_keys(std::string base, const std::string& members) {
  return base.insert(base.rfind('}'), ", " + members);
}

using Indices = std::vector<std::int64_t>;

inline const std::string kLlama =
    R"({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 4,
        "num_attention_heads": 32, "num_key_value_heads": 8})";
inline const std::string kQwen35 =
    R"({"model_type": "qwen3_5_moe_text", "hidden_size": 2048, "num_hidden_layers": 8,
        "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256})";

}  // namespace tplora::test
