// Reads the members of a JSON document one after the other. The first Error wins and every later
// step does nothing, so that the steps of a reader read as a list.
#pragma once

#include <fmt/format.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sim/base/ensure.hpp"
#include "sim/base/json.hpp"
#include "sim/base/result.hpp"

namespace tplora {

/// A closed list of words of a format, each with its meaning.
template <class Value>
struct Word {
  std::string_view word;
  Value value;
};

class Fields {
 public:
  /// `place_of` turns a JSON pointer into the place that an error names: a file and a pointer in
  /// it.
  explicit Fields(std::function<std::string(const std::string&)> place_of)
      : place_of_(std::move(place_of)) {}

  /// What was wrong first.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  template <class T>
  T take(Result<T> result, T otherwise = {}) {
    if (result) {
      return std::move(*result);
    }
    refuse(result.error());
    return otherwise;
  }
  void take(Result<void> result) {
    if (!result) {
      refuse(result.error());
    }
  }
  void refuse(Error error) {
    if (error_) {
      return;
    }
    if (error.place.empty() || error.place.starts_with("#")) {
      error.place = place_of_(error.place.empty() ? "" : error.place.substr(1));
    }
    error_ = std::move(error);
  }
  /// Says what was wrong in other words. Precondition: something was.
  void reword(std::string sentence) {
    ensure(error_.has_value(), "an error is told before it is told in other words");
    error_->sentence = std::move(sentence);
  }
  [[nodiscard]] std::string place(const JsonView& view) const { return place_of_(view.pointer()); }

  /// A member that must be there; nothing and an error where it is not.
  std::optional<JsonView> required(const JsonView& view, std::string_view key) {
    if (auto member = view.at(key)) {
      return *member;
    } else {
      refuse(member.error());
      return std::nullopt;
    }
  }
  std::string text(const JsonView& view, std::string_view key) {
    const auto member = required(view, key);
    return member ? take(member->string()) : std::string();
  }
  std::string optional_text(const JsonView& view, std::string_view key, std::string otherwise) {
    const auto member = view.find(key);
    return member ? take(member->string()) : std::move(otherwise);
  }
  /// One of `words`, or `otherwise` where the member is not there.
  template <class Value, std::size_t N>
  Value word(const JsonView& view, std::string_view key, const std::array<Word<Value>, N>& words,
             Value otherwise) {
    const auto member = view.find(key);
    if (!member) {
      return otherwise;
    }
    const std::string found = take(member->string());
    std::string list;
    for (const auto& [name, value] : words) {
      if (name == found) {
        return value;
      }
      list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", name);
    }
    take(Result<void>(member->expected("one of " + list)));
    return otherwise;
  }

 private:
  std::function<std::string(const std::string&)> place_of_;
  std::optional<Error> error_;
};

}  // namespace tplora
