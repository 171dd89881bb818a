#include "sim/model/layer_rules.hpp"

#include <fmt/format.h>

#include <array>

#include "sim/model/config_heads.hpp"
#include "sim/model/config_keys.hpp"
#include "sim/model/layer_kinds.hpp"
#include "sim/model/layer_words.hpp"

namespace tplora::core {
namespace {

constexpr std::string_view kLatent =
    "multi-head latent attention: q and kv pass through low-rank projections";

/// Words for layers that have a qkv projection.
constexpr std::string_view kAttentionWords =
    "attention full_attention sliding_attention chunked_attention hybrid minimax_m3_sparse";

struct OtherWord {
  std::string_view word;
  std::string_view why;
};

constexpr std::array<OtherWord, 8> kOtherWords = {{
    {"linear_attention", "linear attention: other input projections, no qkv projection"},
    {"mamba", "a state space layer has no attention"},
    {"mamba2", "a state space layer has no attention"},
    {"conv", "a convolution layer has no attention"},
    {"recurrent", "a recurrent layer has no attention"},
    {"moe", "a mixture-of-experts layer has no attention"},
    {"mlp", "an MLP layer has no attention"},
    {"sparse_mlp", "an MLP layer has no attention"},
}};

Result<LayerKind> attention_or_other(const ConfigContext& context, const std::string& word,
                                     const JsonView& place) {
  for (const OtherWord& other : kOtherWords) {
    if (other.word == word) {
      return without_qkv(other.why);
    }
  }
  if (!has_word(kAttentionWords, word)) {
    return place.expected(
        "a known layer type: full_attention, sliding_attention, chunked_attention, attention, "
        "hybrid, linear_attention, mamba, conv, recurrent, moe, mlp");
  }
  return usual_kind(context);
}

Result<std::vector<LayerKind>> attention_among(const ConfigContext& context,
                                               const Result<LayerWords>& words) {
  if (!words) {
    return fail(words.error());
  }
  return kinds_by_word(context, *words, [&](const std::string& word, const JsonView& place) {
    return attention_or_other(context, word, place);
  });
}

std::string_view pattern_word(char letter) {
  switch (letter) {
    case 'M': return "mamba";
    case '*': return "attention";
    case '-': return "mlp";
    case 'E': return "moe";
    default: return "";
  }
}

Result<LayerWords> words_of_pattern(const ConfigContext& context, const JsonView& view) {
  const auto pattern = view.string();
  const auto layers = layer_count(context);
  if (!pattern || !layers) {
    return fail(pattern ? layers.error() : pattern.error());
  }
  const auto letters = static_cast<std::int64_t>(pattern->size());
  if (letters < 1 || letters > kMaxLayers || (*layers != 0 && letters != *layers)) {
    return view.error(
        fmt::format("a pattern of {} letters, expected num_hidden_layers {}", letters, *layers));
  }
  LayerWords result;
  for (const char letter : *pattern) {
    if (pattern_word(letter).empty()) {
      return view.expected("a pattern of the letters M (mamba), * (attention), - (mlp), E (moe)");
    }
    result.words.emplace_back(pattern_word(letter));
  }
  return result;
}

/// The first of two lists that is there.
std::string_view present_key(const ConfigContext& context, std::string_view first,
                             std::string_view second) {
  return !context.config.find_not_null(first) && context.config.find_not_null(second) ? second
                                                                                      : first;
}

Result<std::int64_t> count_or(const ConfigContext& context, std::string_view key,
                              std::int64_t when_absent) {
  return read_count(context.config, key).map([&](std::optional<std::int64_t> count) {
    return count.value_or(when_absent);
  });
}

}  // namespace

Result<std::vector<LayerKind>> all_layers_alike(const ConfigContext& context) {
  if (context.config.find_not_null("layer_types")) {
    // Masks may differ, projections must not: every word has to be one for attention.
    return attention_among(context, listed_words(context, "layer_types"));
  }
  auto kind = usual_kind(context);
  return kind ? one_kind(context, std::move(*kind)) : fail(kind.error());
}

Result<std::vector<LayerKind>> no_attention(const ConfigContext& context) {
  return one_kind(context, without_qkv("a state space or recurrent model has no attention"));
}

Result<std::vector<LayerKind>> latent_attention(const ConfigContext& context) {
  return one_kind(context, without_qkv(kLatent));
}

Result<std::vector<LayerKind>> latent_attention_by_key(const ConfigContext& context) {
  const auto rank = context.config.find_not_null("kv_lora_rank");
  const auto use_mla = read_flag(context.config, "use_mla", rank.has_value());
  if (!use_mla) {
    return fail(use_mla.error());
  }
  return *use_mla ? latent_attention(context) : all_layers_alike(context);
}

Result<std::vector<LayerKind>> latent_attention_unless_off(const ConfigContext& context) {
  const auto rank = context.config.find("kv_lora_rank");
  const bool written_as_null = rank && rank->json().is_null();
  const auto use_mla = read_flag(context.config, "use_mla", !written_as_null);
  if (!use_mla) {
    return fail(use_mla.error());
  }
  return *use_mla ? latent_attention(context) : all_layers_alike(context);
}

Result<std::vector<LayerKind>> latent_and_linear_attention(const ConfigContext& context) {
  const auto words = context.config.find_not_null("layer_types")
                         ? listed_words(context, "layer_types")
                         : words_by_index(context, {.key = "linear_attn_config/full_attn_layers",
                                                    .word = "full_attention",
                                                    .otherwise = "linear_attention",
                                                    .first = 1});
  if (!words) {
    return fail(words.error());
  }
  return kinds_by_word(context, *words,
                       [&](const std::string& word, const JsonView& place) -> Result<LayerKind> {
                         return word == "full_attention" ? without_qkv(kLatent)
                                                         : attention_or_other(context, word, place);
                       });
}

Result<std::vector<LayerKind>> attention_by_interval(const ConfigContext& context) {
  if (context.config.find_not_null("layer_types")) {
    return attention_among(context, listed_words(context, "layer_types"));
  }
  const auto interval = count_or(context, "full_attention_interval", 4);
  if (!interval) {
    return fail(interval.error());
  }
  return attention_among(context, computed_words(context,
                                                 [&](std::int64_t layer) {
                                                   return (layer + 1) % *interval == 0
                                                              ? "full_attention"
                                                              : "linear_attention";
                                                 },
                                                 {"linear_attention", "full_attention"}));
}

Result<std::vector<LayerKind>> attention_by_type_list(const ConfigContext& context) {
  return attention_among(
      context, listed_words(context, present_key(context, "layer_types", "layers_block_type")));
}

Result<std::vector<LayerKind>> attention_or_convolution(const ConfigContext& context) {
  if (context.config.find_not_null("layer_types")) {
    return attention_among(context, listed_words(context, "layer_types"));
  }
  if (context.config.find_not_null("full_attn_idxs")) {
    return attention_among(context, words_by_index(context, {.key = "full_attn_idxs",
                                                             .word = "full_attention",
                                                             .otherwise = "conv"}));
  }
  return all_layers_alike(context);
}

Result<std::vector<LayerKind>> attention_by_index_list(const ConfigContext& context) {
  return attention_among(context, words_by_index(context, {.key = "attn_layer_indices",
                                                           .word = "attention",
                                                           .otherwise = "mamba"}));
}

Result<std::vector<LayerKind>> attention_by_period(const ConfigContext& context) {
  const auto period = count_or(context, "attn_layer_period", 8);
  const auto offset_view = context.config.find_not_null("attn_layer_offset");
  const auto offset = offset_view ? offset_view->integer() : Result<std::int64_t>(4);
  if (!period || !offset) {
    return fail(period ? offset.error() : period.error());
  }
  if (*offset < 0 || *offset >= *period) {
    return context.config.error(fmt::format(
        "attn_layer_offset is {}, expected less than attn_layer_period {}", *offset, *period));
  }
  return attention_among(context, computed_words(context,
                                                 [&](std::int64_t layer) {
                                                   return layer % *period == *offset ? "attention"
                                                                                     : "mamba";
                                                 },
                                                 {"mamba", "attention"}));
}

Result<std::vector<LayerKind>> attention_by_pattern(const ConfigContext& context) {
  if (const auto pattern = context.config.find_not_null("hybrid_override_pattern")) {
    return attention_among(context, words_of_pattern(context, *pattern));
  }
  const std::string_view key = present_key(context, "layers_block_type", "layer_types");
  if (context.config.find_not_null(key)) {
    return attention_among(context, listed_words(context, key));
  }
  return attention_among(context,
                         LayerWords{.words = {"attention"}, .indices_known = false, .list = {}});
}

Result<std::vector<LayerKind>> attention_by_block_cycle(const ConfigContext& context) {
  const auto view = context.config.find_not_null("block_types");
  const auto cycle = view ? read_strings(*view, kMaxLayers)
                          : Result<std::vector<std::string>>(context.config.error(
                                "block_types is missing, expected a list of block types"));
  if (!cycle) {
    return fail(cycle.error());
  }
  if (cycle->empty()) {
    return view->expected("at least one block type");
  }
  const auto word_of = [&](std::int64_t layer) -> std::string_view {
    return (*cycle)[static_cast<std::size_t>(layer) % cycle->size()];
  };
  return attention_among(context, computed_words(context, word_of, {"recurrent", "attention"}));
}

}  // namespace tplora::core
