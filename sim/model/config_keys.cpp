#include "sim/model/config_keys.hpp"

#include <fmt/format.h>

#include <array>

namespace tplora::core {
namespace {

struct Spellings {
  Key key;
  std::array<std::string_view, 9> names;  ///< the standard name first; unused ones are empty
};

/// The one table of aliases. A name may stand here only if it means nothing else in any config.
constexpr std::array<Spellings, 5> kSpellings = {{
    {Key::hidden_size, {"hidden_size", "n_embd", "d_model", "model_dim"}},
    {Key::num_attention_heads,
     {"num_attention_heads", "n_head", "n_heads", "num_heads", "num_query_heads"}},
    {Key::num_key_value_heads,
     {"num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads", "num_query_groups",
      "num_attention_groups", "multi_query_group_num", "attn_config/kv_n_heads"}},
    {Key::head_dim, {"head_dim", "attention_head_dim", "kv_channels"}},
    {Key::num_hidden_layers,
     {"num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_transformer_layers"}},
}};

const Spellings& spellings_of(Key key) {
  return kSpellings[static_cast<std::size_t>(key)];
}

/// The first spelling that was found.
struct Found {
  JsonView view;
  std::string_view name;
  std::int64_t count = 0;
};

/// A second spelling may repeat the first; 0 and negative numbers are some configs' "not set".
bool disagrees(const JsonView& other, std::int64_t count) {
  const auto value = other.integer();
  return value && *value > 0 && *value != count;
}

}  // namespace

std::string_view key_name(Key key) {
  return spellings_of(key).names[0];
}

std::string key_spellings(Key key) {
  std::string others;
  for (const std::string_view name : spellings_of(key).names) {
    if (!name.empty() && name != key_name(key)) {
      others += fmt::format("{}{}", others.empty() ? "" : ", ", name);
    }
  }
  return fmt::format("{} (or {})", key_name(key), others);
}

std::optional<JsonView> find_path(const JsonView& config, std::string_view path) {
  std::optional<JsonView> view = config;
  while (view && !path.empty()) {
    const auto slash = path.find('/');
    view = view->find_not_null(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
  }
  return view;
}

Result<std::optional<std::int64_t>> find_count(const JsonView& config, Key key) {
  std::optional<Found> found;
  for (const std::string_view name : spellings_of(key).names) {
    const auto view = name.empty() ? std::nullopt : find_path(config, name);
    if (!view) {
      continue;
    }
    if (!found) {
      const auto count = view->positive_integer();
      if (!count) {
        return fail(count.error());
      }
      found = Found{*view, name, *count};
    } else if (disagrees(*view, found->count)) {
      return view->error(fmt::format("found {}, but {} is {}, expected the two to agree",
                                     view->json().dump(), found->name, found->count));
    }
  }
  return found ? std::optional(found->count) : std::nullopt;
}

Result<std::vector<std::string>> read_strings(const JsonView& list, std::int64_t most) {
  const bool too_long =
      list.json().is_array() && static_cast<std::int64_t>(list.json().size()) > most;
  return too_long ? list.error(fmt::format("a list of {} entries, expected at most {}",
                                           list.json().size(), most))
                  : list.strings();
}

Result<bool> read_flag(const JsonView& config, std::string_view key, bool when_absent) {
  const auto view = config.find_not_null(key);
  return view ? view->boolean() : Result<bool>(when_absent);
}

Result<std::optional<std::int64_t>> read_count(const JsonView& config, std::string_view key) {
  const auto view = config.find_not_null(key);
  if (!view) {
    return std::optional<std::int64_t>{};
  }
  return view->positive_integer().map([](std::int64_t count) { return std::optional(count); });
}

}  // namespace tplora::core
