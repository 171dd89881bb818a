// As much JSON as manifest.json needs: the example is to build with nvcc and nothing else.
#pragma once

#include <cctype>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace json {

struct Value {
  double number = 0;
  std::string text;
  std::vector<Value> items;             // of an array
  std::map<std::string, Value> fields;  // of an object

  const Value& operator[](const std::string& name) const {
    const auto found = fields.find(name);
    if (found == fields.end())
      throw std::runtime_error("manifest.json has no field \"" + name + "\" where one is needed");
    return found->second;
  }
  int integer() const { return static_cast<int>(number); }
};

/// Reads one value; `escapes` other than a backslash before a character that stands for itself are
/// not needed here.
class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}

  Value read() {
    switch (peek()) {
      case '{': return object();
      case '[': return array();
      case '"': return string();
      default: return word();
    }
  }

 private:
  char peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    if (at_ == text_.size()) throw std::runtime_error("manifest.json ends too early");
    return text_[at_];
  }

  bool take(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }

  void expect(char wanted) {
    if (!take(wanted))
      throw std::runtime_error("manifest.json: '" + std::string(1, wanted) + "' expected at byte " +
                               std::to_string(at_));
  }

  Value string() {
    Value value;
    expect('"');
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') ++at_;
      if (at_ < text_.size()) value.text += text_[at_++];
    }
    expect('"');
    return value;
  }

  Value array() {
    Value value;
    expect('[');
    while (!take(']')) {
      value.items.push_back(read());
      if (peek() != ']') expect(',');
    }
    return value;
  }

  Value object() {
    Value value;
    expect('{');
    while (!take('}')) {
      if (peek() != '"')
        throw std::runtime_error("manifest.json: a field's name expected at byte " +
                                 std::to_string(at_));
      std::string name = string().text;
      expect(':');
      value.fields.emplace(std::move(name), read());
      if (peek() != '}') expect(',');
    }
    return value;
  }

  // A number, or true, false, null as text.
  Value word() {
    Value value;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                                  text_[at_] == '-' || text_[at_] == '+' || text_[at_] == '.'))
      value.text += text_[at_++];
    if (value.text.empty())
      throw std::runtime_error("manifest.json: a value expected at byte " + std::to_string(at_));
    value.number = std::strtod(value.text.c_str(), nullptr);
    return value;
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

}  // namespace json
