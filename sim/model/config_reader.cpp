#include "sim/model/config_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/model/config_keys.hpp"
#include "sim/model/family.hpp"
#include "sim/model/layer_kinds.hpp"

namespace tplora::core {
namespace {

/// Wrappers nest twice at most ("thinker", then text); more is a mistake.
constexpr int kMaxWrappers = 4;
constexpr std::int64_t kMaxClasses = 100;

/// Where a wrapper keeps the decoder's config.
constexpr std::array<std::string_view, 5> kTextConfigs = {
    "text_config", "thinker_config/text_config", "llm_config", "language_config",
    "text_model_config"};

template <class Row>
const Row* row_of(std::span<const Row> rows, std::string_view model_type) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return has_word(row.model_types, model_type);
  });
  return found == rows.end() ? nullptr : &*found;
}

/// The model_type of a class; empty where it is not known.
std::string type_of_class(std::string_view architecture) {
  for (const ClassName& name : class_names()) {
    if (name.architecture == architecture) {
      return std::string(name.model_type);
    }
  }
  return {};
}

/// The classes under `architectures`; none where the key is absent.
Result<std::vector<std::string>> architectures_of(const JsonView& config) {
  const auto view = config.find_not_null("architectures");
  return view ? read_strings(*view, kMaxClasses) : Result<std::vector<std::string>>({});
}

/// model_type, or, where it is absent, the type whose class `architectures` names; empty with
/// neither.
Result<std::string> type_of(const JsonView& config) {
  if (const auto type = config.find_not_null("model_type")) {
    return type->string();
  }
  const auto classes = architectures_of(config);
  if (!classes) {
    return fail(classes.error());
  }
  for (const std::string& architecture : *classes) {
    if (auto type = type_of_class(architecture); !type.empty()) {
      return type;
    }
  }
  return std::string();
}

tl::unexpected<Error> unknown_family(const JsonView& config) {
  constexpr std::string_view kSettle =
      "a model_type of the family table (docs/formats/model.md): a family is not guessed from its "
      "keys, because only its row settles num_key_value_heads, head_dim, bias, output gate and "
      "layer kinds (a layer that is known can be written out instead: H=..,KV=..,D=..,hidden=..)";
  if (const auto view = config.find_not_null("model_type")) {
    return view->expected(kSettle);
  }
  return config.error(
      fmt::format("found neither a model_type nor a known class under "
                  "architectures, expected {}",
                  kSettle));
}

/// The decoder's config inside a wrapper's; nothing where the keys stand in the wrapper itself.
std::optional<JsonView> text_config(const JsonView& config) {
  for (const std::string_view path : kTextConfigs) {
    if (auto view = find_path(config, path)) {
      return view;
    }
  }
  return std::nullopt;
}

/// One step from a wrapper to what it wraps: the inner config, or the wrapper's own keys read as
/// the decoder's.
Result<std::string> unwrap(const WrapperRule& wrapper, ConfigContext& context) {
  const auto inner = text_config(context.config);
  if (!inner && wrapper.text_type.empty()) {
    return context.config.error(
        "text_config or llm_config is missing, expected the decoder's "
        "config with its model_type");
  }
  if (!inner) {
    return std::string(wrapper.text_type);
  }
  if (!inner->json().is_object()) {
    return inner->expected("an object with the decoder's keys");
  }
  context.config = *inner;
  context.nested = true;
  return inner->find_not_null("model_type") ? type_of(*inner) : std::string(wrapper.text_type);
}

/// A null that the model's class does not take: no engine gets as far as serving it.
Result<void> refuse_null(const JsonView& config, const std::string& type) {
  for (const auto& [key, classes] :
       {std::pair{"num_key_value_heads", classes_without_null_kv_heads()},
        {"head_dim", classes_without_null_head_dim()}}) {
    const auto view = config.find(key);
    if (view && view->json().is_null() && has_word(classes, type)) {
      return view->expected(
          fmt::format("a positive integer, or no such key: the class of {} refuses a null", type));
    }
  }
  return {};
}

/// Walks through wrappers to the decoder's config and its family. `type`: of the whole config.
Result<ConfigContext> find_decoder(const JsonView& root, Result<std::string> type) {
  ConfigContext context{.config = root};
  for (int depth = 0; type && depth < kMaxWrappers; ++depth) {
    const auto* wrapper = row_of(wrapper_rules(), *type);
    if (wrapper == nullptr) {
      break;
    }
    type = unwrap(*wrapper, context);
  }
  if (!type) {
    return fail(type.error());
  }
  context.rule = row_of(family_rules(), *type);
  context.defaults = row_of(class_defaults(), *type);
  context.shows_kv_heads = has_word(classes_with_kv_heads(), *type);
  if (context.rule == nullptr) {
    return unknown_family(context.config);
  }
  return refuse_null(context.config, *type).map([&] { return context; });
}

}  // namespace

bool has_word(std::string_view list, std::string_view word) {
  std::size_t at = word.empty() ? std::string_view::npos : list.find(word);
  while (at != std::string_view::npos) {
    const bool starts = at == 0 || list[at - 1] == ' ';
    const bool ends = at + word.size() == list.size() || list[at + word.size()] == ' ';
    if (starts && ends) {
      return word.find(' ') == std::string_view::npos;
    }
    at = list.find(word, at + 1);
  }
  return false;
}

std::string_view take_word(std::string_view& list) {
  const std::string_view word = list.substr(0, list.find(' '));
  list.remove_prefix(std::min(word.size() + 1, list.size()));
  return word;
}

Result<Model> read_config(const JsonView& root, const std::string& name) {
  if (!root.json().is_object()) {
    return root.expected("an object, a model's config.json");
  }
  const auto type = type_of(root);
  const auto decoder = find_decoder(root, type);
  if (!decoder) {
    return fail(decoder.error());
  }
  auto kinds = decoder->rule->layers(*decoder);
  if (!kinds) {
    return fail(kinds.error());
  }
  const auto classes = architectures_of(root);
  if (!classes) {
    return fail(classes.error());
  }
  return Model{.name = name,
               .model_type = *type,
               .architecture = classes->empty() ? "" : classes->front(),
               .layer_kinds = merge_if_alike(std::move(*kinds))};
}

}  // namespace tplora::core
