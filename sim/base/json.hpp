// Strict JSON: what a file says, with the place of every value for error messages.
//
// Include this only in the .cpp files that read or write JSON; nlohmann_json stays behind it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/place.hpp"
#include "sim/base/result.hpp"

namespace tplora::core {

/// Keeps the order of keys as written (contracts define names in order).
using Json = nlohmann::ordered_json;

/// Limits on what is read: a config is a few hundred KiB at most.
inline constexpr std::int64_t kMaxJsonBytes = 16LL * 1024 * 1024;
inline constexpr std::int64_t kMaxJsonValues = std::int64_t{1} << 20;
inline constexpr int kMaxJsonDepth = 64;

/// The whole file as text. Refused: a missing file, a file above kMaxJsonBytes, and what is no
/// file: a directory, a device, a pipe, a link that leads nowhere.
[[nodiscard]] Result<std::string> read_text_file(const std::filesystem::path& file);

/// The *.json files of a folder, by name. Refused, so that nothing is left out in silence: a folder
/// that is not there or cannot be read, and such an entry that is no file.
[[nodiscard]] Result<std::vector<std::filesystem::path>> json_files_in(
    const std::filesystem::path& folder);

/// Parses JSON text strictly. Refused: syntax errors (with line and column), duplicate keys,
/// invalid UTF-8, byte order marks and NUL bytes, nesting above kMaxJsonDepth, more than
/// kMaxJsonValues values, numbers outside double's range, text above kMaxJsonBytes. `file` is only
/// used in the messages.
[[nodiscard]] Result<Json> parse_json(std::string_view text, const std::string& file);

/// read_text_file, then parse_json.
[[nodiscard]] Result<Json> read_json_file(const std::filesystem::path& file);

/// As read_json_file, for what Python's json module reads: of a key that stands twice the last
/// counts; half a surrogate pair is U+FFFD; and NaN, Infinity, -Infinity and numbers outside
/// double's range, which JSON cannot say, become strings of these words, so that a file in which
/// nobody looks at them can be read, and whoever wants a number there finds none.
[[nodiscard]] Result<Json> read_python_json_file(const std::filesystem::path& file);

/// One value inside a JSON document together with its place (file and JSON pointer). Cheap to
/// copy; the document must outlive it.
class JsonView {
 public:
  JsonView(const Json& value, std::string file, std::string pointer = {})
      : value_(&value), file_(std::move(file)), pointer_(std::move(pointer)) {}

  [[nodiscard]] const Json& json() const { return *value_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const std::string& pointer() const { return pointer_; }
  [[nodiscard]] Place place() const { return {file_, pointer_}; }

  /// The member called `key`; nothing when absent, or when this is no object.
  [[nodiscard]] std::optional<JsonView> find(std::string_view key) const;
  /// As find, but a JSON null counts as absent too.
  [[nodiscard]] std::optional<JsonView> find_not_null(std::string_view key) const;
  /// The member called `key`, or an Error that names it.
  [[nodiscard]] Result<JsonView> at(std::string_view key) const;
  /// Element i of an array. Precondition: in range.
  [[nodiscard]] JsonView element(std::size_t i) const;

  [[nodiscard]] Result<std::string> string() const;
  [[nodiscard]] Result<bool> boolean() const;
  /// An integer that fits 64 bits. Refused: anything else, 1.0 and 1e3 included.
  [[nodiscard]] Result<std::int64_t> integer() const;
  /// An integer of at least 1.
  [[nodiscard]] Result<std::int64_t> positive_integer() const;
  /// The members, in the order written. Refused: not an object.
  [[nodiscard]] Result<std::vector<std::pair<std::string, JsonView>>> members() const;
  /// The elements. Refused: not an array.
  [[nodiscard]] Result<std::vector<JsonView>> elements() const;
  [[nodiscard]] Result<std::vector<std::string>> strings() const;

  /// Refuses a non-object, and any key not listed, naming the ones that are known.
  [[nodiscard]] Result<void> only_keys(std::initializer_list<std::string_view> known) const;

  /// An Error at this place: "found <this value>, expected <what>".
  [[nodiscard]] tl::unexpected<Error> expected(std::string_view what) const;
  /// An Error at this place with a sentence of its own.
  [[nodiscard]] tl::unexpected<Error> error(std::string sentence) const;

 private:
  const Json* value_;
  std::string file_;
  std::string pointer_;
};

/// A key as one step of a JSON pointer: "/" + key with ~ and / escaped.
[[nodiscard]] std::string pointer_step(std::string_view key);

}  // namespace tplora::core
