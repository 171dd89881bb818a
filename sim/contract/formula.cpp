#include "sim/contract/formula.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "sim/base/checked.hpp"
#include "sim/base/decimal.hpp"
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
  formula.compile(formula.root_, 0);
  return formula;
}

// `?:`, `and` and `or` become jumps, so that what is not needed is not evaluated.
void Formula::compile(std::int32_t index, int depth) {
  const Node node = nodes_[static_cast<std::size_t>(index)];
  stack_ = std::max(stack_, depth + 2);
  const auto emit = [&](Step step) {
    steps_.push_back(step);
    return steps_.size() - 1;
  };
  const auto here = [&] { return static_cast<std::int32_t>(steps_.size()); };
  switch (node.op) {
    case Op::constant: emit({.kind = Step::Kind::constant, .value = node.value}); return;
    case Op::symbol:
      emit({.kind = Step::Kind::symbol, .target = static_cast<std::int32_t>(node.value)});
      return;
    case Op::choose: {
      compile(node.a, depth);
      const auto to_no = emit({.kind = Step::Kind::jump_if, .on = false});
      compile(node.b, depth);
      const auto to_end = emit({.kind = Step::Kind::jump});
      steps_[to_no].target = here();
      compile(node.c, depth);
      steps_[to_end].target = here();
      return;
    }
    case Op::logical_and:
    case Op::logical_or: {
      compile(node.a, depth);
      const auto to_end =
          emit({.kind = Step::Kind::jump_if, .on = node.op == Op::logical_or, .keep = true});
      compile(node.b, depth);
      emit({.kind = Step::Kind::truth});
      steps_[to_end].target = here();
      return;
    }
    case Op::negate:
    case Op::logical_not:
      compile(node.a, depth);
      emit({.kind = Step::Kind::unary, .op = node.op});
      return;
    default: break;
  }
  compile(node.a, depth);
  const Node& right = nodes_[static_cast<std::size_t>(node.b)];
  if (right.op == Op::constant) {
    emit({.kind = Step::Kind::binary_constant, .op = node.op, .value = right.value});
  } else if (right.op == Op::symbol) {
    emit({.kind = Step::Kind::binary_symbol,
          .op = node.op,
          .target = static_cast<std::int32_t>(right.value)});
  } else {
    compile(node.b, depth + 1);
    emit({.kind = Step::Kind::binary, .op = node.op});
  }
}

namespace {

/// Values the compiled form keeps at hand; a formula that needs more is walked as a tree.
constexpr int kMaxStack = 24;

bool divides(std::int64_t left, std::int64_t right) {
  return right != 0 && !(left == std::numeric_limits<std::int64_t>::min() && right == -1);
}

// The analyzer cannot know that steps write every place of the stack before they read it.
// NOLINTBEGIN(clang-analyzer-core.*)

/// left op right into `left`; false where there is no value. Inlined by force: it is the inner loop
/// of every sweep, and the compiler finds it too long.
template <class Op>
[[gnu::always_inline]] inline bool combine(Op op, std::int64_t& left, std::int64_t right) {
  switch (op) {
    case Op::add: return !__builtin_add_overflow(left, right, &left);
    case Op::subtract: return !__builtin_sub_overflow(left, right, &left);
    case Op::multiply: return !__builtin_mul_overflow(left, right, &left);
    case Op::equal: left = left == right ? 1 : 0; return true;
    case Op::not_equal: left = left != right ? 1 : 0; return true;
    case Op::less: left = left < right ? 1 : 0; return true;
    case Op::less_equal: left = left <= right ? 1 : 0; return true;
    case Op::greater: left = left > right ? 1 : 0; return true;
    case Op::greater_equal: left = left >= right ? 1 : 0; return true;
    case Op::minimum: left = std::min(left, right); return true;
    case Op::maximum: left = std::max(left, right); return true;
    default: break;
  }
  if (!divides(left, right)) {
    return false;
  }
  // Counts are small and not negative; dividing them as 32-bit numbers takes a third of the time.
  const bool narrow = ((left | right) >> 32) == 0;
  const std::int64_t quotient = narrow
                                    ? static_cast<std::int64_t>(static_cast<std::uint32_t>(left) /
                                                                static_cast<std::uint32_t>(right))
                                    : left / right;
  const std::int64_t remainder = left - quotient * right;
  const bool apart = remainder != 0 && ((left < 0) != (right < 0));
  switch (op) {
    case Op::exact_divide: left = quotient; return remainder == 0;
    case Op::floor_divide: left = quotient - (apart ? 1 : 0); return true;
    case Op::modulo: left = remainder + (apart ? right : 0); return true;
    default: left = quotient + (remainder != 0 && !apart ? 1 : 0); return true;  // ceil_div
  }
}

}  // namespace

bool Formula::run_steps(std::span<const std::int64_t> values, std::int64_t& out) const {
  if (stack_ > kMaxStack) {
    std::int64_t result = 0;
    const bool good = run(root_, values, result, nullptr);
    out = good ? result : out;
    return good;
  }
  // Not initialised: every slot is written before it is read. The first one stays free, so that an
  // empty stack's top is a place inside the array.
  std::int64_t stack[kMaxStack + 1];
  std::int64_t* top = stack;
  const auto count = steps_.size();
  for (std::size_t i = 0; i < count;) {
    const Step& step = steps_[i];
    ++i;
    switch (step.kind) {
      case Step::Kind::constant: *++top = step.value; break;
      case Step::Kind::symbol: *++top = values[static_cast<std::size_t>(step.target)]; break;
      case Step::Kind::binary:
        --top;
        if (!combine(step.op, top[0], top[1])) {
          return false;
        }
        break;
      case Step::Kind::binary_constant:
        if (!combine(step.op, *top, step.value)) {
          return false;
        }
        break;
      case Step::Kind::binary_symbol:
        if (!combine(step.op, *top, values[static_cast<std::size_t>(step.target)])) {
          return false;
        }
        break;
      case Step::Kind::unary:
        if (step.op == Op::logical_not) {
          *top = *top == 0 ? 1 : 0;
        } else if (__builtin_sub_overflow(std::int64_t{0}, *top, top)) {
          return false;
        }
        break;
      case Step::Kind::truth: *top = *top != 0 ? 1 : 0; break;
      case Step::Kind::jump: i = static_cast<std::size_t>(step.target); break;
      case Step::Kind::jump_if:
        if ((*top != 0) == step.on) {
          i = static_cast<std::size_t>(step.target);
          *top = step.on ? 1 : 0;
          top -= step.keep ? 0 : 1;
        } else {
          --top;
        }
        break;
    }
  }
  out = *top;
  return true;
}
// NOLINTEND(clang-analyzer-core.*)

bool Formula::is_undefined(std::span<const std::int64_t> values) const {
  Failure failure;
  std::int64_t ignored = 0;
  ensure(!run(root_, values, ignored, &failure), "is_undefined is asked only of a failing formula");
  return std::string_view(failure.what) != "remainder";
}

bool Formula::run(std::int32_t index, std::span<const std::int64_t> values, std::int64_t& out,
                  Failure* failure) const {
  const Node& node = nodes_[static_cast<std::size_t>(index)];
  std::int64_t left = 0;
  switch (node.op) {
    case Op::constant: out = node.value; return true;
    case Op::symbol: out = values[static_cast<std::size_t>(node.value)]; return true;
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
    default: return run_binary(node, values, out, failure);
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
    case Op::exact_divide: out = left / right; return left % right == 0 ? true : stop("remainder");
    case Op::floor_divide: return store(floor_div(left, right));
    case Op::modulo: return store(floor_mod(left, right));
    case Op::ceil_divide: return store(ceil_div(left, right));
    default: break;
  }
  ensure(false, "every operator of the formula language is evaluated");
  return false;
}

std::string Formula::print(const std::vector<Node>& nodes, std::int32_t root,
                           const std::function<std::string(int)>& name) {
  static constexpr std::array<std::string_view, 22> kText = {
      "",     "",    "-",    "not ", " + ",  " - ",   "*",    "/", "//",  " % ", " == ",
      " != ", " < ", " <= ", " > ",  " >= ", " and ", " or ", "?", "min", "max", "ceil_div"};
  const Node& node = nodes[static_cast<std::size_t>(root)];
  const auto text = kText[static_cast<std::size_t>(node.op)];
  const auto inner = [&](std::int32_t child) {
    const std::string plain = print(nodes, child, name);
    const Op op = nodes[static_cast<std::size_t>(child)].op;
    const bool atom = op == Op::constant || op == Op::symbol || op >= Op::minimum;
    return atom ? plain : "(" + plain + ")";
  };
  switch (node.op) {
    case Op::constant: return std::to_string(node.value);
    case Op::symbol: return name(static_cast<int>(node.value));
    case Op::negate:
    case Op::logical_not: return fmt::format("{}{}", text, inner(node.a));
    case Op::choose:
      return fmt::format("{} ? {} : {}", inner(node.a), inner(node.b), inner(node.c));
    case Op::minimum:
    case Op::maximum:
    case Op::ceil_divide:
      return fmt::format("{}({}, {})", text, print(nodes, node.a, name),
                         print(nodes, node.b, name));
    default: return fmt::format("{}{}{}", inner(node.a), text, inner(node.b));
  }
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
          ? fmt::format("the result of {} and {} does not fit 64 bits", failure.left, failure.right)
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
