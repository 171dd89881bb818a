#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/base/decimal.hpp"
#include "sim/contract/formula.hpp"

namespace tplora::core {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

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
                  formula_.place_.text());
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
      return nested(
          [&] { return make({.op = Op::logical_not, .a = negation(), .column = column}); });
    }
    return comparison();
  }

  std::int32_t comparison() {
    static constexpr std::array<std::pair<std::string_view, Op>, 6> kOperators = {
        {{"==", Op::equal},
         {"!=", Op::not_equal},
         {"<=", Op::less_equal},
         {">=", Op::greater_equal},
         {"<", Op::less},
         {">", Op::greater}}};
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
    return left_chain(
        {{"*", Op::multiply}, {"//", Op::floor_divide}, {"/", Op::exact_divide}, {"%", Op::modulo}},
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
    const auto value = parse_decimal(token_);
    if (!value) {
      refuse(fmt::format("\"{}\" is not a decimal integer of 64 bits", token_));
      return 0;
    }
    next_token();
    return make({.value = *value});
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

Result<Formula> Formula::parse(std::string text, Place place, const SymbolTable& symbols) {
  Formula formula;
  formula.place_ = std::move(place);
  if (text.size() > 4096) {
    return fail("the formula is longer than 4096 characters", formula.place_.text());
  }
  formula.text_ = std::move(text);
  if (auto parsed = Parser(formula, symbols).parse(); !parsed) {
    return fail(parsed.error());
  }
  formula.compile(formula.root_, 0);
  return formula;
}

}  // namespace tplora::core
