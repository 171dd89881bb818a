#include "sim/base/json.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <limits>
#include <set>
#include <system_error>

#include "sim/base/ensure.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

static_assert(kMaxJsonBytes == 16LL * 1024 * 1024, "as kTooLarge says");
constexpr const char* kTooLarge = "the file is larger than 16 MiB, expected a configuration file";

/// Builds the document while watching what nlohmann's own reader lets pass: duplicate keys, deep
/// nesting, endless lists. A refusal ends the parse at once. Its own builder, because the library's
/// searches the whole object for every key that comes: a million keys would take hours.
class StrictSax {
 public:
  explicit StrictSax(Json& document) : document_(document) {}

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
    if (!keys_.back().insert(name).second) {
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
  std::vector<std::set<std::string>> keys_;
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

/// A value as a message shows it. Only the start of a long list is told.
std::string shortened(const Json& value) {
  if (value.is_structured() && value.size() > 100) {
    return std::string(value.is_array() ? "a list of " : "an object of ") +
           std::to_string(value.size()) + (value.is_array() ? " values" : " members");
  }
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return printable(text.size() <= 60 ? text : text.substr(0, 57) + "...", 240);
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
  return text;
}

Result<Json> parse_json(std::string_view text, const std::string& file) {
  if (static_cast<std::int64_t>(text.size()) > kMaxJsonBytes) {
    return fail(kTooLarge, file);
  }
  if (auto why = why_not_text(text)) {
    return fail(*std::move(why), file);
  }
  Json root;
  StrictSax sax(root);
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

/// Puts quotes around Python's names for numbers, where they stand for a whole value.
std::string quote_number_names(std::string_view text) {
  constexpr std::array<std::string_view, 3> kNames = {"-Infinity", "Infinity", "NaN"};
  const auto part_of_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
  };
  std::string quoted;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      const std::size_t end = behind_string(text, at);
      quoted += text.substr(at, end - at);
      at = end;
      continue;
    }
    const auto* name = std::find_if(kNames.begin(), kNames.end(), [&](std::string_view one) {
      return text.substr(at).starts_with(one);
    });
    const std::size_t end = name == kNames.end() ? at : at + name->size();
    const bool whole = (at == 0 || !part_of_word(text[at - 1])) &&
                       (end == text.size() || !part_of_word(text[end]));
    if (name != kNames.end() && whole) {
      quoted += '"' + std::string(*name) + '"';
      at = end;
    } else {
      quoted += text[at++];
    }
  }
  return quoted;
}

}  // namespace

Result<Json> read_python_json_file(const std::filesystem::path& file) {
  return read_text_file(file).and_then([&](const std::string& text) {
    const bool named =
        text.find("Infinity") != std::string::npos || text.find("NaN") != std::string::npos;
    return parse_json(named ? quote_number_names(text) : text, file.string());
  });
}

std::string pointer_step(std::string_view key) {
  std::string step = "/";
  for (const char c : key) {
    step += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return step;
}

std::string JsonView::place() const {
  return pointer_.empty() ? file_ : file_ + "#" + pointer_;
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  if (!value_->is_object()) {
    return std::nullopt;
  }
  const auto found = value_->find(std::string(key));
  if (found == value_->end()) {
    return std::nullopt;
  }
  return JsonView(*found, file_, pointer_ + pointer_step(key));
}

std::optional<JsonView> JsonView::find_not_null(std::string_view key) const {
  auto found = find(key);
  return found && !found->json().is_null() ? found : std::nullopt;
}

Result<JsonView> JsonView::at(std::string_view key) const {
  if (!value_->is_object()) {
    return expected("an object");
  }
  if (auto found = find(key)) {
    return *found;
  }
  return error("the key \"" + std::string(key) + "\" is missing");
}

JsonView JsonView::element(std::size_t i) const {
  ensure(value_->is_array() && i < value_->size(), "an element of a list is asked for");
  return {(*value_)[i], file_, pointer_ + "/" + std::to_string(i)};
}

Result<std::string> JsonView::string() const {
  if (!value_->is_string()) {
    return expected("a string");
  }
  return value_->get<std::string>();
}

Result<bool> JsonView::boolean() const {
  if (!value_->is_boolean()) {
    return expected("true or false");
  }
  return value_->get<bool>();
}

Result<std::int64_t> JsonView::integer() const {
  const bool too_large = value_->is_number_unsigned() &&
                         value_->get<std::uint64_t>() >
                             static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!value_->is_number_integer() || too_large) {
    return expected("an integer of 64 bits");
  }
  return value_->get<std::int64_t>();
}

Result<std::int64_t> JsonView::positive_integer() const {
  auto value = integer();
  if (!value || *value < 1) {
    return expected("a positive integer");
  }
  return value;
}

Result<std::vector<std::pair<std::string, JsonView>>> JsonView::members() const {
  if (!value_->is_object()) {
    return expected("an object");
  }
  std::vector<std::pair<std::string, JsonView>> list;
  for (const auto& [key, value] : value_->items()) {
    list.emplace_back(key, JsonView(value, file_, pointer_ + pointer_step(key)));
  }
  return list;
}

Result<std::vector<JsonView>> JsonView::elements() const {
  if (!value_->is_array()) {
    return expected("a list");
  }
  std::vector<JsonView> list;
  for (std::size_t i = 0; i < value_->size(); ++i) {
    list.push_back(element(i));
  }
  return list;
}

Result<std::vector<std::string>> JsonView::strings() const {
  auto list = elements();
  if (!list) {
    return fail(list.error());
  }
  std::vector<std::string> texts;
  for (const auto& item : *list) {
    auto text = item.string();
    if (!text) {
      return fail(text.error());
    }
    texts.push_back(*text);
  }
  return texts;
}

Result<void> JsonView::only_keys(std::initializer_list<std::string_view> known) const {
  if (!value_->is_object()) {
    return expected("an object");
  }
  for (const auto& [key, value] : value_->items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      std::string list;
      for (const auto name : known) {
        list += (list.empty() ? "" : ", ") + std::string(name);
      }
      return fail("unknown key \"" + excerpt(key) + "\", expected one of: " + list,
                  JsonView(value, file_, pointer_ + pointer_step(key)).place());
    }
  }
  return {};
}

tl::unexpected<Error> JsonView::expected(std::string_view what) const {
  return error("found " + shortened(*value_) + ", expected " + std::string(what));
}

tl::unexpected<Error> JsonView::error(std::string sentence) const {
  return fail(std::move(sentence), place());
}

}  // namespace tplora::core
