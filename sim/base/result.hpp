// Expected failures as values: a sentence and a place.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace tplora {

/// One sentence that says what was found and what was expected, and the place it concerns.
///
/// `place` is a file with, where it helps, a JSON pointer and a column
/// ("configs/engines/mine.json#/lora_b/buffers/B:7"), or empty when there is none
/// (a command line argument names itself in the sentence).
struct Error {
  std::string sentence;
  std::string place;
  /// What failed is writing what was asked for (a full disk, no right to write), not the input.
  bool is_output = false;

  static constexpr std::size_t kMostSentenceBytes = 1300;
  static constexpr std::size_t kMostPlaceBytes = 500;

  /// "place: sentence", or the sentence alone when there is no place: one line of valid UTF-8 of
  /// bounded length, whatever the input put into it (sim/base/printable.hpp).
  [[nodiscard]] std::string text() const;
};

/// A value, or the Error that explains why there is none. Bad input travels as a Result;
/// our own mistakes stop in `ensure`; a mismatch is neither, it is a verdict.
template <class T>
using Result = tl::expected<T, Error>;

/// Makes the failed side of a Result: `return fail("tp_size 0: expected at least 1")`.
[[nodiscard]] inline tl::unexpected<Error> fail(std::string sentence, std::string place = {}) {
  return tl::unexpected<Error>(Error{std::move(sentence), std::move(place)});
}

/// Hands an Error on from one Result type to another.
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

/// The Error of the first result that has one.
template <class... T>
[[nodiscard]] std::optional<Error> first_error(const Result<T>&... results) {
  std::optional<Error> first;
  const auto look = [&](const auto& result) {
    if (!first && !result) {
      first = result.error();
    }
  };
  (look(results), ...);
  return first;
}

}  // namespace tplora
