#include "sim/contract/symbol_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/base/ensure.hpp"

namespace tplora::core {

std::optional<int> SymbolTable::find(std::string_view name) const {
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) {
    return std::nullopt;
  }
  return static_cast<int>(found - names_.begin());
}

int SymbolTable::add(std::string name) {
  ensure(!find(name), "a symbol is defined once");
  names_.push_back(std::move(name));
  return size() - 1;
}

void SymbolTable::shrink(int left) {
  ensure(left >= 0 && left <= size(), "a table shrinks to symbols that it has");
  names_.resize(static_cast<std::size_t>(left));
}

const std::string& SymbolTable::name(int symbol) const {
  ensure(symbol >= 0 && symbol < size(), "a symbol of the table is named");
  return names_[static_cast<std::size_t>(symbol)];
}

std::string SymbolTable::listing() const {
  return fmt::format("{}", fmt::join(names_, ", "));
}

namespace {

constexpr std::array<std::string_view, 6> kReserved = {"and", "or",  "not",
                                                       "min", "max", "ceil_div"};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

bool is_symbol_name(std::string_view text) {
  if (text.empty() || !is_letter(text[0])) {
    return false;
  }
  const bool clean =
      std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || is_digit(c); });
  return clean && std::find(kReserved.begin(), kReserved.end(), text) == kReserved.end();
}

}  // namespace tplora::core
