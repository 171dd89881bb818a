#include "sim/model/inline_geometry.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string_view>

#include "sim/base/decimal.hpp"
#include "sim/base/ensure.hpp"
#include "sim/model/family.hpp"

namespace tplora::core {
namespace {

constexpr std::string_view kForm =
    "H=16,KV=2,D=256,hidden=2048[,Dv=..][,gate=2][,bias=1][,per_group=1][,H_config=..]"
    "[,KV_config=..][,D_config=..]";

struct InlineKey {
  std::string_view name;
  bool required = false;
  std::optional<std::int64_t> value = {};
};

/// Far above any head count or head_dim.
constexpr std::int64_t kMaxConfigValue = std::int64_t{1} << 31;

using InlineKeys = std::array<InlineKey, 11>;
enum KeyIndex : std::size_t {
  kH,
  kKv,
  kD,
  kHidden,
  kDv,
  kGate,
  kBias,
  kPerGroup,
  kHConfig,
  kKvConfig,
  kDConfig
};

InlineKeys known_keys() {
  return {{{"H", true},
           {"KV", true},
           {"D", true},
           {"hidden", true},
           {"Dv"},
           {"gate"},
           {"bias"},
           {"per_group"},
           {"H_config"},
           {"KV_config"},
           {"D_config"}}};
}

tl::unexpected<Error> refuse(const std::string& text, std::string_view why) {
  return fail(
      fmt::format("inline geometry \"{}\": {}, expected {}", text.substr(0, 120), why, kForm));
}

/// Reads one "key=value" into `keys`; the answer is a complaint, empty when all is well.
std::string read_item(std::string_view item, InlineKeys& keys) {
  const auto equals = item.find('=');
  const std::string_view name = item.substr(0, equals);
  for (InlineKey& key : keys) {
    if (key.name != name) {
      continue;
    }
    if (key.value) {
      return fmt::format("the key {} stands twice", name);
    }
    key.value =
        equals == std::string_view::npos ? std::nullopt : parse_decimal(item.substr(equals + 1));
    return key.value
               ? ""
               : fmt::format("\"{}\" gives no decimal integer of 64 bits", item.substr(0, 60));
  }
  return fmt::format("unknown key \"{}\"", name.substr(0, 60));
}

Result<InlineKeys> read_items(const std::string& text) {
  InlineKeys keys = known_keys();
  std::string_view rest = text;
  while (true) {
    const auto comma = rest.find(',');
    if (const std::string why = read_item(rest.substr(0, comma), keys); !why.empty()) {
      return refuse(text, why);
    }
    if (comma == std::string_view::npos) {
      break;
    }
    rest.remove_prefix(comma + 1);
  }
  for (const InlineKey& key : keys) {
    if (key.required && !key.value) {
      return refuse(text, fmt::format("the key {} is missing", key.name));
    }
  }
  return keys;
}

}  // namespace

Result<Model> read_inline_geometry(const std::string& text) {
  const auto keys = read_items(text);
  if (!keys) {
    return fail(keys.error());
  }
  for (const KeyIndex flag : {kBias, kPerGroup}) {
    const std::int64_t value = (*keys)[flag].value.value_or(0);
    if (value != 0 && value != 1) {
      return refuse(text, fmt::format("{} is {}", (*keys)[flag].name, value));
    }
  }
  QkvGeometry g{.hidden_size = *(*keys)[kHidden].value,
                .num_attention_heads = *(*keys)[kH].value,
                .num_key_value_heads = *(*keys)[kKv].value,
                .head_dim = *(*keys)[kD].value,
                .v_head_dim = (*keys)[kDv].value.value_or(*(*keys)[kD].value),
                .q_multiplier = (*keys)[kGate].value.value_or(1),
                .qkv_bias = (*keys)[kBias].value == 1};
  if (auto valid = validate(g); !valid) {
    return refuse(text, valid.error().sentence);
  }
  for (const KeyIndex global : {kHConfig, kKvConfig, kDConfig}) {
    const std::int64_t value = (*keys)[global].value.value_or(0);
    if (value < 0 || value > kMaxConfigValue) {
      return refuse(text, fmt::format("{} is {}", (*keys)[global].name, value));
    }
  }
  g.config_num_attention_heads = (*keys)[kHConfig].value.value_or(g.num_attention_heads);
  g.config_num_key_value_heads = (*keys)[kKvConfig].value.value_or(g.num_key_value_heads);
  g.config_head_dim = (*keys)[kDConfig].value.value_or(g.head_dim);
  CheckpointForm form = kSeparate;
  if ((*keys)[kPerGroup].value == 1) {
    g.fused_order = RowOrder::per_group;
    form = {.fusion = Fusion::qkv, .order = RowOrder::per_group, .tensors = "qkv_proj"};
  }
  form.gate = g.q_multiplier == 2 ? GateLayout::per_head : GateLayout::none;
  return Model{
      .name = text,
      .model_type = {},
      .architecture = {},
      .layer_kinds = {
          {.kind = "all", .indices = {0}, .geometry = g, .why_no_qkv = {}, .checkpoint = form}}};
}

std::string print_inline_geometry(const QkvGeometry& geometry) {
  const QkvGeometry& g = geometry;
  ensure(validate(g).has_value(), "a geometry that is printed is valid");
  std::string text = fmt::format("H={},KV={},D={},hidden={}", g.num_attention_heads,
                                 g.num_key_value_heads, g.head_dim, g.hidden_size);
  const auto unless = [&](const char* key, std::int64_t value, std::int64_t usual) {
    text += value == usual ? "" : fmt::format(",{}={}", key, value);
  };
  unless("Dv", g.v_head_dim, g.head_dim);
  unless("gate", g.q_multiplier, 1);
  unless("bias", g.qkv_bias ? 1 : 0, 0);
  // per_head has a KV head for each q head, and is then the same as per_group.
  unless("per_group", g.fused_order == RowOrder::blocks ? 0 : 1, 0);
  unless("H_config", g.config_num_attention_heads, g.num_attention_heads);
  unless("KV_config", g.config_num_key_value_heads, g.num_key_value_heads);
  unless("D_config", g.config_head_dim, g.head_dim);
  return text;
}

}  // namespace tplora::core
