// The names that formulas may use.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tplora::core {

/// The names a formula may use. A symbol's number is its place in the list and in the array of
/// values handed to Formula::evaluate.
class SymbolTable {
 public:
  /// The number of `name`, or nothing when it is not defined.
  [[nodiscard]] std::optional<int> find(std::string_view name) const;
  /// Adds `name` and returns its number. Precondition: not defined yet.
  int add(std::string name);
  /// Forgets the symbols added last, so that `size` are left (loop indices go out of scope).
  /// Precondition: there are at least so many.
  void shrink(int size);
  [[nodiscard]] int size() const { return static_cast<int>(names_.size()); }
  /// Precondition: the number of a symbol.
  [[nodiscard]] const std::string& name(int symbol) const;
  [[nodiscard]] std::string listing() const;

 private:
  std::vector<std::string> names_;
};

/// Whether `text` can name a symbol: a letter or underscore, then letters, digits, underscores,
/// and none of the language's own words.
[[nodiscard]] bool is_symbol_name(std::string_view text);

}  // namespace tplora::core
