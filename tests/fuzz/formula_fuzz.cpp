#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "sim/contract/formula.hpp"
#include "sim/contract/symbols.hpp"
#include "tests/fuzz/target.hpp"

namespace tplora::fuzz {
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

/// Values of all symbols: each list is repeated until there are enough.
std::vector<std::vector<std::int64_t>> value_sets() {
  std::vector<std::vector<std::int64_t>> sets;
  for (const auto& pattern : {std::array<std::int64_t, 4>{0, 0, 0, 0}, {1, 2, 3, 4},
                              {2048, 16, 2, 256}, {kLeast, -1, kMost, 1}, {-1, kLeast, 0, kMost}}) {
    auto& values = sets.emplace_back();
    for (std::size_t i = 0; i < symbol::count; ++i) {
      values.push_back(pattern[i % pattern.size()]);
    }
  }
  return sets;
}

void check_value(const Formula& formula, const Formula* in_parentheses,
                 const std::vector<std::int64_t>& values) {
  const auto value = formula.evaluate(values);
  if (in_parentheses != nullptr) {
    check(in_parentheses->evaluate(values) == value, "parentheses around a formula change nothing");
  }
  if (!value) {
    check_error(formula.explain(values).error, "fuzz.json");
  }
}

}  // namespace

void formula(std::string_view bytes) {
  static const SymbolTable symbols = predefined_symbols();
  const auto parsed = Formula::parse(std::string(bytes), "fuzz.json#/let/x", symbols);
  if (!parsed) {
    return check_error(parsed.error(), "fuzz.json");
  }
  // At the limits of nesting and length the longer form may be refused.
  const auto longer = Formula::parse("(" + std::string(bytes) + ")", "", symbols);
  for (const auto& values : value_sets()) {
    check_value(*parsed, longer ? &*longer : nullptr, values);
  }
}

}  // namespace tplora::fuzz
