// Lines and columns of values in a JSON text.
#include "sim/base/json_position.hpp"

#include <fstream>
#include <sstream>

#include "sim/base/json.hpp"
#include "tests/support.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

/// What stands at a position.
std::string_view text_at(std::string_view text, TextPosition position) {
  for (; position.line > 1; --position.line) {
    text.remove_prefix(text.find('\n') + 1);
  }
  for (; position.column > 1; --position.column) {
    do {
      text.remove_prefix(1);
    } while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xC0U) == 0x80U);
  }
  return text;
}

/// Whether each value below `json` is found where it stands.
void check_all(std::string_view text, const Json& json, const std::string& pointer,
               std::int64_t& found) {
  CAPTURE(pointer);
  const auto position = position_of(text, pointer);
  REQUIRE(position);
  const std::string_view at = text_at(text, *position);
  if (json.is_structured()) {
    CHECK(at.front() == (json.is_object() ? '{' : '['));
  } else if (json.is_string()) {
    const auto value = json.get<std::string>();
    CHECK(at.front() == '"');
    const bool plain = value.find_first_of("\"\\") == std::string::npos;
    CHECK((!plain || at.substr(1, value.size()) == value));
  } else {
    CHECK(at.substr(0, json.dump().size()) == json.dump());
  }
  ++found;
  if (!json.is_structured()) {
    return;
  }
  std::size_t i = 0;
  for (const auto& [key, value] : json.items()) {
    check_all(text, value,
              pointer + (json.is_object() ? pointer_step(key) : "/" + std::to_string(i)), found);
    ++i;
  }
}

}  // namespace

TEST_CASE("each value of a file is found at its line and column", "[json]") {
  std::int64_t found = 0;
  for (const char* folder : {"engines", "bugs", "suites"}) {
    const auto files = json_files_in(test::configs().root / folder);
    REQUIRE(files);
    for (const auto& file : *files) {
      const auto text = read_text_file(file);
      REQUIRE(text);
      CAPTURE(file.string());
      check_all(*text, *parse_json(*text, file.string()), "", found);
    }
  }
  CHECK(found > 1000);
}

TEST_CASE("what a text does not have is found nowhere", "[json]") {
  const std::string text = "{\"a\": [1, {\"\\u00e4/~\": \"\xc3\xa4\"}, []],\n \"b\": {}}";
  CHECK(position_of(text, "") == TextPosition{1, 1});
  CHECK(position_of(text, "/a/1/\xc3\xa4~1~0") == TextPosition{1, 24});
  CHECK(position_of(text, "/b") == TextPosition{2, 7});
  for (const char* nowhere : {"/c", "/a/3", "/a/2/0", "/b/x", "/a/0/x", "/a/-1", "/"}) {
    CAPTURE(nowhere);
    CHECK_FALSE(position_of(text, nowhere));
  }
  for (const char* broken : {"", "[", "{\"b\"", "{\"b\" 1}", "{b: 1}", "{\"a\": \"", "nul"}) {
    CAPTURE(broken);
    CHECK_FALSE(position_of(broken, "/b"));
  }
}
