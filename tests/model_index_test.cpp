// Every collected model against its index.
#include <algorithm>
#include <set>

#include "tests/model_support.hpp"

using namespace tplora;
using namespace tplora::core;
using namespace tplora::test;

namespace {

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
  const auto names = list_models(models());
  REQUIRE(names);
  const auto& listed = *names;
  CHECK(std::is_sorted(listed.begin(), listed.end()));
  CHECK(listed.size() + (*index)["refused"].size() == indexed.size());
  for (const std::string& name : listed) {
    CHECK(indexed.contains(name));
    CHECK_FALSE((*index)["refused"].contains(name));
  }
}

TEST_CASE("every layer kind that is read is valid and distinct", "[model]") {
  const auto names = list_models(models());
  REQUIRE(names);
  for (const std::string& name : *names) {
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
