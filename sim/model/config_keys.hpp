// The spellings under which configs give the five counts that a qkv geometry needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/json.hpp"
#include "sim/base/result.hpp"

namespace tplora::core {

/// A count by its standard name.
enum class Key {
  hidden_size,
  num_attention_heads,
  num_key_value_heads,
  head_dim,
  num_hidden_layers
};

/// "hidden_size", ...
[[nodiscard]] std::string_view key_name(Key key);

/// Every spelling of `key`, for messages: "hidden_size (or n_embd, d_model, model_dim)".
[[nodiscard]] std::string key_spellings(Key key);

/// The member at `path`, a key or several joined by '/'; nothing where a step is absent or null.
[[nodiscard]] std::optional<JsonView> find_path(const JsonView& config, std::string_view path);

/// The count under the first spelling that is present and not null; nothing where there is none.
/// Refused: not a positive integer; another spelling with another count.
[[nodiscard]] Result<std::optional<std::int64_t>> find_count(const JsonView& config, Key key);

/// The strings of a list that has at most `most` of them. Refused: anything else.
[[nodiscard]] Result<std::vector<std::string>> read_strings(const JsonView& list,
                                                            std::int64_t most);

/// The member called `key` as true or false; `when_absent` where it is absent or null.
[[nodiscard]] Result<bool> read_flag(const JsonView& config, std::string_view key,
                                     bool when_absent);

/// The member called `key` as a positive integer; nothing where it is absent or null.
[[nodiscard]] Result<std::optional<std::int64_t>> read_count(const JsonView& config,
                                                             std::string_view key);

}  // namespace tplora::core
