// The formula language of contracts: 64-bit integer expressions over named symbols.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/place.hpp"
#include "sim/base/result.hpp"
#include "sim/contract/symbol_table.hpp"

namespace tplora::core {

/// One parsed formula.
///
/// Operators, loosest first: `c ? a : b`, `or`, `and`, `not`, comparisons `== != < <= > >=` (not
/// chained), `+ -`, `* / // %`, unary `-`; calls `min(a,b,..)`, `max(a,b,..)`, `ceil_div(a,b)`.
/// `/` is exact: a remainder fails, as an engine's assertion does. `//` and `%` round towards
/// minus infinity. `?:`, `and` and `or` evaluate only what they need; truth is 1 or 0, and any
/// non-zero value counts as true. Overflow of 64 bits fails, it never wraps.
class Formula {
 public:
  /// A symbol this formula mentions. It keeps the name, since loop indices share numbers.
  struct Used {
    int symbol = 0;
    std::string name;
  };

  /// Parses `text`. Refused with `place` and a column: syntax errors, unknown names, numbers that
  /// do not fit 64 bits, nesting deeper than 64, more than 4096 characters. A symbol's value is
  /// looked up by its number in `symbols`.
  static Result<Formula> parse(std::string text, Place place, const SymbolTable& symbols);

  /// The value, or nothing when a division leaves a remainder or has divisor 0, or on overflow.
  /// Precondition, here and below: the formula was parsed, and `values` has one for every symbol
  /// that it mentions. Only the slow functions check it: this one is the inner loop of all sweeps.
  [[nodiscard]] std::optional<std::int64_t> evaluate(std::span<const std::int64_t> values) const {
    std::int64_t out = 0;
    return evaluate(values, out) ? std::optional(out) : std::nullopt;
  }
  /// The same for inner loops: false where there is no value, and `out` is as it was.
  [[nodiscard]] bool evaluate(std::span<const std::int64_t> values, std::int64_t& out) const {
    if (program_.size() != 1) {
      return run_program(values, out);
    }
    const Instruction& only = program_[0];
    out = only.kind == Instruction::Kind::constant ? only.value
                                                   : values[static_cast<std::size_t>(only.target)];
    return true;
  }

  /// The same by walking the tree, which is slow: what the compiled form is held against.
  [[nodiscard]] std::optional<std::int64_t> evaluate_tree(
      std::span<const std::int64_t> values) const;

  /// Whether evaluate gave nothing because of a division by zero or an overflow; the fast half of
  /// `explain`. Precondition: evaluate gave nothing.
  [[nodiscard]] bool is_undefined(std::span<const std::int64_t> values) const;

  /// Why evaluate gave nothing.
  struct Stop {
    std::string sentence;    ///< what failed at which column, with the values of the symbols used
    Place place;             ///< of what failed
    bool undefined = false;  ///< division by zero or overflow: the contract's mistake, not an
                             ///< assertion of the engine it describes
  };
  /// Precondition: evaluate gave nothing.
  [[nodiscard]] Stop explain(std::span<const std::int64_t> values) const;

  /// "h=4, D=256": the symbols this formula mentions, each once, in order of first appearance.
  [[nodiscard]] std::string used_values(std::span<const std::int64_t> values) const;

  [[nodiscard]] const std::string& text() const { return text_; }
  /// Where it was written.
  [[nodiscard]] const Place& place() const { return place_; }
  /// The symbols mentioned, each once, in order of first appearance.
  [[nodiscard]] const std::vector<Used>& used_symbols() const { return used_; }

  /// Its place among the formulas of its contract (Contract::dependences), -1 outside of one.
  [[nodiscard]] int number() const { return number_; }
  void set_number(int number) { number_ = number; }

  // --- the tree, for those who rewrite formulas ------------------------------------------------
  enum class Op : std::uint8_t {
    constant,
    symbol,
    negate,
    logical_not,
    add,
    subtract,
    multiply,
    exact_divide,
    floor_divide,
    modulo,
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,
    logical_and,
    logical_or,
    choose,
    minimum,
    maximum,
    ceil_divide,
  };
  /// Operands are numbers of nodes; a leaf keeps its constant or symbol number in `value`.
  struct Node {
    Op op = Op::constant;
    std::int32_t a = -1, b = -1, c = -1;
    std::int32_t column = 0;  ///< 1-based column of the operator
    std::int64_t value = 0;
  };
  [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }
  [[nodiscard]] std::int32_t root() const { return root_; }
  /// A tree as text that parses back to it. `name` gives the name of a symbol's number.
  /// Precondition: `root` is one of `nodes`.
  [[nodiscard]] static std::string print(const std::vector<Node>& nodes, std::int32_t root,
                                         const std::function<std::string(int)>& name);

 private:
  /// One instruction of the compiled form, a postfix program on a stack of values.
  struct Instruction {
    enum class Kind : std::uint8_t {
      constant,
      symbol,
      unary,
      binary,
      binary_constant,
      binary_symbol,  ///< the right operand stands in the instruction
      truth,
      jump,
      jump_if,
    };
    Kind kind = Kind::constant;
    Op op = Op::constant;
    bool on = false;          ///< jump_if: the truth value that jumps
    bool keep = false;        ///< jump_if: the value stays on the stack when it jumps, as 0 or 1
    std::int32_t target = 0;  ///< jumps: the one to go on with; symbols: the number
    std::int64_t value = 0;
  };
  struct Failure {
    const char* what = "";
    std::int32_t column = 0;
    std::int64_t left = 0, right = 0;
  };
  class Parser;

  void ensure_values(std::span<const std::int64_t> values) const;
  bool run_program(std::span<const std::int64_t> values, std::int64_t& out) const;
  bool run(std::int32_t node, std::span<const std::int64_t> values, std::int64_t& out,
           Failure* failure) const;
  bool run_binary(const Node& node, std::span<const std::int64_t> values, std::int64_t& out,
                  Failure* failure) const;
  void compile(std::int32_t node, int depth);

  std::string text_;
  Place place_;
  std::vector<Node> nodes_;
  std::int32_t root_ = -1;
  std::vector<Used> used_;
  std::vector<Instruction> program_;
  int number_ = -1;
  int stack_ = 0;  ///< values the compiled form needs at once
};

}  // namespace tplora::core
