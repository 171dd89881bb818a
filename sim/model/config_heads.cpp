#include "sim/model/config_heads.hpp"

#include <fmt/format.h>

#include "sim/base/checked.hpp"
#include "sim/model/config_keys.hpp"

namespace tplora::core {
namespace {

/// What the class fills in for an absent key; 0 where nothing is known.
std::int64_t class_default(const ConfigContext& context, Key key) {
  if (context.defaults == nullptr) {
    return 0;
  }
  switch (key) {
    case Key::hidden_size: return context.nested ? context.defaults->hidden_size : 0;
    case Key::num_attention_heads:
      return context.nested ? context.defaults->num_attention_heads : 0;
    case Key::num_key_value_heads: return context.defaults->num_key_value_heads;
    case Key::head_dim: return context.defaults->head_dim;
    case Key::num_hidden_layers: return context.nested ? context.defaults->num_hidden_layers : 0;
  }
  return 0;
}

/// A null is a value: the class then computes what it would otherwise have by default.
bool is_written(const ConfigContext& context, Key key) {
  return context.config.find(key_name(key)).has_value();
}

Result<std::int64_t> required_count(const ConfigContext& context, Key key) {
  const auto count = find_count(context.config, key);
  if (!count) {
    return fail(count.error());
  }
  if (*count) {
    return **count;
  }
  if (const std::int64_t value = class_default(context, key); value != 0) {
    return value;
  }
  return context.config.error(fmt::format(
      "{} is missing, expected a positive integer (a layer that is known can be written "
      "out instead: H=..,KV=..,D=..,hidden=..)",
      key_spellings(key)));
}

Result<std::int64_t> head_dim_of(const ConfigContext& context, const QkvGeometry& g) {
  const std::string_view only_key = context.rule->head_dim_key;
  const auto count = only_key.empty() ? find_count(context.config, Key::head_dim)
                                      : read_count(context.config, only_key);
  if (!count) {
    return fail(count.error());
  }
  if (*count) {
    return **count;
  }
  const std::int64_t by_class = class_default(context, Key::head_dim);
  if (by_class != 0 && !is_written(context, Key::head_dim)) {
    return by_class;
  }
  if (g.hidden_size % g.num_attention_heads != 0) {
    return context.config.error(fmt::format(
        "{} is absent and num_attention_heads {} does not divide hidden_size {}, expected head_dim",
        key_spellings(Key::head_dim), g.num_attention_heads, g.hidden_size));
  }
  return g.hidden_size / g.num_attention_heads;
}

/// V's head_dim: head_dim itself, or the family's own key, which then must be there.
Result<std::int64_t> v_head_dim_of(const ConfigContext& context, std::int64_t head_dim) {
  const std::string_view key = context.rule->v_head_dim_key;
  if (key.empty()) {
    return head_dim;
  }
  const auto count = read_count(context.config, key);
  if (!count) {
    return fail(count.error());
  }
  return *count
             ? Result<std::int64_t>(**count)
             : context.config.error(fmt::format("{} is missing, expected a positive integer", key));
}

Result<bool> flag_of(const ConfigContext& context, const Flag& flag) {
  std::string_view keys = flag.keys;
  while (!keys.empty()) {
    if (const auto view = context.config.find_not_null(take_word(keys))) {
      return view->boolean().map([&](bool value) { return value != flag.inverted; });
    }
  }
  return flag.when_absent;
}

/// The value that a look-up of the standard name is answered with.
std::int64_t shown_value(const ConfigContext& context, Key key) {
  if (const auto view = context.config.find_not_null(key_name(key))) {
    return view->positive_integer().value_or(0);
  }
  return is_written(context, key) ? 0 : class_default(context, key);
}

void set_shown_values(const ConfigContext& context, QkvGeometry& g) {
  g.config_num_attention_heads = shown_value(context, Key::num_attention_heads);
  g.config_num_key_value_heads = shown_value(context, Key::num_key_value_heads);
  g.config_head_dim = shown_value(context, Key::head_dim);
  if (context.shows_kv_heads && !context.config.find_not_null(key_name(Key::num_key_value_heads))) {
    g.config_num_key_value_heads = g.num_key_value_heads;
  }
  if (context.rule->shows_num_attention_heads) {
    g.config_num_attention_heads = g.num_attention_heads;
  }
}

}  // namespace

Result<std::int64_t> kv_heads_or_all(const ConfigContext& context,
                                     std::int64_t num_attention_heads) {
  const auto count = find_count(context.config, Key::num_key_value_heads);
  if (!count) {
    return fail(count.error());
  }
  if (*count) {
    return **count;
  }
  const std::int64_t by_class = class_default(context, Key::num_key_value_heads);
  const bool left_out = !is_written(context, Key::num_key_value_heads);
  return by_class != 0 && left_out ? by_class : num_attention_heads;
}

Result<std::int64_t> one_kv_head_by_flag(const ConfigContext& context,
                                         std::int64_t num_attention_heads) {
  return read_flag(context.config, "multi_query", true).map([&](bool multi_query) {
    return multi_query ? std::int64_t{1} : num_attention_heads;
  });
}

Result<std::int64_t> kv_heads_of_decoder_form(const ConfigContext& context,
                                              std::int64_t num_attention_heads) {
  const auto new_form = read_flag(context.config, "new_decoder_architecture", false);
  if (!new_form) {
    return fail(new_form.error());
  }
  return *new_form ? kv_heads_or_all(context, num_attention_heads)
                   : one_kv_head_by_flag(context, num_attention_heads);
}

Result<std::int64_t> kv_heads_by_group_flag(const ConfigContext& context,
                                            std::int64_t num_attention_heads) {
  const auto view = context.config.find_not_null("multi_query_attention");
  if (!view) {  // An earlier generation without the key stores its rows in another order.
    return context.config.error("multi_query_attention is missing, expected true or false");
  }
  const auto grouped = view->boolean();
  if (!grouped) {
    return fail(grouped.error());
  }
  return *grouped ? required_count(context, Key::num_key_value_heads)
                  : Result<std::int64_t>(num_attention_heads);
}

Result<std::int64_t> attention_heads(const ConfigContext& context) {
  return required_count(context, Key::num_attention_heads);
}

Result<QkvGeometry> base_geometry(const ConfigContext& context) {
  const auto heads = attention_heads(context);
  const auto kv_heads = heads ? context.rule->kv_heads(context, *heads) : heads;
  return kv_heads ? geometry_with(context, {.heads = *heads, .kv_heads = *kv_heads})
                  : fail(kv_heads.error());
}

Result<QkvGeometry> geometry_with(const ConfigContext& context, HeadCounts counts) {
  const auto hidden_size = required_count(context, Key::hidden_size);
  if (!hidden_size) {
    return fail(hidden_size.error());
  }
  const auto width = checked_mul(*hidden_size, context.rule->input_multiple);
  if (!width) {
    return context.config.error(fmt::format("hidden_size {} is too large", *hidden_size));
  }
  QkvGeometry g{.hidden_size = *width,
                .num_attention_heads = counts.heads,
                .num_key_value_heads = counts.kv_heads};
  const auto head_dim = head_dim_of(context, g);
  const auto v_head_dim = v_head_dim_of(context, head_dim.value_or(0));
  const auto bias = flag_of(context, context.rule->bias);
  const auto gate = flag_of(context, context.rule->gate);
  if (!head_dim || !v_head_dim || !bias || !gate) {
    return fail(!head_dim     ? head_dim.error()
                : !v_head_dim ? v_head_dim.error()
                : !bias       ? bias.error()
                              : gate.error());
  }
  g.head_dim = *head_dim;
  g.v_head_dim = *v_head_dim;
  g.q_multiplier = *gate ? 2 : 1;
  g.qkv_bias = *bias;
  set_shown_values(context, g);
  return g;
}

Result<std::int64_t> layer_count(const ConfigContext& context) {
  const auto count = find_count(context.config, Key::num_hidden_layers);
  if (!count) {
    return fail(count.error());
  }
  if (count->value_or(0) > kMaxLayers) {
    return context.config.error(
        fmt::format("num_hidden_layers is {}, expected at most {}", **count, kMaxLayers));
  }
  return count->value_or(class_default(context, Key::num_hidden_layers));
}

}  // namespace tplora::core
