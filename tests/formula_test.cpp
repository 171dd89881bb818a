#include "sim/contract/formula.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <random>

#include "tests/catch.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

SymbolTable letters() {
  SymbolTable table;
  for (const char* name : {"a", "b", "c"}) {
    table.add(name);
  }
  return table;
}

constexpr std::array<std::int64_t, 3> kValues = {7, 3, -2};  // a, b, c

std::optional<std::int64_t> value(const std::string& text) {
  auto formula = Formula::parse(text, {"file.json", "/x"}, letters());
  REQUIRE(formula);
  return formula->evaluate(kValues);
}

std::string parse_error(const std::string& text) {
  auto formula = Formula::parse(text, {"file.json", "/x"}, letters());
  REQUIRE_FALSE(formula);
  return formula.error().text();
}

std::string run_error(const std::string& text) {
  auto formula = Formula::parse(text, {"file.json", "/x"}, letters());
  REQUIRE(formula);
  REQUIRE_FALSE(formula->evaluate(kValues));
  const Formula::Stop why = formula->explain(kValues);
  return Error{why.sentence, why.place.text()}.text();
}

}  // namespace

TEST_CASE("operators bind as documented", "[contract]") {
  CHECK(value("1 + 2*3") == 7);
  CHECK(value("(1 + 2)*3") == 9);
  CHECK(value("10 - 4 - 3") == 3);
  CHECK(value("a // b * b") == 6);
  CHECK(value("-a + 1") == -6);
  CHECK(value("not a == 7") == 0);
  CHECK(value("a > 5 and b > 5 or 1") == 1);
  CHECK(value("a > 5 and (b > 5 or 0)") == 0);
  CHECK(value("a > 5 ? b > 5 ? 1 : 2 : 3") == 2);
  CHECK(value("min(a, b, c) + max(a, b)") == 5);
  CHECK(value("ceil_div(a, b)") == 3);
}

TEST_CASE("division rounds towards minus infinity and the exact one takes no remainder",
          "[contract]") {
  CHECK(value("c // b") == -1);
  CHECK(value("c % b") == 1);
  CHECK(value("a % c") == -1);
  CHECK(value("6 / b") == 2);
  CHECK(value("a / b") == std::nullopt);
  CHECK(run_error("1 + a / b") ==
        "file.json#/x: 3 does not divide 7 exactly at column 7 of \"1 + a / b\" with a=7, b=3");
  CHECK(run_error("a // (b - 3)").find("7 is divided by zero at column 3") != std::string::npos);
}

TEST_CASE("choices and logic evaluate only what they need", "[contract]") {
  CHECK(value("1 ? 2 : a / 0") == 2);
  CHECK(value("0 ? a / 0 : 5") == 5);
  CHECK(value("0 and a / 0") == 0);
  CHECK(value("3 or a / 0") == 1);
}

TEST_CASE("overflow is an error and never a wrap", "[contract]") {
  CHECK(value("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
  CHECK(value("-9223372036854775807 - 1") == std::numeric_limits<std::int64_t>::min());
  for (const char* text :
       {"9223372036854775807 + 1", "-9223372036854775807 - 2", "9223372036854775807 * 2",
        "-(-9223372036854775807 - 1)", "(-9223372036854775807 - 1) // -1",
        "(-9223372036854775807 - 1) / -1", "(-9223372036854775807 - 1) % -1"}) {
    CAPTURE(text);
    CHECK(run_error(text).find("does not fit 64 bits") != std::string::npos);
  }
}

TEST_CASE("a formula that does not parse names its column and what was expected", "[contract]") {
  CHECK(parse_error("a +") ==
        "file.json#/x: column 4: found the end, expected a number, a name or \"(\" in \"a +\"");
  CHECK(parse_error("a + d").find("column 5: unknown name \"d\", expected one of: a, b, c") !=
        std::string::npos);
  CHECK(parse_error("a $ b").find("column 3: unexpected character '$'") != std::string::npos);
  CHECK(parse_error("(a").find("found the end, expected \")\"") != std::string::npos);
  CHECK(parse_error("a b").find("column 3: unexpected \"b\"") != std::string::npos);
  CHECK(parse_error("9223372036854775808").find("not a decimal integer of 64 bits") !=
        std::string::npos);
  CHECK(parse_error("1 + 010").find("\"010\" is not a decimal integer") != std::string::npos);
  CHECK(parse_error("12x").find("not a decimal integer") != std::string::npos);
  CHECK(parse_error("ceil_div(a)").find("takes 2 arguments, found 1") != std::string::npos);
  CHECK(parse_error("a < b < c").find("unexpected \"<\"") != std::string::npos);
  CHECK(parse_error(std::string(100, '(') + "a").find("deeper than 64") != std::string::npos);
  CHECK(parse_error(std::string(5000, ' ')).find("longer than 4096") != std::string::npos);
}

namespace {

/// Random formulas over a, b and c: every operator, deep and shallow, with numbers near the limits.
class RandomFormula {
 public:
  explicit RandomFormula(std::uint32_t seed) : random_(seed) {}

  std::string text(int depth) {
    if (depth == 0 || pick(5) == 0) {
      const std::array<const char*, 9> leaves = {
          "a", "b", "c", "0", "1", "2", "3", "4294967296", "9223372036854775807"};
      return leaves[pick(leaves.size())];
    }
    const std::array<const char*, 14> binary = {
        "+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or"};
    switch (pick(6)) {
      case 0: return fmt::format("(-{})", text(depth - 1));
      case 1: return fmt::format("(not {})", text(depth - 1));
      case 2:
        return fmt::format("({} ? {} : {})", text(depth - 1), text(depth - 1), text(depth - 1));
      case 3: {
        const std::array<const char*, 3> calls = {"min", "max", "ceil_div"};
        const char* call = calls[pick(calls.size())];
        return fmt::format("{}({}, {})", call, text(depth - 1), text(depth - 1));
      }
      default: {
        const char* op = binary[pick(binary.size())];
        return fmt::format("({} {} {})", text(depth - 1), op, text(depth - 1));
      }
    }
  }

  std::int64_t value() {
    const std::array<std::int64_t, 9> values = {0,
                                                1,
                                                -1,
                                                2,
                                                7,
                                                -13,
                                                std::int64_t{1} << 40,
                                                std::numeric_limits<std::int64_t>::max(),
                                                std::numeric_limits<std::int64_t>::min()};
    return values[pick(values.size())];
  }

 private:
  std::size_t pick(std::size_t count) { return random_() % count; }
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("the compiled form and the tree agree on random formulas", "[contract]") {
  RandomFormula random(1);
  int with_value = 0;
  int without = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string text = random.text(1 + i % 6);
    auto formula = Formula::parse(text, {"file.json", "/x"}, letters());
    REQUIRE(formula);
    for (int k = 0; k < 4; ++k) {
      const std::array values = {random.value(), random.value(), random.value()};
      const auto compiled = formula->evaluate(values);
      const bool agree = compiled == formula->evaluate_tree(values);
      if (!agree) {
        FAIL_CHECK(fmt::format("{} with a={}, b={}, c={}", text, values[0], values[1], values[2]));
      }
      ++(compiled ? with_value : without);
      if (!compiled) {
        // What failed is told, and told alike by the fast half.
        const Formula::Stop stop = formula->explain(values);
        CHECK(stop.undefined == formula->is_undefined(values));
      }
    }
  }
  CHECK(with_value > 20000);
  CHECK(without > 10000);
}
