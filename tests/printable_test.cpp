#include "sim/base/printable.hpp"

#include "sim/base/result.hpp"
#include "tests/catch.hpp"

using namespace tplora;
using namespace tplora::core;

TEST_CASE("printable text is kept as it is", "[base]") {
  CHECK(printable("K = n*D*T, found 3", 80) == "K = n*D*T, found 3");
  CHECK(printable("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", 80) ==
        "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
  CHECK(printable("", 80).empty());
}

TEST_CASE("what would break a line or is not UTF-8 is escaped", "[base]") {
  CHECK(printable(std::string_view("a\n\x1b[2J\0\x7f", 8), 80) == "a\\x0a\\x1b[2J\\x00\\x7f");
  CHECK(printable("\xC2\x85 \xE2\x80\xA8", 80) == "\\xc2\\x85 \\xe2\\x80\\xa8");
  CHECK(printable("\xFF\xC0\xAF\xED\xA0\x80\xF4\x90\x80\x80\xE2\x82", 80) ==
        "\\xff\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xe2\\x82");
}

TEST_CASE("a long text keeps its start and its end, whole characters and the limit", "[base]") {
  const std::string cut = printable("found " + std::string(1000, 'x') + ", expected 3", 60);
  CHECK(cut.starts_with("found xxx"));
  CHECK(cut.ends_with("xxx, expected 3"));
  for (std::size_t most = 16; most < 40; ++most) {
    for (const char* one : {"x", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\n", "\xFF"}) {
      std::string text;
      for (int i = 0; i < 30; ++i) {
        text += one;
        const std::string line = printable(text, most);
        CHECK(line.size() <= most);
        CHECK(printable(line, most) == line);
        CHECK((one[0] == '\xFF' || one[0] == '\n' || line.find("\\x") == std::string::npos));
      }
    }
  }
}

TEST_CASE("an error is one bounded line, whatever its sentence and place hold", "[base]") {
  const Error error{"found\n" + std::string(1 << 20, 'x'),
                    "a\nb.json#/" + std::string(1 << 20, 'y')};
  CHECK(error.text().size() <= 1900);
  CHECK(error.text().find('\n') == std::string::npos);
  CHECK(error.text().starts_with("a\\x0ab.json#/yyy"));
}
