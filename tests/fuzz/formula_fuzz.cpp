#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "sim/contract/formula.hpp"
#include "sim/contract/symbols.hpp"
#include "tests/fuzz/target.hpp"

namespace tplora::fuzz {

using namespace core;
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

/// Values of all symbols: each list is repeated until there are enough.
std::vector<std::vector<std::int64_t>> value_sets() {
  std::vector<std::vector<std::int64_t>> sets;
  for (const auto& pattern : {std::array<std::int64_t, 4>{0, 0, 0, 0},
                              {1, 2, 3, 4},
                              {2048, 16, 2, 256},
                              {kLeast, -1, kMost, 1},
                              {-1, kLeast, 0, kMost}}) {
    auto& values = sets.emplace_back();
    for (std::size_t i = 0; i < symbol::count; ++i) {
      values.push_back(pattern[i % pattern.size()]);
    }
  }
  return sets;
}

/// 0 + (0 + (... text)): the same value, and so many operands at once that the formula is walked as
/// a tree instead of running in its compiled form.
std::string walked(std::string_view text) {
  constexpr int kLevels = 26;
  std::string longer;
  for (int level = 0; level < kLevels; ++level) {
    longer += "0 + (";
  }
  return longer + std::string(text) + std::string(kLevels, ')');
}

/// The formula's tree as text.
std::string printed(const Formula& formula, const SymbolTable& symbols) {
  return Formula::print(formula.nodes(), formula.root(),
                        [&](int number) { return symbols.name(number); });
}

void check_value(const Formula& formula, const std::vector<Result<Formula>>& same,
                 const std::vector<std::int64_t>& values) {
  const auto value = formula.evaluate(values);
  for (const auto& other : same) {
    check(!other || other->evaluate(values) == value,
          "a formula has the same value compiled, as a tree, and printed");
  }
  if (!value) {
    const Formula::Stop why = formula.explain(values);
    check_error({why.sentence, why.place.text()}, "fuzz.json");
  }
}

}  // namespace

void formula(std::string_view bytes) {
  static const SymbolTable symbols = predefined_symbols();
  const auto parsed = Formula::parse(std::string(bytes), {"fuzz.json", "/let/x"}, symbols);
  if (!parsed) {
    return check_error(parsed.error(), "fuzz.json");
  }
  // At the limits of nesting and length a longer form may be refused.
  const std::vector<Result<Formula>> same = {
      Formula::parse(walked(bytes), {}, symbols),
      Formula::parse(printed(*parsed, symbols), {}, symbols)};
  for (const auto& values : value_sets()) {
    check_value(*parsed, same, values);
  }
}

}  // namespace tplora::fuzz
