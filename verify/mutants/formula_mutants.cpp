#include <algorithm>
#include <array>
#include <set>

#include "verify/mutants/mutate.hpp"

namespace tplora::core {
namespace {

using Op = Formula::Op;
using Node = Formula::Node;

/// Operators that are easily written for each other.
std::vector<Op> neighbours(Op op) {
  switch (op) {
    case Op::add: return {Op::subtract, Op::multiply};
    case Op::subtract: return {Op::add};
    case Op::multiply: return {Op::add, Op::exact_divide};
    case Op::exact_divide: return {Op::floor_divide, Op::multiply};
    case Op::floor_divide: return {Op::exact_divide, Op::modulo, Op::ceil_divide};
    case Op::modulo:
    case Op::ceil_divide: return {Op::floor_divide};
    case Op::equal: return {Op::not_equal, Op::greater_equal, Op::less_equal};
    case Op::not_equal: return {Op::equal};
    case Op::less: return {Op::less_equal, Op::greater_equal};
    case Op::less_equal: return {Op::less, Op::greater};
    case Op::greater: return {Op::greater_equal, Op::less_equal};
    case Op::greater_equal: return {Op::greater, Op::less};
    case Op::logical_and: return {Op::logical_or};
    case Op::logical_or: return {Op::logical_and};
    case Op::minimum: return {Op::maximum};
    case Op::maximum: return {Op::minimum};
    default: return {};
  }
}

class Rewriter {
 public:
  Rewriter(const Formula& formula, const SymbolTable& names, const std::vector<int>& exchange)
      : nodes_(formula.nodes()), root_(formula.root()), names_(names), exchange_(exchange) {
    seen_.insert(print(nodes_, root_));
  }

  std::vector<std::string> run() {
    const auto count = static_cast<std::int32_t>(nodes_.size());
    for (std::int32_t i = 0; i < count; ++i) {
      at(i);
    }
    for (const Op op : {Op::add, Op::subtract}) {
      auto nodes = nodes_;
      nodes.push_back({.op = Op::constant, .value = 1});
      nodes.push_back({.op = op, .a = root_, .b = count});
      keep(nodes, count + 1);
    }
    return std::move(result_);
  }

 private:
  void at(std::int32_t i) {
    const Node node = nodes_[static_cast<std::size_t>(i)];
    if (node.op == Op::symbol) {
      for (const int other : exchange_) {
        change(i, {.op = Op::symbol, .value = other});
      }
    }
    if (node.op == Op::constant) {
      change(i, {.op = Op::constant, .value = node.value + 1});
      change(i, {.op = Op::constant, .value = node.value - 1});
    }
    for (const Op op : neighbours(node.op)) {
      Node other = node;
      other.op = op;
      change(i, other);
    }
    if (node.op == Op::choose) {
      Node swapped = node;
      std::swap(swapped.b, swapped.c);
      change(i, swapped);
      change(i, nodes_[static_cast<std::size_t>(node.c)]);
    }
    for (const std::int32_t child : {node.op == Op::choose ? -1 : node.a, node.b}) {
      if (child >= 0) {
        change(i, nodes_[static_cast<std::size_t>(child)]);
      }
    }
  }

  void change(std::int32_t i, const Node& node) {
    auto nodes = nodes_;
    nodes[static_cast<std::size_t>(i)] = node;
    keep(nodes, root_);
  }

  void keep(const std::vector<Node>& nodes, std::int32_t root) {
    std::string text = print(nodes, root);
    if (seen_.insert(text).second) {
      result_.push_back(std::move(text));
    }
  }

  [[nodiscard]] std::string print(const std::vector<Node>& nodes, std::int32_t root) const {
    return Formula::print(nodes, root, [&](int number) { return names_.name(number); });
  }

  const std::vector<Node>& nodes_;
  std::int32_t root_;
  const SymbolTable& names_;
  const std::vector<int>& exchange_;
  std::set<std::string> seen_;
  std::vector<std::string> result_;
};

}  // namespace

std::vector<std::string> formula_mutants(const Formula& formula, const SymbolTable& names,
                                         const std::vector<int>& exchange) {
  return Rewriter(formula, names, exchange).run();
}

}  // namespace tplora::core
