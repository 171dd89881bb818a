#include "sim/base/json.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <system_error>

namespace tplora {
namespace {

/// Builds the document while watching what nlohmann's own reader lets pass: duplicate keys and
/// deep nesting. A refusal ends the parse at once, so memory stays bounded by the text.
class StrictSax : public nlohmann::detail::json_sax_dom_parser<Json> {
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;

 public:
  explicit StrictSax(Json& document) : Base(document, false) {}

  bool start_object(std::size_t count) {
    keys_.emplace_back();
    return deeper() && Base::start_object(count);
  }
  bool end_object() {
    keys_.pop_back();
    --depth_;
    return Base::end_object();
  }
  bool start_array(std::size_t count) { return deeper() && Base::start_array(count); }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) {
      return refuse("the key \"" + name + "\" stands twice in one object, expected once");
    }
    return Base::key(name);
  }
  template <class Exception>
  bool parse_error(std::size_t position, const std::string& token, const Exception& error) {
    syntax_ = error.what();
    return Base::parse_error(position, token, error);
  }

  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  [[nodiscard]] const std::string& syntax() const { return syntax_; }

 private:
  bool deeper() {
    return ++depth_ <= kMaxJsonDepth ||
           refuse("nesting deeper than " + std::to_string(kMaxJsonDepth) + " levels");
  }
  bool refuse(std::string sentence) {
    refusal_ = std::move(sentence);
    return false;
  }

  std::vector<std::set<std::string>> keys_;
  int depth_ = 0;
  std::string refusal_;
  std::string syntax_;
};

/// The library's message without its prefix "[json.exception...] parse error at ...: ".
std::string plain_message(const std::string& what) {
  const auto bracket = what.find("] ");
  std::string text = bracket == std::string::npos ? what : what.substr(bracket + 2);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.substr(0, 300);
}

std::string shortened(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

}  // namespace

Result<std::string> read_text_file(const std::filesystem::path& file) {
  std::error_code code;
  const auto status = std::filesystem::status(file, code);
  if (!std::filesystem::exists(status)) {
    return fail("no such file", file.string());
  }
  if (std::filesystem::is_directory(status)) {
    return fail("found a directory, expected a file", file.string());
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
      return fail("the file is larger than 64 MiB, expected a configuration file", file.string());
    }
  }
  return text;
}

Result<Json> parse_json(std::string_view text, const std::string& file) {
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

std::string pointer_step(std::string_view key) {
  std::string step = "/";
  for (const char c : key) {
    step += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return step;
}

std::string JsonView::place() const { return pointer_.empty() ? file_ : file_ + "#" + pointer_; }

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
  const bool too_large =
      value_->is_number_unsigned() &&
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
      return fail("unknown key \"" + key + "\", expected one of: " + list,
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

}  // namespace tplora
