#include "sim/model/layer_words.hpp"

#include <fmt/format.h>

#include <map>

#include "sim/model/config_heads.hpp"
#include "sim/model/config_keys.hpp"

namespace tplora::core {
namespace {

/// How many entries of a per-layer list belong to the model proper.
Result<std::int64_t> entries_to_read(const ConfigContext& context, const JsonView& list) {
  if (!list.json().is_array()) {
    return list.expected("a list with one entry for each layer");
  }
  const auto entries = static_cast<std::int64_t>(list.json().size());
  const auto layers = layer_count(context);
  const auto extra = find_path(context.config, "num_nextn_predict_layers");
  if (!layers) {
    return fail(layers.error());
  }
  if (entries < 1 || entries > kMaxLayers) {
    return list.error(
        fmt::format("a list of {} entries, expected from 1 to {}", entries, kMaxLayers));
  }
  if (*layers == 0 || entries == *layers) {
    return entries;
  }
  if (extra && extra->integer() && entries - *layers == *extra->integer()) {
    return *layers;
  }
  return list.error(
      fmt::format("a list of {} entries, expected num_hidden_layers {}", entries, *layers));
}

Result<JsonView> required_list(const ConfigContext& context, std::string_view key,
                               std::string_view what) {
  if (const auto list = find_path(context.config, key)) {
    return *list;
  }
  return context.config.error(fmt::format("{} is missing, expected {}", key, what));
}

}  // namespace

Result<LayerWords> numbered_words(
    const ConfigContext& context, std::string_view key,
    const std::function<Result<std::string>(const JsonView&)>& word_of) {
  const auto list = required_list(context, key, "a list with one entry for each layer");
  if (!list) {
    return fail(list.error());
  }
  const auto entries = entries_to_read(context, *list);
  if (!entries) {
    return fail(entries.error());
  }
  LayerWords result{.words = {}, .indices_known = true, .list = *list};
  for (std::int64_t i = 0; i < *entries; ++i) {
    auto word = word_of(list->element(static_cast<std::size_t>(i)));
    if (!word) {
      return fail(word.error());
    }
    result.words.push_back(std::move(*word));
  }
  return result;
}

Result<LayerWords> listed_words(const ConfigContext& context, std::string_view key) {
  return numbered_words(context, key, [](const JsonView& entry) { return entry.string(); });
}

Result<LayerWords> computed_words(const ConfigContext& context,
                                  const std::function<std::string_view(std::int64_t)>& word_of,
                                  std::initializer_list<std::string_view> all) {
  const auto layers = layer_count(context);
  if (!layers) {
    return fail(layers.error());
  }
  LayerWords result{.words = {}, .indices_known = *layers != 0, .list = {}};
  if (!result.indices_known) {
    result.words.assign(all.begin(), all.end());
  }
  for (std::int64_t i = 0; i < *layers; ++i) {
    result.words.emplace_back(word_of(i));
  }
  return result;
}

Result<LayerWords> words_by_index(const ConfigContext& context, const IndexList& list) {
  const auto view = required_list(context, list.key, "a list of layer indices");
  const auto layers = layer_count(context);
  if (!view || !layers) {
    return fail(view ? layers.error() : view.error());
  }
  if (*layers == 0) {
    return context.config.error(fmt::format("{} is missing, expected it beside {}",
                                            key_spellings(Key::num_hidden_layers), list.key));
  }
  if (!view->json().is_array() || static_cast<std::int64_t>(view->json().size()) > *layers) {
    return view->expected(fmt::format("a list of at most {} layer indices", *layers));
  }
  LayerWords result;
  result.words.assign(static_cast<std::size_t>(*layers), std::string(list.otherwise));
  for (std::size_t i = 0; i < view->json().size(); ++i) {
    const auto index = view->element(i).integer();
    if (!index || *index < list.first || *index >= *layers + list.first) {
      return view->element(i).expected(
          fmt::format("a layer index from {} to {}", list.first, *layers + list.first - 1));
    }
    result.words[static_cast<std::size_t>(*index - list.first)] = list.word;
  }
  return result;
}

Result<std::vector<LayerKind>> kinds_by_word(const ConfigContext& context, const LayerWords& words,
                                             const DescribeKind& describe) {
  std::vector<LayerKind> kinds;
  std::map<std::string_view, std::size_t> place;
  for (std::size_t i = 0; i < words.words.size(); ++i) {
    const std::string& word = words.words[i];
    const auto [entry, is_new] = place.try_emplace(word, kinds.size());
    if (is_new) {
      auto kind = describe(word, words.list ? words.list->element(i) : context.config);
      if (!kind) {
        return fail(kind.error());
      }
      kind->kind = word;
      kinds.push_back(std::move(*kind));
    }
    if (words.indices_known) {
      kinds[entry->second].indices.push_back(static_cast<std::int64_t>(i));
    }
  }
  return kinds;
}

}  // namespace tplora::core
