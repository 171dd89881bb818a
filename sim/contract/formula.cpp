#include "sim/contract/formula.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "sim/base/checked.hpp"
#include "sim/base/ensure.hpp"

namespace tplora {

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

std::string SymbolTable::listing() const {
  return fmt::format("{}", fmt::join(names_, ", "));
}

namespace {

constexpr std::array<std::string_view, 6> kReserved = {"and", "or", "not", "min", "max", "ceil_div"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool is_symbol_name(std::string_view text) {
  if (text.empty() || !is_letter(text[0])) {
    return false;
  }
  const bool clean =
      std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || is_digit(c); });
  return clean && std::find(kReserved.begin(), kReserved.end(), text) == kReserved.end();
}

// Recursive descent, one function for each level of precedence.
class Formula::Parser {
 public:
  Parser(Formula& formula, const SymbolTable& symbols) : formula_(formula), symbols_(symbols) {}

  Result<void> parse() {
    next_token();
    formula_.root_ = choice();
    if (error_.empty() && !token_.empty()) {
      refuse(fmt::format("unexpected \"{}\" after a complete formula", token_));
    }
    if (!error_.empty()) {
      return fail(fmt::format("column {}: {} in \"{}\"", error_column_, error_, formula_.text_),
                  formula_.place_);
    }
    return {};
  }

 private:
  static constexpr int kMaxDepth = 64;

  void refuse(std::string sentence) {
    if (error_.empty()) {
      error_ = std::move(sentence);
      error_column_ = token_column_;
    }
    token_ = {};
    position_ = formula_.text_.size();
  }

  void next_token() {
    const std::string_view text = formula_.text_;
    while (position_ < text.size() && (text[position_] == ' ' || text[position_] == '\t')) {
      ++position_;
    }
    token_column_ = static_cast<std::int32_t>(position_) + 1;
    std::size_t length = 0;
    if (position_ < text.size()) {
      length = token_length(text.substr(position_));
      if (length == 0) {
        refuse(fmt::format("unexpected character '{}'", text[position_]));
        return;
      }
    }
    token_ = text.substr(position_, length);
    position_ += length;
  }

  static std::size_t token_length(std::string_view rest) {
    if (is_letter(rest[0]) || is_digit(rest[0])) {
      std::size_t n = 1;
      while (n < rest.size() && (is_letter(rest[n]) || is_digit(rest[n]))) {
        ++n;
      }
      return n;
    }
    for (const std::string_view two : {"//", "<=", ">=", "==", "!="}) {
      if (rest.starts_with(two)) {
        return 2;
      }
    }
    return std::string_view("+-*/%<>?:(),").find(rest[0]) != std::string_view::npos ? 1 : 0;
  }

  bool take(std::string_view token) {
    if (token_ != token || token_.empty()) {
      return false;
    }
    next_token();
    return true;
  }

  void expect(std::string_view token) {
    if (!take(token)) {
      refuse(fmt::format("found {}, expected \"{}\"", found(), token));
    }
  }

  [[nodiscard]] std::string found() const {
    return token_.empty() ? "the end" : fmt::format("\"{}\"", token_);
  }

  std::int32_t make(Node node) {
    formula_.nodes_.push_back(node);
    return static_cast<std::int32_t>(formula_.nodes_.size()) - 1;
  }

  std::int32_t choice() {
    if (++depth_ > kMaxDepth) {
      refuse("nesting deeper than 64 levels");
      --depth_;
      return 0;
    }
    const std::int32_t condition = disjunction();
    const std::int32_t column = token_column_;
    std::int32_t result = condition;
    if (take("?")) {
      const std::int32_t yes = choice();
      expect(":");
      const std::int32_t no = choice();
      result = make({.op = Op::choose, .a = condition, .b = yes, .c = no, .column = column});
    }
    --depth_;
    return result;
  }

  std::int32_t disjunction() {
    return left_chain({{"or", Op::logical_or}}, [this] { return conjunction(); });
  }
  std::int32_t conjunction() {
    return left_chain({{"and", Op::logical_and}}, [this] { return negation(); });
  }

  std::int32_t negation() {
    const std::int32_t column = token_column_;
    if (take("not")) {
      return nested([&] {
        return make({.op = Op::logical_not, .a = negation(), .column = column});
      });
    }
    return comparison();
  }

  std::int32_t comparison() {
    static constexpr std::array<std::pair<std::string_view, Op>, 6> kOperators = {{
        {"==", Op::equal}, {"!=", Op::not_equal}, {"<=", Op::less_equal},
        {">=", Op::greater_equal}, {"<", Op::less}, {">", Op::greater}}};
    const std::int32_t left = sum();
    for (const auto& [token, op] : kOperators) {
      const std::int32_t column = token_column_;
      if (take(token)) {
        const std::int32_t right = sum();
        return make({.op = op, .a = left, .b = right, .column = column});
      }
    }
    return left;
  }

  std::int32_t sum() {
    return left_chain({{"+", Op::add}, {"-", Op::subtract}}, [this] { return product(); });
  }
  std::int32_t product() {
    return left_chain({{"*", Op::multiply},
                       {"//", Op::floor_divide},
                       {"/", Op::exact_divide},
                       {"%", Op::modulo}},
                      [this] { return unary(); });
  }

  template <class Operand>
  std::int32_t left_chain(std::initializer_list<std::pair<std::string_view, Op>> operators,
                          Operand operand) {
    std::int32_t left = operand();
    for (;;) {
      const std::int32_t column = token_column_;
      const auto* hit = std::find_if(operators.begin(), operators.end(),
                                     [&](const auto& entry) { return take(entry.first); });
      if (hit == operators.end()) {
        return left;
      }
      const std::int32_t right = operand();
      left = make({.op = hit->second, .a = left, .b = right, .column = column});
    }
  }

  template <class Body>
  std::int32_t nested(Body body) {
    if (++depth_ > kMaxDepth) {
      refuse("nesting deeper than 64 levels");
    }
    const std::int32_t result = error_.empty() ? body() : 0;
    --depth_;
    return result;
  }

  std::int32_t unary() {
    const std::int32_t column = token_column_;
    if (take("-")) {
      return nested([&] { return make({.op = Op::negate, .a = unary(), .column = column}); });
    }
    return primary();
  }

  std::int32_t primary() {
    if (take("(")) {
      const std::int32_t inner = choice();
      expect(")");
      return inner;
    }
    if (!token_.empty() && is_digit(token_[0])) {
      return number();
    }
    for (const auto& [name, op] : {std::pair<std::string_view, Op>{"min", Op::minimum},
                                   {"max", Op::maximum},
                                   {"ceil_div", Op::ceil_divide}}) {
      const std::int32_t column = token_column_;
      if (take(name)) {
        return call(name, op, column);
      }
    }
    return symbol();
  }

  std::int32_t number() {
    std::int64_t value = 0;
    for (const char c : token_) {
      const auto scaled = is_digit(c) ? checked_mul(value, 10) : std::nullopt;
      const auto sum = scaled ? checked_add(*scaled, c - '0') : std::nullopt;
      if (!sum) {
        refuse(fmt::format("\"{}\" is not an integer of 64 bits", token_));
        return 0;
      }
      value = *sum;
    }
    next_token();
    return make({.value = value});
  }

  std::int32_t call(std::string_view name, Op op, std::int32_t column) {
    expect("(");
    std::int32_t left = choice();
    int arguments = 1;
    while (take(",")) {
      const std::int32_t right = choice();
      left = make({.op = op, .a = left, .b = right, .column = column});
      ++arguments;
    }
    expect(")");
    if (arguments < 2 || (op == Op::ceil_divide && arguments != 2)) {
      token_column_ = column;
      refuse(fmt::format("{} takes {} arguments, found {}", name,
                         op == Op::ceil_divide ? "2" : "2 or more", arguments));
    }
    return left;
  }

  std::int32_t symbol() {
    if (!is_symbol_name(token_)) {
      refuse(fmt::format("found {}, expected a number, a name or \"(\"", found()));
      return 0;
    }
    const auto id = symbols_.find(token_);
    if (!id) {
      refuse(fmt::format("unknown name \"{}\", expected one of: {}", token_, symbols_.listing()));
      return 0;
    }
    const auto same = [&](const Used& used) { return used.symbol == *id; };
    if (std::none_of(formula_.used_.begin(), formula_.used_.end(), same)) {
      formula_.used_.push_back({*id, std::string(token_)});
    }
    next_token();
    return make({.op = Op::symbol, .value = *id});
  }

  Formula& formula_;
  const SymbolTable& symbols_;
  std::size_t position_ = 0;
  std::string_view token_;
  std::int32_t token_column_ = 1;
  int depth_ = 0;
  std::string error_;
  std::int32_t error_column_ = 0;
};

Result<Formula> Formula::parse(std::string text, std::string place, const SymbolTable& symbols) {
  Formula formula;
  formula.place_ = std::move(place);
  if (text.size() > 4096) {
    return fail("the formula is longer than 4096 characters", formula.place_);
  }
  formula.text_ = std::move(text);
  if (auto parsed = Parser(formula, symbols).parse(); !parsed) {
    return fail(parsed.error());
  }
  return formula;
}

std::optional<std::int64_t> Formula::evaluate(std::span<const std::int64_t> values) const {
  std::int64_t out = 0;
  return run(root_, values, out, nullptr) ? std::optional(out) : std::nullopt;
}

bool Formula::run(std::int32_t index, std::span<const std::int64_t> values, std::int64_t& out,
                  Failure* failure) const {
  const Node& node = nodes_[static_cast<std::size_t>(index)];
  std::int64_t left = 0;
  switch (node.op) {
    case Op::constant:
      out = node.value;
      return true;
    case Op::symbol:
      out = values[static_cast<std::size_t>(node.value)];
      return true;
    case Op::choose:
      return run(node.a, values, left, failure) &&
             run(left != 0 ? node.b : node.c, values, out, failure);
    case Op::logical_and:
    case Op::logical_or:
      if (!run(node.a, values, left, failure)) {
        return false;
      }
      if ((left != 0) == (node.op == Op::logical_or)) {
        out = left != 0 ? 1 : 0;
        return true;
      }
      if (!run(node.b, values, left, failure)) {
        return false;
      }
      out = left != 0 ? 1 : 0;
      return true;
    case Op::logical_not:
      if (!run(node.a, values, left, failure)) {
        return false;
      }
      out = left == 0 ? 1 : 0;
      return true;
    default:
      return run_binary(node, values, out, failure);
  }
}

bool Formula::run_binary(const Node& node, std::span<const std::int64_t> values, std::int64_t& out,
                         Failure* failure) const {
  std::int64_t left = 0;
  std::int64_t right = 0;
  if (!run(node.a, values, left, failure) ||
      (node.b >= 0 && !run(node.b, values, right, failure))) {
    return false;
  }
  const auto stop = [&](const char* what) {
    if (failure != nullptr) {
      *failure = {.what = what, .column = node.column, .left = left, .right = right};
    }
    return false;
  };
  const auto store = [&](std::optional<std::int64_t> value) {
    out = value.value_or(0);
    return value ? true : stop("overflow");
  };
  const auto divides = [&] {
    return right != 0 && !(left == std::numeric_limits<std::int64_t>::min() && right == -1);
  };
  const auto truth = [&](bool value) {
    out = value ? 1 : 0;
    return true;
  };
  switch (node.op) {
    case Op::negate: return store(checked_sub(0, left));
    case Op::add: return store(checked_add(left, right));
    case Op::subtract: return store(checked_sub(left, right));
    case Op::multiply: return store(checked_mul(left, right));
    case Op::equal: return truth(left == right);
    case Op::not_equal: return truth(left != right);
    case Op::less: return truth(left < right);
    case Op::less_equal: return truth(left <= right);
    case Op::greater: return truth(left > right);
    case Op::greater_equal: return truth(left >= right);
    case Op::minimum: return store(std::min(left, right));
    case Op::maximum: return store(std::max(left, right));
    default: break;
  }
  if (!divides()) {
    return stop(right == 0 ? "division by zero" : "overflow");
  }
  switch (node.op) {
    case Op::exact_divide:
      out = left / right;
      return left % right == 0 ? true : stop("remainder");
    case Op::floor_divide: return store(floor_div(left, right));
    case Op::modulo: return store(floor_mod(left, right));
    case Op::ceil_divide: return store(ceil_div(left, right));
    default: break;
  }
  ensure(false, "every operator of the formula language is evaluated");
  return false;
}

Formula::Stop Formula::explain(std::span<const std::int64_t> values) const {
  Failure failure;
  std::int64_t ignored = 0;
  ensure(!run(root_, values, ignored, &failure), "explain is asked only about a failing formula");
  const std::string_view kind = failure.what;
  std::string what =
      kind == "remainder"
          ? fmt::format("{} does not divide {} exactly", failure.right, failure.left)
          : kind == "overflow"
                ? fmt::format("the result of {} and {} does not fit 64 bits", failure.left,
                              failure.right)
                : fmt::format("{} is divided by zero", failure.left);
  const std::string used = used_values(values);
  return {{fmt::format("{} at column {} of \"{}\"{}", what, failure.column, text_,
                       used.empty() ? "" : " with " + used),
           place_},
          kind != "remainder"};
}

std::string Formula::used_values(std::span<const std::int64_t> values) const {
  std::string list;
  for (const auto& [number, name] : used_) {
    list += fmt::format("{}{}={}", list.empty() ? "" : ", ", name,
                        values[static_cast<std::size_t>(number)]);
  }
  return list;
}

}  // namespace tplora
