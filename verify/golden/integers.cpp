#include "verify/golden/integers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/base/ensure.hpp"

namespace tplora::core {
namespace {

std::int64_t integers_of(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::bf16: return std::int64_t{1} << 8;
    case ScalarType::fp16: return std::int64_t{1} << 11;
    case ScalarType::fp32: break;
  }
  return std::int64_t{1} << 24;
}

}  // namespace

std::string IntegerBudget::text() const {
  return fmt::format("|x W| <= {}, |x A| <= {}, |u B| <= {}, |y| <= {} units of {} that are exact",
                     base, shrink, expand, units, exact);
}

Result<IntegerBudget> integer_budget(const PreparedCase& item) {
  ensure(item.geometry.has_value(), "a budget is that of a layer with a qkv projection");
  IntegerBudget budget{.base = kIntegerBaseBudget,
                       .shrink = kIntegerShrinkBudget,
                       .expand = kIntegerExpandBudget,
                       .units = kIntegerBaseBudget,
                       .exact = integers_of(item.spec.dtype)};
  for (const AdapterSpec& adapter : adapters_after_steps(item.spec)) {
    for (const Part part : kParts) {
      const double factor = adapter.scaling(part);
      int exponent = 0;
      if (adapter.has(part) && std::frexp(factor, &exponent) != 0.5) {
        return fail(
            fmt::format("data=integers: adapter {} multiplies its delta of {} by {}: "
                        "expected a power of two, with which nothing is rounded",
                        adapter.name, part_name(part), factor));
      }
      const double unit = adapter.has(part) ? std::min(1.0, factor) : 1.0;
      const double most = adapter.has(part)
                              ? (kIntegerBaseBudget + factor * kIntegerExpandBudget) / unit
                              : kIntegerBaseBudget;
      if (most > static_cast<double>(budget.exact)) {
        return fail(fmt::format(
            "data=integers: with a factor of {} outputs of adapter {} reach {} units, and {} holds "
            "integers up to {} exactly: expected a lora_alpha nearer to lora_rank, or a wider "
            "dtype",
            factor, adapter.name, most, scalar_type_name(item.spec.dtype), budget.exact));
      }
      budget.units = std::max(budget.units, static_cast<std::int64_t>(most));
    }
  }
  return budget;
}

}  // namespace tplora::core
