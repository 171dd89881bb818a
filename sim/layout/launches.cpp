#include "sim/layout/launches.hpp"

#include <fmt/format.h>

#include "sim/base/ensure.hpp"

namespace tplora::core {

namespace {

constexpr std::int64_t kMostStrided = std::int64_t{1} << 20;

bool evaluate(Scope& scope, const KernelEntry& entry, KernelLaunch& one) {
  if (!scope.eval(entry.a_at, one.a_at) || !scope.eval(entry.b_at, one.b_at) ||
      !scope.eval(entry.out, one.out) || !scope.eval(entry.rows, one.rows) ||
      !scope.eval(entry.depth, one.depth) ||
      (entry.b_stride && !scope.eval(*entry.b_stride, one.b_stride))) {
    return false;
  }
  for (const std::int64_t count :
       {one.a_at, one.b_at, one.out, one.rows, one.depth, one.b_stride}) {
    if (count < 0 || count > kMaxRows) {
      return scope.stop(
          [&] {
            return fmt::format(
                "a kernel entry with a_at {}, b_at {}, out {}, rows {}, depth {}{}, expected "
                "counts "
                "from 0 on",
                one.a_at, one.b_at, one.out, one.rows, one.depth,
                entry.b_stride ? fmt::format(", b_stride {}", one.b_stride) : "");
          },
          entry.place, count < 0);
    }
  }
  // Rows of another stride are looked at one by one, to the last element.
  if (entry.b_stride && (one.depth > kMostStrided || one.b_stride > kMostStrided ||
                         one.b_at + one.rows > kMaxRows / kMostStrided)) {
    return scope.stop(
        [&] {
          return fmt::format(
              "a kernel entry with b_at {}, rows {}, depth {}, b_stride {}, expected depth and "
              "b_stride up to {} and b_at + rows up to {} where b_stride is said",
              one.b_at, one.rows, one.depth, one.b_stride, kMostStrided, kMaxRows / kMostStrided);
        },
        entry.place);
  }
  return true;
}

}  // namespace

bool plan_launches(Scope& scope, const std::vector<KernelEntry>& kernel,
                   std::vector<KernelLaunch>& launches) {
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    const bool good = scope.for_each_index(kernel[i].loops, [&] {
      ensure(kernel[i].a >= 0 && kernel[i].b >= 0, "a kernel entry names its buffers");
      // Filled in where it will stay, and taken back on failure.
      KernelLaunch& one = launches.emplace_back();
      one.entry = static_cast<int>(i);
      one.a = kernel[i].a;
      one.b = kernel[i].b;
      one.b_stride = scope.value(symbol::R);
      if (evaluate(scope, kernel[i], one)) {
        return true;
      }
      launches.pop_back();
      return false;
    });
    if (!good) {
      return false;
    }
  }
  return true;
}

}  // namespace tplora::core
