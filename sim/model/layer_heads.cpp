// Layer rules for models with several head geometries.
#include <fmt/format.h>

#include <map>

#include "sim/base/json.hpp"
#include "sim/model/config_heads.hpp"
#include "sim/model/config_keys.hpp"
#include "sim/model/layer_kinds.hpp"
#include "sim/model/layer_rules.hpp"
#include "sim/model/layer_words.hpp"

namespace tplora::core {
namespace {

/// The count under `key`, or an Error that names it.
Result<std::int64_t> required(const ConfigContext& context, std::string_view key) {
  const auto count = read_count(context.config, key);
  if (!count) {
    return fail(count.error());
  }
  return *count
             ? Result<std::int64_t>(**count)
             : context.config.error(fmt::format("{} is missing, expected a positive integer", key));
}

Result<std::int64_t> count_or(const JsonView& config, std::string_view key,
                              std::int64_t when_absent) {
  return read_count(config, key).map([&](std::optional<std::int64_t> count) {
    return count.value_or(when_absent);
  });
}

Result<LayerKind> unknown_word(const JsonView& place) {
  return place.expected("full_attention or sliding_attention");
}

/// 0 and 1 as words.
std::function<Result<std::string>(const JsonView&)> bit_words(std::string_view zero,
                                                              std::string_view one) {
  return [zero, one](const JsonView& entry) -> Result<std::string> {
    const auto bit = entry.integer();
    if (!bit || (*bit != 0 && *bit != 1)) {
      return entry.expected("0 or 1");
    }
    return std::string(*bit == 0 ? zero : one);
  };
}

/// layer_types, or a list of bits under another key.
Result<LayerWords> types_or_bits(const ConfigContext& context, std::string_view bits_key,
                                 std::string_view zero, std::string_view one) {
  return context.config.find_not_null("layer_types")
             ? listed_words(context, "layer_types")
             : numbered_words(context, bits_key, bit_words(zero, one));
}

Result<LayerKind> swa_kind(const ConfigContext& context, QkvGeometry g) {
  const auto heads = required(context, "swa_num_attention_heads");
  const auto kv_heads = required(context, "swa_num_key_value_heads");
  const auto head_dim = required(context, "swa_head_dim");
  const auto v_head_dim = required(context, "swa_v_head_dim");
  if (!heads || !kv_heads || !head_dim || !v_head_dim) {
    return fail(!heads      ? heads.error()
                : !kv_heads ? kv_heads.error()
                : !head_dim ? head_dim.error()
                            : v_head_dim.error());
  }
  g.num_attention_heads = *heads;
  g.num_key_value_heads = *kv_heads;
  g.head_dim = *head_dim;
  g.v_head_dim = *v_head_dim;
  return kind_with(context, g, context.rule->form);
}

/// The counts of sliding layers: the current key, or the object of earlier releases.
Result<LayerKind> other_setting_kind(const ConfigContext& context, QkvGeometry g) {
  const auto other = context.config.find_not_null("attention_other_setting");
  if (!other && !context.config.find_not_null("num_sliding_attention_heads")) {
    return context.config.error(
        "sliding_attention layers may have other head counts, expected attention_other_setting or "
        "num_sliding_attention_heads");
  }
  const JsonView& setting = other ? *other : context.config;
  const auto heads = other ? count_or(setting, "num_attention_heads", g.num_attention_heads)
                           : required(context, "num_sliding_attention_heads");
  const auto kv_heads = other ? count_or(setting, "num_attention_groups", g.num_key_value_heads)
                              : Result<std::int64_t>(g.num_key_value_heads);
  const auto head_dim = count_or(setting, "head_dim", g.head_dim);
  if (!heads || !kv_heads || !head_dim) {
    return fail(!heads ? heads.error() : !kv_heads ? kv_heads.error() : head_dim.error());
  }
  g.num_attention_heads = *heads;
  g.num_key_value_heads = *kv_heads;
  g.head_dim = *head_dim;
  g.v_head_dim = *head_dim;
  return kind_with(context, g, context.rule->form);
}

/// Every sixth layer by default; the last is always full.
Result<LayerWords> global_words(const ConfigContext& context) {
  if (context.config.find_not_null("layer_types")) {
    return listed_words(context, "layer_types");
  }
  return computed_words(context,
                        [](std::int64_t layer) {
                          return (layer + 1) % 6 == 0 ? "full_attention" : "sliding_attention";
                        },
                        {"sliding_attention", "full_attention"});
}

Result<LayerKind> global_kind(const ConfigContext& context, QkvGeometry g) {
  const auto head_dim = count_or(context.config, "global_head_dim", 512);
  const auto k_is_v = read_flag(context.config, "attention_k_eq_v", false);
  if (!head_dim || !k_is_v) {
    return fail(head_dim ? k_is_v.error() : head_dim.error());
  }
  if (*k_is_v) {
    return without_qkv("attention_k_eq_v: v is k, the layer has no v_proj");
  }
  g.head_dim = *head_dim;
  g.v_head_dim = *head_dim;
  return kind_with(context, g, context.rule->form);
}

/// The last layers use earlier layers' K and V.
Result<void> mark_shared(const ConfigContext& context, LayerWords& words) {
  const auto view = context.config.find_not_null("num_kv_shared_layers");
  const auto shared = view ? view->integer() : Result<std::int64_t>(0);
  if (!shared) {
    return fail(shared.error());
  }
  const auto layers = static_cast<std::int64_t>(words.words.size());
  if (*shared < 0 || (words.indices_known && *shared > layers)) {
    return view->expected(fmt::format("an integer from 0 to {}", layers));
  }
  for (std::int64_t i = layers - *shared; words.indices_known && i < layers; ++i) {
    words.words[static_cast<std::size_t>(i)] = "kv_shared";
  }
  return {};
}

Result<LayerKind> kind_with_heads(const ConfigContext& context, HeadCounts counts) {
  const auto g = geometry_with(context, counts);
  return g ? kind_with(context, *g, context.rule->form) : fail(g.error());
}

/// "heads_12_kv_3" and back to the counts, through the map that is filled beside the words.
std::string heads_word(HeadCounts counts, std::map<std::string, HeadCounts>& known) {
  std::string word = fmt::format("heads_{}_kv_{}", counts.heads, counts.kv_heads);
  known.emplace(word, counts);
  return word;
}

/// One block of block_configs as a word; `group` 0 means that it has no attention.
Result<std::string> block_word(const JsonView& block, std::int64_t heads,
                               std::map<std::string, HeadCounts>& known) {
  const auto attention = block.find_not_null("attention");
  if (!attention) {
    return block.error("the key \"attention\" is missing");
  }
  const auto no_op = read_flag(*attention, "no_op", false);
  const auto linear = read_flag(*attention, "replace_with_linear", false);
  const auto group = read_count(*attention, "n_heads_in_group");
  if (!no_op || !linear || !group) {
    return fail(!no_op ? no_op.error() : !linear ? linear.error() : group.error());
  }
  if (*no_op || *linear) {
    return std::string(*no_op ? "no_op" : "replace_with_linear");
  }
  if (!*group || heads % **group != 0) {
    return attention->error(fmt::format(
        "n_heads_in_group has to divide num_attention_heads {}, expected a divisor", heads));
  }
  return heads_word({.heads = heads, .kv_heads = heads / **group}, known);
}

/// One head geometry beside layers without attention is simply "attention".
void rename_single_geometry(std::vector<LayerKind>& kinds) {
  LayerKind* only = nullptr;
  int with_qkv = 0;
  for (LayerKind& kind : kinds) {
    only = kind.geometry ? &kind : only;
    with_qkv += kind.geometry ? 1 : 0;
  }
  if (with_qkv == 1) {
    only->kind = "attention";
  }
}

}  // namespace

Result<std::vector<LayerKind>> sliding_with_swa_keys(const ConfigContext& context) {
  const auto words =
      types_or_bits(context, "hybrid_layer_pattern", "full_attention", "sliding_attention");
  const auto g = base_geometry(context);
  if (!words || !g) {
    return fail(words ? g.error() : words.error());
  }
  return kinds_by_word(
      context, *words, [&](const std::string& word, const JsonView& place) -> Result<LayerKind> {
        return word == "full_attention"      ? kind_with(context, *g, context.rule->form)
               : word == "sliding_attention" ? swa_kind(context, *g)
                                             : unknown_word(place);
      });
}

Result<std::vector<LayerKind>> sliding_with_other_setting(const ConfigContext& context) {
  if (!context.config.find_not_null("layer_types")) {
    return all_layers_alike(context);
  }
  const auto words = listed_words(context, "layer_types");
  const auto g = base_geometry(context);
  if (!words || !g) {
    return fail(words ? g.error() : words.error());
  }
  return kinds_by_word(
      context, *words, [&](const std::string& word, const JsonView& place) -> Result<LayerKind> {
        return word == "full_attention"      ? kind_with(context, *g, context.rule->form)
               : word == "sliding_attention" ? other_setting_kind(context, *g)
                                             : unknown_word(place);
      });
}

Result<std::vector<LayerKind>> global_with_other_head_dim(const ConfigContext& context) {
  auto words = global_words(context);
  const auto g = base_geometry(context);
  if (!words || !g) {
    return fail(words ? g.error() : words.error());
  }
  if (auto marked = mark_shared(context, *words); !marked) {
    return fail(marked.error());
  }
  return kinds_by_word(
      context, *words, [&](const std::string& word, const JsonView& place) -> Result<LayerKind> {
        return word == "full_attention"      ? global_kind(context, *g)
               : word == "sliding_attention" ? kind_with(context, *g, context.rule->form)
               : word == "kv_shared"         ? Result<LayerKind>(without_qkv(kSharedKv))
                                             : unknown_word(place);
      });
}

Result<std::vector<LayerKind>> heads_by_layer(const ConfigContext& context) {
  std::map<std::string, HeadCounts> known;
  const auto kv_list = context.config.find_not_null("num_kv_heads");
  std::size_t layer = 0;
  const auto words =
      numbered_words(context, "num_query_heads", [&](const JsonView& entry) -> Result<std::string> {
        if (!kv_list || !kv_list->json().is_array() || layer >= kv_list->json().size()) {
          return context.config.error("num_kv_heads: expected a list as long as num_query_heads");
        }
        const auto heads = entry.positive_integer();
        const auto kv_heads = kv_list->element(layer++).positive_integer();
        if (!heads || !kv_heads) {
          return fail(heads ? kv_heads.error() : heads.error());
        }
        return heads_word({.heads = *heads, .kv_heads = *kv_heads}, known);
      });
  if (!words) {
    return fail(words.error());
  }
  return kinds_by_word(context, *words, [&](const std::string& word, const JsonView&) {
    return kind_with_heads(context, known.at(word));
  });
}

Result<std::vector<LayerKind>> query_heads_by_layer(const ConfigContext& context) {
  const auto g = base_geometry(context);
  if (!g) {
    return fail(g.error());
  }
  if (!context.config.find_not_null("num_attention_heads_per_layer")) {
    return all_layers_alike(context);
  }
  std::map<std::string, HeadCounts> known;
  const auto words =
      numbered_words(context, "num_attention_heads_per_layer", [&](const JsonView& entry) {
        return entry.positive_integer().map([&](std::int64_t heads) {
          return heads_word({.heads = heads, .kv_heads = g->num_key_value_heads}, known);
        });
      });
  if (!words) {
    return fail(words.error());
  }
  return kinds_by_word(
      context, *words, [&](const std::string& word, const JsonView& place) -> Result<LayerKind> {
        QkvGeometry layer = *g;
        layer.num_attention_heads = known.at(word).heads;
        if (layer.num_attention_heads % layer.num_key_value_heads != 0) {
          return place.error(fmt::format("{} query heads, expected a multiple of the {} KV heads",
                                         layer.num_attention_heads, layer.num_key_value_heads));
        }
        return kind_with(context, layer, context.rule->form);
      });
}

Result<std::vector<LayerKind>> decoder_by_version(const ConfigContext& context) {
  const auto view = context.config.find_not_null("version");
  const auto g = base_geometry(context);
  if (!g) {
    return fail(g.error());
  }
  if (!view || !view->json().is_number()) {
    return (view ? *view : context.config)
        .error("the decoder's class follows from `version`, expected 2, 2.5, 2.6, 4 or 4.5");
  }
  QkvGeometry layer = *g;
  layer.qkv_bias = view->json().get<double>() == 2.6;  // the one that is built on Qwen2
  auto kind = kind_with(context, layer, context.rule->form);
  return kind ? one_kind(context, std::move(*kind)) : fail(kind.error());
}

Result<std::vector<LayerKind>> kv_heads_by_layer(const ConfigContext& context) {
  if (!context.config.find_not_null("num_key_value_heads_per_layer")) {
    return attention_by_block_config(context);
  }
  const auto heads = attention_heads(context);
  if (!heads) {
    return fail(heads.error());
  }
  std::map<std::string, HeadCounts> known;
  const auto words =
      numbered_words(context, "num_key_value_heads_per_layer", [&](const JsonView& entry) {
        return entry.positive_integer().map([&](std::int64_t kv_heads) {
          return heads_word({.heads = *heads, .kv_heads = kv_heads}, known);
        });
      });
  if (!words) {
    return fail(words.error());
  }
  return kinds_by_word(context, *words, [&](const std::string& word, const JsonView&) {
    return kind_with_heads(context, known.at(word));
  });
}

Result<std::vector<LayerKind>> attention_by_block_config(const ConfigContext& context) {
  const auto heads = attention_heads(context);
  if (!heads) {
    return fail(heads.error());
  }
  std::map<std::string, HeadCounts> known;
  const auto words = numbered_words(context, "block_configs", [&](const JsonView& block) {
    return block_word(block, *heads, known);
  });
  if (!words) {
    return fail(words.error());
  }
  auto kinds = kinds_by_word(context, *words, [&](const std::string& word, const JsonView&) {
    return known.contains(word) ? kind_with_heads(context, known.at(word))
                                : Result<LayerKind>(without_qkv("the block has no attention"));
  });
  if (kinds) {
    rename_single_geometry(*kinds);
  }
  return kinds;
}

Result<std::vector<LayerKind>> softmax_and_lightning(const ConfigContext& context) {
  const auto words = types_or_bits(context, "attn_type_list", "linear_attention", "full_attention");
  const auto g = base_geometry(context);
  if (!words || !g) {
    return fail(words ? g.error() : words.error());
  }
  QkvGeometry lightning = *g;
  lightning.num_key_value_heads = g->num_attention_heads;
  return kinds_by_word(
      context, *words, [&](const std::string& word, const JsonView& place) -> Result<LayerKind> {
        return word == "full_attention"     ? kind_with(context, *g, context.rule->form)
               : word == "linear_attention" ? kind_with(context, lightning,
                                                        {.fusion = Fusion::qkv,
                                                         .order = RowOrder::per_head,
                                                         .tensors = "self_attn.qkv_proj"})
                                            : unknown_word(place);
      });
}

Result<std::vector<LayerKind>> cross_layer_attention(const ConfigContext& context) {
  const auto shares = read_flag(context.config, "use_cla", false);
  const auto factor = count_or(context.config, "cla_share_factor", 2);
  if (!shares || !factor) {
    return fail(shares ? factor.error() : shares.error());
  }
  if (!*shares) {
    return latent_attention_by_key(context);
  }
  const auto words = computed_words(
      context,
      [&](std::int64_t layer) { return layer % *factor == 0 ? "self_attention" : "kv_shared"; },
      {"self_attention", "kv_shared"});
  if (!words) {
    return fail(words.error());
  }
  return kinds_by_word(context, *words, [&](const std::string& word, const JsonView&) {
    return word == "self_attention" ? usual_kind(context)
                                    : Result<LayerKind>(without_qkv(kSharedKv));
  });
}

}  // namespace tplora::core
