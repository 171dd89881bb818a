#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "sim/base/checked.hpp"
#include "sim/base/ensure.hpp"
#include "sim/contract/formula.hpp"

namespace tplora::core {

std::optional<std::int64_t> Formula::evaluate_tree(std::span<const std::int64_t> values) const {
  ensure_values(values);
  std::int64_t out = 0;
  return run(root_, values, out, nullptr) ? std::optional(out) : std::nullopt;
}

void Formula::ensure_values(std::span<const std::int64_t> values) const {
  ensure(root_ >= 0, "a formula is parsed before it is evaluated");
  ensure(std::all_of(used_.begin(), used_.end(),
                     [&](const Used& each) {
                       return static_cast<std::size_t>(each.symbol) < values.size();
                     }),
         "every symbol that a formula mentions has a value");
}

bool Formula::is_undefined(std::span<const std::int64_t> values) const {
  ensure_values(values);
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
  ensure(root >= 0 && static_cast<std::size_t>(root) < nodes.size(), "a root is one of the nodes");
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
  ensure_values(values);
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
  return {.sentence = fmt::format("{} at column {} of \"{}\"{}", what, failure.column, text_,
                                  used.empty() ? "" : " with " + used),
          .place = place_,
          .undefined = kind != "remainder"};
}

std::string Formula::used_values(std::span<const std::int64_t> values) const {
  ensure_values(values);
  std::string list;
  for (const auto& [number, name] : used_) {
    list += fmt::format("{}{}={}", list.empty() ? "" : ", ", name,
                        values[static_cast<std::size_t>(number)]);
  }
  return list;
}

}  // namespace tplora::core
