#include <algorithm>
#include <limits>

#include "sim/contract/formula.hpp"

namespace tplora::core {

// `?:`, `and` and `or` become jumps, so that what is not needed is not evaluated.
void Formula::compile(std::int32_t index, int depth) {
  const Node node = nodes_[static_cast<std::size_t>(index)];
  stack_ = std::max(stack_, depth + 2);
  const auto emit = [&](Instruction one) {
    program_.push_back(one);
    return program_.size() - 1;
  };
  const auto here = [&] { return static_cast<std::int32_t>(program_.size()); };
  switch (node.op) {
    case Op::constant: emit({.kind = Instruction::Kind::constant, .value = node.value}); return;
    case Op::symbol:
      emit({.kind = Instruction::Kind::symbol, .target = static_cast<std::int32_t>(node.value)});
      return;
    case Op::choose: {
      compile(node.a, depth);
      const auto to_no = emit({.kind = Instruction::Kind::jump_if, .on = false});
      compile(node.b, depth);
      const auto to_end = emit({.kind = Instruction::Kind::jump});
      program_[to_no].target = here();
      compile(node.c, depth);
      program_[to_end].target = here();
      return;
    }
    case Op::logical_and:
    case Op::logical_or: {
      compile(node.a, depth);
      const auto to_end =
          emit({.kind = Instruction::Kind::jump_if, .on = node.op == Op::logical_or, .keep = true});
      compile(node.b, depth);
      emit({.kind = Instruction::Kind::truth});
      program_[to_end].target = here();
      return;
    }
    case Op::negate:
    case Op::logical_not:
      compile(node.a, depth);
      emit({.kind = Instruction::Kind::unary, .op = node.op});
      return;
    default: break;
  }
  compile(node.a, depth);
  const Node& right = nodes_[static_cast<std::size_t>(node.b)];
  if (right.op == Op::constant) {
    emit({.kind = Instruction::Kind::binary_constant, .op = node.op, .value = right.value});
  } else if (right.op == Op::symbol) {
    emit({.kind = Instruction::Kind::binary_symbol,
          .op = node.op,
          .target = static_cast<std::int32_t>(right.value)});
  } else {
    compile(node.b, depth + 1);
    emit({.kind = Instruction::Kind::binary, .op = node.op});
  }
}

namespace {

/// Values the compiled form keeps at hand; a formula that needs more is walked as a tree.
constexpr int kMaxStack = 24;

bool divides(std::int64_t left, std::int64_t right) {
  return right != 0 && !(left == std::numeric_limits<std::int64_t>::min() && right == -1);
}

// The analyzer cannot know that instructions write every place of the stack before they read it.
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

bool Formula::run_program(std::span<const std::int64_t> values, std::int64_t& out) const {
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
  const auto count = program_.size();
  for (std::size_t i = 0; i < count;) {
    const Instruction& one = program_[i];
    ++i;
    switch (one.kind) {
      case Instruction::Kind::constant: *++top = one.value; break;
      case Instruction::Kind::symbol: *++top = values[static_cast<std::size_t>(one.target)]; break;
      case Instruction::Kind::binary:
        --top;
        if (!combine(one.op, top[0], top[1])) {
          return false;
        }
        break;
      case Instruction::Kind::binary_constant:
        if (!combine(one.op, *top, one.value)) {
          return false;
        }
        break;
      case Instruction::Kind::binary_symbol:
        if (!combine(one.op, *top, values[static_cast<std::size_t>(one.target)])) {
          return false;
        }
        break;
      case Instruction::Kind::unary:
        if (one.op == Op::logical_not) {
          *top = *top == 0 ? 1 : 0;
        } else if (__builtin_sub_overflow(std::int64_t{0}, *top, top)) {
          return false;
        }
        break;
      case Instruction::Kind::truth: *top = *top != 0 ? 1 : 0; break;
      case Instruction::Kind::jump: i = static_cast<std::size_t>(one.target); break;
      case Instruction::Kind::jump_if:
        if ((*top != 0) == one.on) {
          i = static_cast<std::size_t>(one.target);
          *top = one.on ? 1 : 0;
          top -= one.keep ? 0 : 1;
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

}  // namespace tplora::core
