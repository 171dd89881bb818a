#include "sim/base/json.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <system_error>
#include <utility>

#include "sim/base/ensure.hpp"
#include "sim/base/printable.hpp"
#include "sim/base/read_log.hpp"

namespace tplora::core {
namespace {

static_assert(kMaxJsonBytes == 16LL * 1024 * 1024, "as kTooLarge says");
constexpr const char* kTooLarge = "the file is larger than 16 MiB, expected a configuration file";

/// What a key means that stands twice in one object.
enum class Repeated { refused, last_counts };

/// Builds the document while watching what nlohmann's own reader lets pass: duplicate keys, deep
/// nesting, endless lists. A refusal ends the parse at once. Its own builder, because the library's
/// searches the whole object for every key that comes: a million keys would take hours.
class StrictSax {
 public:
  StrictSax(Json& document, Repeated repeated) : document_(document), repeated_(repeated) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(std::int64_t value) { return put(value); }
  bool number_unsigned(std::uint64_t value) { return put(value); }
  bool number_float(double value, const std::string&) { return put(value); }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(Json::binary_t&) { return refuse("found binary data, expected JSON text"); }

  bool start_object(std::size_t) {
    keys_.emplace_back();
    return open(Json::object());
  }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() {
    keys_.pop_back();
    return close();
  }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    const auto [known, is_new] = keys_.back().emplace(name, keys_.back().size());
    repeats_ = is_new ? std::nullopt : std::optional(known->second);
    if (repeats_ && repeated_ == Repeated::refused) {
      return refuse("the key \"" + excerpt(name) + "\" stands twice in one object, expected once");
    }
    key_ = std::move(name);
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t, const std::string&, const Exception& error) {
    syntax_ = error.what();
    return false;
  }

  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  [[nodiscard]] const std::string& syntax() const { return syntax_; }

 private:
  /// Where the next value goes: the root, behind an array's last, or under the key just read.
  Json* place_for(Json value) {
    if (open_.empty()) {
      document_ = std::move(value);
      return &document_;
    }
    if (open_.back()->is_array()) {
      auto& array = open_.back()->get_ref<Json::array_t&>();
      return &array.emplace_back(std::move(value));
    }
    // Not ordered_map's own emplace: that is the search.
    std::vector<std::pair<const std::string, Json>>& members =
        open_.back()->get_ref<Json::object_t&>();
    if (const auto place = std::exchange(repeats_, std::nullopt)) {
      members[*place].second = std::move(value);
      return &members[*place].second;
    }
    return &members.emplace_back(std::move(key_), std::move(value)).second;
  }
  bool put(Json value) {
    if (++values_ > kMaxJsonValues) {
      return refuse("found more than " + std::to_string(kMaxJsonValues) +
                    " values, expected a configuration file");
    }
    place_for(std::move(value));
    return true;
  }
  bool open(Json container) {
    if (static_cast<int>(open_.size()) >= kMaxJsonDepth) {
      return refuse("found nesting deeper than " + std::to_string(kMaxJsonDepth) +
                    " levels, expected a configuration file");
    }
    if (++values_ > kMaxJsonValues) {
      return put(nullptr);
    }
    open_.push_back(place_for(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  bool refuse(std::string sentence) {
    refusal_ = std::move(sentence);
    return false;
  }

  Json& document_;
  std::vector<Json*> open_;  ///< the containers being filled, outermost first
  std::vector<std::map<std::string, std::size_t>> keys_;  ///< places in their objects
  Repeated repeated_;
  std::optional<std::size_t> repeats_;  ///< place of the key read last, where it stood before
  std::string key_;
  std::int64_t values_ = 0;
  std::string refusal_;
  std::string syntax_;
};

/// The library's message without its prefix "[json.exception...] parse error at ...: ".
std::string plain_message(const std::string& what) {
  const auto bracket = what.find("] ");
  return printable(bracket == std::string::npos ? what : what.substr(bracket + 2), 300);
}

/// What the library would pass, or refuse with a message that misleads.
std::optional<std::string> why_not_text(std::string_view text) {
  for (const auto& [mark, name] :
       {std::pair<std::string_view, std::string_view>{"\xEF\xBB\xBF", "UTF-8"},
        {"\xFF\xFE", "UTF-16 or UTF-32"},
        {"\xFE\xFF", "UTF-16"}}) {
    if (text.starts_with(mark)) {
      return "found a byte order mark of " + std::string(name) + ", expected UTF-8 without one";
    }
  }
  // The library takes a NUL for the end of the text, and would not see what follows.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    return "not valid JSON: found a NUL byte at byte " + std::to_string(nul + 1) +
           ", expected UTF-8 text";
  }
  return std::nullopt;
}

}  // namespace

Result<std::string> read_text_file(const std::filesystem::path& file) {
  std::error_code code;
  const auto status = std::filesystem::status(file, code);
  if (status.type() == std::filesystem::file_type::not_found) {
    return fail("no such file", file.string());
  }
  if (status.type() == std::filesystem::file_type::none) {
    return fail("the file cannot be read: " + code.message(), file.string());
  }
  if (std::filesystem::is_directory(status)) {
    return fail("found a directory, expected a file", file.string());
  }
  if (!std::filesystem::is_regular_file(status)) {
    // A pipe or a terminal could keep the program waiting for ever.
    return fail("found a device, pipe or socket, expected a file", file.string());
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return fail("the file cannot be opened for reading", file.string());
  }
  std::string text;
  std::vector<char> chunk(1 << 16);
  while (stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) ||
         stream.gcount() > 0) {
    text.append(chunk.data(), static_cast<std::size_t>(stream.gcount()));
    if (static_cast<std::int64_t>(text.size()) > kMaxJsonBytes) {
      return fail(kTooLarge, file.string());
    }
  }
  note_read(file, text);
  return text;
}

namespace {

Result<Json> parse(std::string_view text, const std::string& file, Repeated repeated) {
  if (static_cast<std::int64_t>(text.size()) > kMaxJsonBytes) {
    return fail(kTooLarge, file);
  }
  if (auto why = why_not_text(text)) {
    return fail(*std::move(why), file);
  }
  Json root;
  StrictSax sax(root, repeated);
  try {
    if (Json::sax_parse(text.begin(), text.end(), &sax)) {
      return root;
    }
  } catch (const Json::exception& error) {
    return fail("not valid JSON: " + plain_message(error.what()), file);
  }
  if (!sax.refusal().empty()) {
    return fail(sax.refusal(), file);
  }
  return fail("not valid JSON: " + plain_message(sax.syntax()), file);
}

}  // namespace

Result<std::vector<std::filesystem::path>> json_files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code code;
  if (!std::filesystem::is_directory(folder, code)) {
    return fail("no such folder", folder.string());
  }
  std::filesystem::directory_iterator entry(folder, code);
  for (const std::filesystem::directory_iterator end; !code && entry != end;
       entry.increment(code)) {
    const std::filesystem::path& path = entry->path();
    if (path.extension() != ".json") {
      continue;
    }
    std::error_code broken;
    if (!std::filesystem::is_regular_file(path, broken)) {
      return fail(broken ? "a link that leads nowhere, expected a file"
                         : "found no regular file, expected one",
                  path.string());
    }
    files.push_back(path);
  }
  if (code) {
    return fail("the folder cannot be read: " + code.message(), folder.string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Result<Json> parse_json(std::string_view text, const std::string& file) {
  return parse(text, file, Repeated::refused);
}

Result<Json> read_json_file(const std::filesystem::path& file) {
  return read_text_file(file).and_then(
      [&](const std::string& text) { return parse_json(text, file.string()); });
}

namespace {

/// Behind a string that begins at `at`, or the end of the text.
std::size_t behind_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    at += text[at] == '\\' ? std::size_t{1} : 0;
  }
  return std::min(at + 1, text.size());
}

/// Hexadecimal digits of an escape \uXXXX at `at`; nothing: there is none.
std::optional<unsigned> unicode_escape(std::string_view text, std::size_t at) {
  unsigned code = 0;
  const std::string_view digits = text.substr(std::min(at + 2, text.size()), 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  const bool whole = error == std::errc{} && end == digits.data() + 4;
  return text.substr(at).starts_with("\\u") && whole ? std::optional(code) : std::nullopt;
}

/// A string with U+FFFD for each half of a surrogate pair without the other.
std::string whole_surrogates(std::string_view text) {
  const auto high = [](std::optional<unsigned> code) { return code && *code >> 10U == 0x36; };
  const auto low = [](std::optional<unsigned> code) { return code && *code >> 10U == 0x37; };
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const auto code = unicode_escape(text, at);
    const bool pair = high(code) && low(unicode_escape(text, at + 6));
    if (!pair && (high(code) || low(code))) {
      result += "\\ufffd";
      at += 6;
      continue;
    }
    const std::size_t size = pair ? 12 : text[at] == '\\' ? 2 : 1;
    result += text.substr(at, size);
    at += size;
  }
  return result;
}

/// Whether a word is a number that Python reads as infinite. What is no number of JSON (+1, 01, 1.,
/// 0x1) is none of Python's.
bool overflows(std::string_view word) {
  const std::string_view number = word.substr(word.starts_with('-') ? 1 : 0);
  const auto digit_at = [&](std::size_t at) {
    return at < number.size() && std::isdigit(static_cast<unsigned char>(number[at])) != 0;
  };
  const std::size_t point = number.find('.');
  if (!digit_at(0) || (number.front() == '0' && digit_at(1)) ||
      (point != std::string_view::npos && !digit_at(point + 1)) ||
      number.find_first_not_of("0123456789.eE+-") != std::string_view::npos) {
    return false;
  }
  const std::string text(word);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return end == text.c_str() + text.size() && std::isinf(value);
}

/// What Python's json module reads and JSON does not have, as JSON: names of numbers, numbers that
/// are infinite, halves of surrogate pairs.
std::string as_strict_json(std::string_view text) {
  const auto in_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '+' ||
           c == '.';
  };
  std::string strict;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      const std::size_t end = behind_string(text, at);
      strict += whole_surrogates(text.substr(at, end - at));
      at = end;
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && in_word(text[end])) {
      ++end;
    }
    const std::string_view word = text.substr(at, std::max(end, at + 1) - at);
    const bool quoted =
        word == "Infinity" || word == "-Infinity" || word == "NaN" || overflows(word);
    strict += quoted ? '"' + std::string(word) + '"' : std::string(word);
    at += word.size();
  }
  return strict;
}

}  // namespace

Result<Json> read_python_json_file(const std::filesystem::path& file) {
  return read_text_file(file).and_then([&](const std::string& text) {
    return parse(as_strict_json(text), file.string(), Repeated::last_counts);
  });
}

}  // namespace tplora::core
