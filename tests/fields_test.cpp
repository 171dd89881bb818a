#include "sim/base/fields.hpp"

#include "tests/catch.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

enum class Colour { red, green };
constexpr std::array<Word<Colour>, 2> kColours = {{{"red", Colour::red}, {"green", Colour::green}}};

Json parsed(std::string_view text) {
  auto json = parse_json(text, "f.json");
  REQUIRE(json);
  return *json;
}

/// What is refused when `read` reads `text`; empty where nothing is.
template <class Read>
std::string refused(std::string_view text, const Read& read) {
  const Json json = parsed(text);
  FirstError errors;
  read(
      Fields(JsonView(json, "f.json"), errors, {"format", "name", "size", "list", "on", "colour"}));
  const auto result = errors.result();
  CHECK(errors.none() == result.has_value());
  return result ? "" : result.error().text();
}

}  // namespace

TEST_CASE("fields are read by name, and optional ones are empty where they are absent", "[base]") {
  const Json json = parsed(
      R"({"format": "f/1", "name": "n", "size": 3, "list": ["a", "b"], "on": true, "colour": "green"})");
  FirstError errors;
  const Fields fields(JsonView(json, "f.json"), errors,
                      {"format", "name", "size", "list", "on", "colour", "absent"});
  fields.format("f/1");
  CHECK(fields.text("name") == "n");
  CHECK(fields.positive_integer("size") == 3);
  CHECK(fields.texts("list") == std::vector<std::string>{"a", "b"});
  CHECK(fields.entries("list").size() == 2);
  CHECK(fields.flag("on"));
  CHECK(fields.word("colour", kColours) == Colour::green);
  CHECK(fields.text("absent", Need::optional).empty());
  CHECK_FALSE(fields.flag("absent", Need::optional));
  CHECK(fields.texts("absent", Need::optional).empty());
  CHECK(fields.positive_integers("absent", Need::optional).empty());
  CHECK(fields.members("absent", Need::optional).empty());
  CHECK(fields.word("absent", kColours, Colour::red) == Colour::red);
  CHECK_FALSE(fields.find("absent", Need::optional));
  CHECK(errors.none());
  CHECK(errors.result(1) == 1);
}

TEST_CASE("a refused field is told with file, field, what was found and what was expected",
          "[base]") {
  const auto name = [](const Fields& fields) { (void)fields.text("name"); };
  CHECK(refused(R"({"name": 1})", name) == "f.json#/name: found 1, expected a string");
  CHECK(refused(R"({})", name) == "f.json: the key \"name\" is missing");
  CHECK(refused(R"([])", name) == "f.json: found [], expected an object");
  CHECK(refused(R"({"nam": 1})", name) ==
        "f.json#/nam: unknown key \"nam\", expected one of: format, name, size, list, on, colour");
  CHECK(refused(R"({"size": 0})", [](const Fields& fields) {
          (void)fields.positive_integer("size");
        }) == "f.json#/size: found 0, expected a positive integer");
  CHECK(refused(R"({"list": [1, "a"]})", [](const Fields& fields) {
          (void)fields.positive_integers("list");
        }) == "f.json#/list/1: found \"a\", expected a positive integer");
  CHECK(refused(R"({"list": {}})", [](const Fields& fields) { (void)fields.entries("list"); }) ==
        "f.json#/list: found {}, expected a list");
  CHECK(refused(R"({"list": []})", [](const Fields& fields) { (void)fields.members("list"); }) ==
        "f.json#/list: found [], expected an object");
  CHECK(refused(R"({"colour": "blue"})", [](const Fields& fields) {
          (void)fields.word("colour", kColours);
        }) == R"(f.json#/colour: found "blue", expected one of "red", "green")");
  CHECK(refused(R"({"format": "f/2"})", [](const Fields& fields) { fields.format("f/1"); }) ==
        R"(f.json#/format: found "f/2", expected "f/1")");
}

TEST_CASE("the first refusal of a file is the one that is told", "[base]") {
  CHECK(refused(R"({"name": 1, "size": "x"})", [](const Fields& fields) {
          (void)fields.positive_integer("size");
          (void)fields.text("name");
          (void)fields.flag("on");
        }) == R"(f.json#/size: found "x", expected a positive integer)");
}
