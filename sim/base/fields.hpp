// Fields of the project's own JSON formats, read by name: contracts, bug records, suites, pins.
//
// A reader is a list of steps: each takes a field, the first refusal is kept, and one question at
// the end tells whether there is one. Include this only in the .cpp files that read JSON, as
// sim/base/json.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/json.hpp"
#include "sim/base/result.hpp"
#include "sim/base/word.hpp"

namespace tplora::core {

/// The first Error of a file that is read field by field. Behind it, what is read is worth nothing
/// and what is refused is dropped.
class FirstError {
 public:
  [[nodiscard]] bool none() const { return !error_; }
  void refuse(Error error);
  void refuse(tl::unexpected<Error> error) { refuse(std::move(error.value())); }

  /// The value of `result`; where it has none, its Error is refused and T's own default stands in.
  template <class T>
  T take(Result<T> result) {
    if (result) {
      return std::move(*result);
    }
    refuse(std::move(result.error()));
    return T{};
  }
  void take(Result<void> result) {
    if (!result) {
      refuse(std::move(result.error()));
    }
  }

  /// What was read, or the first Error.
  template <class T>
  [[nodiscard]] Result<T> result(T read) const {
    return error_ ? Result<T>(fail(*error_)) : Result<T>(std::move(read));
  }
  [[nodiscard]] Result<void> result() const { return error_ ? fail(*error_) : Result<void>(); }

 private:
  std::optional<Error> error_;
};

/// Whether a field must be there. One that need not be is empty where it is absent.
enum class Need { required, optional };

/// One JSON object, its fields read by name. What is refused (a missing field, another type than
/// asked for) is told with the file, the field, what was found and what was expected, and the value
/// given back then is empty, zero or false.
class Fields {
 public:
  /// Refused: no object; a field that is not `known`. `errors` must outlive the reader.
  Fields(JsonView object, FirstError& errors, std::initializer_list<std::string_view> known);

  [[nodiscard]] const JsonView& view() const { return object_; }
  /// Nothing where the field is absent; a required one is refused then.
  [[nodiscard]] std::optional<JsonView> find(std::string_view key,
                                             Need need = Need::required) const;

  [[nodiscard]] std::string text(std::string_view key, Need need = Need::required) const;
  [[nodiscard]] bool flag(std::string_view key, Need need = Need::required) const;
  /// Refused: also what is below 1.
  [[nodiscard]] std::int64_t positive_integer(std::string_view key) const;
  /// The strings of a list.
  [[nodiscard]] std::vector<std::string> texts(std::string_view key,
                                               Need need = Need::required) const;
  /// The same; a list without any is refused, since nothing and anything would be told alike.
  [[nodiscard]] std::vector<std::string> some_texts(std::string_view key,
                                                    Need need = Need::required) const;
  /// The positive integers of a list.
  [[nodiscard]] std::vector<std::int64_t> positive_integers(std::string_view key,
                                                            Need need = Need::required) const;
  /// The entries of a list.
  [[nodiscard]] std::vector<JsonView> entries(std::string_view key,
                                              Need need = Need::required) const;
  /// The members of an object, in the order written.
  [[nodiscard]] std::vector<std::pair<std::string, JsonView>> members(
      std::string_view key, Need need = Need::required) const;
  /// Refused: a string that is not `expected`, which names a format and its version.
  void format(std::string_view expected) const;

  /// The meaning of a required word. Refused: also a string that is none of `words`.
  template <class Value, std::size_t N>
  [[nodiscard]] Value word(std::string_view key, const std::array<Word<Value>, N>& words) const {
    const auto field = find(key);
    return field ? meaning(*field, words, words[0].value) : words[0].value;
  }
  /// The meaning of a word; `absent` where there is none.
  template <class Value, std::size_t N>
  [[nodiscard]] Value word(std::string_view key, const std::array<Word<Value>, N>& words,
                           Value absent) const {
    const auto field = find(key, Need::optional);
    return field ? meaning(*field, words, absent) : absent;
  }

 private:
  template <class Value, std::size_t N>
  Value meaning(const JsonView& field, const std::array<Word<Value>, N>& words,
                Value otherwise) const {
    const std::string found = errors_->take(field.string());
    std::string list;
    for (const auto& [name, value] : words) {
      if (name == found) {
        return value;
      }
      list.append(list.empty() ? "\"" : ", \"").append(name).append("\"");
    }
    errors_->refuse(field.expected("one of " + list));
    return otherwise;
  }

  JsonView object_;
  FirstError* errors_;
};

}  // namespace tplora::core
