// Which kind each layer is: one word for each layer, from the several ways in which configs say it.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "sim/model/family.hpp"

namespace tplora::core {

/// words[i] is the kind of layer i. Where the layer count is unknown, each word stands once and
/// `indices_known` is false.
struct LayerWords {
  std::vector<std::string> words;
  bool indices_known = true;
  std::optional<JsonView> list = {};  ///< the list they stand in, one entry for each layer
};

/// The strings listed under `key`. Entries behind num_hidden_layers are allowed for
/// num_nextn_predict_layers (prediction layers, no part of the model proper) and dropped. Refused:
/// no list of strings; a length that fits neither count.
[[nodiscard]] Result<LayerWords> listed_words(const ConfigContext& context, std::string_view key);

/// As listed_words, for a list of integers, each turned into a word by `word_of`.
[[nodiscard]] Result<LayerWords> numbered_words(
    const ConfigContext& context, std::string_view key,
    const std::function<Result<std::string>(const JsonView&)>& word_of);

/// `word_of(i)` for each layer; `all` are the words it can give, in the order wanted where the
/// layer count is unknown.
[[nodiscard]] Result<LayerWords> computed_words(
    const ConfigContext& context, const std::function<std::string_view(std::int64_t)>& word_of,
    std::initializer_list<std::string_view> all);

/// The word of a layer whose index (counted from `first`) stands in the list `key`, or `otherwise`.
/// Refused: an index outside the layers.
struct IndexList {
  std::string_view key;
  std::string_view word;
  std::string_view otherwise;
  std::int64_t first = 0;
};
[[nodiscard]] Result<LayerWords> words_by_index(const ConfigContext& context,
                                                const IndexList& list);

/// Gives a kind's geometry or reason, for a word and the place where it first stands.
using DescribeKind =
    std::function<Result<LayerKind>(const std::string& word, const JsonView& place)>;

/// One kind for each distinct word, in the order in which the words first occur, with the indices
/// of its layers; `describe` gives the rest.
[[nodiscard]] Result<std::vector<LayerKind>> kinds_by_word(const ConfigContext& context,
                                                           const LayerWords& words,
                                                           const DescribeKind& describe);

}  // namespace tplora::core
