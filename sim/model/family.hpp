// What a row of the family table says: how one family of model classes reads its config.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/json.hpp"
#include "sim/base/result.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// More layers than this are refused.
inline constexpr std::int64_t kMaxLayers = 100000;

struct FamilyRule;
struct ClassDefaults;

/// One decoder's config while it is read.
struct ConfigContext {
  JsonView config;  ///< the object that holds the decoder's keys
  const FamilyRule* rule = nullptr;
  const ClassDefaults* defaults = nullptr;  ///< nullptr: none are known
  /// The object stands inside another config. Saved that way it leaves out every key that equals
  /// the class's default; at the top of a file hidden_size and num_attention_heads are always
  /// written.
  bool nested = false;
  /// The class answers num_key_value_heads with the count that it settled on where the file leaves
  /// the key out, or has a null there.
  bool shows_kv_heads = false;
};

/// A true-or-false property: the value of the first of `keys` (separated by spaces) that is there,
/// else `when_absent`. `inverted` turns the key's value ("no_bias").
struct Flag {
  std::string_view keys = {};
  bool when_absent = false;
  bool inverted = false;
};

/// Behaviours that a row selects. Each is a small named function of config_heads.cpp or
/// layer_rules.cpp.
using KvHeadsRule = Result<std::int64_t> (*)(const ConfigContext&,
                                             std::int64_t num_attention_heads);
using LayerRule = Result<std::vector<LayerKind>> (*)(const ConfigContext&);

/// num_key_value_heads, else the class's default, else num_attention_heads.
[[nodiscard]] Result<std::int64_t> kv_heads_or_all(const ConfigContext& context,
                                                   std::int64_t num_attention_heads);
/// Every layer has the same projection.
[[nodiscard]] Result<std::vector<LayerKind>> all_layers_alike(const ConfigContext& context);

/// The usual form.
inline constexpr CheckpointForm kSeparate = {.tensors = "self_attn.q_proj,k_proj,v_proj"};

/// One row: the model_types it covers and everything in which they differ from the usual.
struct FamilyRule {
  std::string_view model_types;  ///< separated by spaces
  KvHeadsRule kv_heads = kv_heads_or_all;
  LayerRule layers = all_layers_alike;
  Flag bias = {};
  Flag gate = {};  ///< q_proj holds an output gate too, per head [q, gate]
  CheckpointForm form = kSeparate;
  /// The only key of head_dim, where another spelling means something else.
  std::string_view head_dim_key = {};
  /// Key of V's head_dim where it may differ; empty: it is head_dim.
  std::string_view v_head_dim_key = {};
  /// The projection reads this many hidden_size wide vectors side by side, and head_dim is that
  /// width divided by num_attention_heads.
  std::int64_t input_multiple = 1;
  /// The class shows its own spelling as num_attention_heads too (attribute_map), so an engine that
  /// asks for the standard name is answered.
  bool shows_num_attention_heads = false;
};

/// A config around a decoder's config (vision, audio, "thinker" models).
struct WrapperRule {
  std::string_view model_types;
  std::string_view text_type;  ///< the decoder's model_type where its config does not say it
};

/// A model class and the model_type that its configs have; used where a config has no model_type.
struct ClassName {
  std::string_view architecture;
  std::string_view model_type;
};

/// What the model class of `model_types` fills in for a key that is absent. 0: for
/// num_key_value_heads num_attention_heads, for head_dim hidden_size / num_attention_heads.
struct ClassDefaults {
  std::string_view model_types;
  std::int64_t hidden_size = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t num_hidden_layers = 0;  ///< 0: not known
};

/// The tables (family_rules.cpp; family_names.cpp; class_defaults.cpp).
[[nodiscard]] std::span<const FamilyRule> family_rules();
[[nodiscard]] std::span<const WrapperRule> wrapper_rules();
[[nodiscard]] std::span<const ClassName> class_names();
[[nodiscard]] std::span<const ClassDefaults> class_defaults();
/// model_types, separated by spaces, of the classes that always show num_key_value_heads.
[[nodiscard]] std::string_view classes_with_kv_heads();

/// Of the classes that refuse a config in which num_key_value_heads, or head_dim, is null.
[[nodiscard]] std::string_view classes_without_null_kv_heads();
[[nodiscard]] std::string_view classes_without_null_head_dim();

/// Whether `word` is one of the words of `list`, which are separated by spaces.
[[nodiscard]] bool has_word(std::string_view list, std::string_view word);

/// Takes the first word off `list`; empty when there is none.
[[nodiscard]] std::string_view take_word(std::string_view& list);

}  // namespace tplora::core
