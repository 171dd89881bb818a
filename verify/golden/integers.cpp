#include "verify/golden/integers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/base/ensure.hpp"
#include "sim/numerics/program.hpp"

namespace tplora::core {
namespace {

constexpr std::int64_t kExact = std::int64_t{1} << 24;

/// The value of the lowest bit that is set. Precondition: finite and not 0.
double lowest_bit(double value) {
  int exponent = 0;
  double rest = std::frexp(std::fabs(value), &exponent);
  while (rest != std::floor(rest)) {
    rest *= 2;
    --exponent;
  }
  while (std::fmod(rest, 2) == 0) {
    rest /= 2;
    ++exponent;
  }
  return std::ldexp(1.0, exponent);
}

/// The expand's largest sum in units of which each of its terms is a multiple.
double units_of_expand(const RoundingProgram& program, ScalarType dtype, float scaling) {
  const double b = apply(program.load_b, 1.0F, scaling, dtype);
  double unit = 0;
  double most = 0;
  for (std::int64_t u = 1; u <= kIntegerShrinkBudget; ++u) {
    const double term = b * apply(program.expand_input, static_cast<float>(u), scaling, dtype);
    if (term != 0) {
      unit = unit == 0 ? lowest_bit(term) : std::min(unit, lowest_bit(term));
      most = std::max(most, std::fabs(term));
    }
  }
  const double terms = static_cast<double>(kIntegerExpandBudget / kIntegerShrinkBudget);
  return unit == 0 ? 0 : terms * most / unit;
}

}  // namespace

std::string IntegerBudget::text() const {
  return fmt::format("|x W| <= {}, |x A| <= {}, |u B| <= {} units, of {} that fp32 holds exactly",
                     base, shrink, expand, exact);
}

Result<IntegerBudget> integer_budget(const PreparedCase& item) {
  ensure(item.geometry.has_value(), "a budget is that of a layer with a qkv projection");
  const RoundingProgram& program = *find_program(item.contract->program);
  IntegerBudget budget{.base = kIntegerBaseBudget,
                       .shrink = kIntegerShrinkBudget,
                       .expand = kIntegerExpandBudget,
                       .exact = kExact};
  for (const AdapterSpec& adapter : adapters_after_steps(item.spec)) {
    for (const Part part : kParts) {
      const float factor = adapter.scaling(part);
      const double units =
          adapter.has(part) ? units_of_expand(program, item.spec.dtype, factor) : 0;
      if (units > static_cast<double>(kExact)) {
        return fail(fmt::format(
            "data=integers: program {} multiplies by the factor {} of adapter {} before it sums, "
            "and a sum of such terms needs {} units where fp32 holds {}: expected a factor of "
            "fewer bits, or a 16-bit dtype",
            program.name, factor, adapter.name, units, kExact));
      }
      budget.expand = std::max(budget.expand, static_cast<std::int64_t>(units));
    }
  }
  return budget;
}

}  // namespace tplora::core
