#include "sim/base/json_position.hpp"

#include <algorithm>

#include "sim/base/json.hpp"

namespace tplora::core {
namespace {

/// Walks a text; `at_` stands on the next character. False, and nothing after it matters, where the
/// text is no JSON.
class Walk {
 public:
  explicit Walk(std::string_view text) : text_(text) {}

  [[nodiscard]] std::size_t at() const { return at_; }

  /// To the value of a key of the object, or an entry of the list, that stands here.
  bool enter(std::string_view step) {
    skip_blanks();
    const char opens = next();
    if (opens != '{' && opens != '[') {
      return false;
    }
    for (std::size_t i = 0;; ++i) {
      skip_blanks();
      std::string name = std::to_string(i);
      if (opens == '{' && (!read_key(name) || !take(':'))) {
        return false;
      }
      skip_blanks();
      if (pointer_step(name).substr(1) == step) {
        return at_ < text_.size() && text_[at_] != ']';
      }
      if (!skip_value(0) || !take(',')) {
        return false;
      }
    }
  }

 private:
  [[nodiscard]] char next() { return at_ < text_.size() ? text_[at_++] : '\0'; }

  void skip_blanks() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool take(char wanted) {
    skip_blanks();
    return next() == wanted;
  }

  /// A string, with its quotes.
  std::string_view string() {
    const std::size_t begin = at_;
    if (next() != '"') {
      return {};
    }
    while (at_ < text_.size() && text_[at_] != '"') {
      at_ += text_[at_] == '\\' ? std::size_t{2} : std::size_t{1};
    }
    return next() == '"' ? text_.substr(begin, at_ - begin) : std::string_view();
  }

  bool read_key(std::string& key) {
    const auto json = parse_json(string(), "");
    if (!json || !json->is_string()) {
      return false;
    }
    key = json->get<std::string>();
    return true;
  }

  bool skip_value(int depth) {
    skip_blanks();
    const char first = at_ < text_.size() ? text_[at_] : '\0';
    if (first == '"') {
      return !string().empty();
    }
    if (first != '{' && first != '[') {
      at_ = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
      return first != '\0';
    }
    const char closes = first == '{' ? '}' : ']';
    for (++at_; depth < kMaxJsonDepth;) {
      skip_blanks();
      if (at_ < text_.size() && text_[at_] == closes) {
        ++at_;
        return true;
      }
      if ((first == '{' && (string().empty() || !take(':'))) || !skip_value(depth + 1)) {
        return false;
      }
      skip_blanks();
      if (at_ < text_.size() && text_[at_] == ',') {
        ++at_;
      }
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<TextPosition> position_of(std::string_view text, const std::string& pointer) {
  Walk walk(text);
  for (std::size_t begin = 0; begin < pointer.size();) {
    const std::size_t end = std::min(pointer.find('/', begin + 1), pointer.size());
    if (!walk.enter(std::string_view(pointer).substr(begin + 1, end - begin - 1))) {
      return std::nullopt;
    }
    begin = end;
  }
  TextPosition position;
  for (const char c : text.substr(0, walk.at())) {
    position.line += c == '\n' ? 1 : 0;
    const bool inside = (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;  // of a UTF-8 character
    position.column = c == '\n' ? 1 : position.column + (inside ? 0 : 1);
  }
  return position;
}

}  // namespace tplora::core
