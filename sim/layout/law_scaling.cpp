#include "sim/layout/law_scaling.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "sim/base/ensure.hpp"

namespace tplora::core {

void check_scaling(const RankState& rank, const LiveAdapter& live, std::span<const int> events,
                   std::vector<Violation>& violations) {
  ensure(!events.empty(), "a live adapter's factor was read at some event");
  ensure(live.shape.lora_rank > 0, "a live adapter has a lora_rank");
  if (live.shape.targets == std::array<bool, 3>{}) {
    return;  // no delta
  }
  // The products of num/den against alpha/r; one that does not fit is no right factor.
  std::int64_t left = live.shape.lora_rank;
  std::int64_t right = live.shape.lora_alpha;
  bool fits = true;
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  for (const int event : events) {
    const RankLoad& load = rank.load(event);
    fits = !__builtin_mul_overflow(left, load.scaling_numerator, &left) &&
           !__builtin_mul_overflow(right, load.scaling_denominator, &right) && left != kLeast &&
           right != kLeast;
    if (!fits) {
      break;
    }
    if (left == right) {
      left = right = 1;  // the usual case, without a division
      continue;
    }
    const std::int64_t common = std::max<std::int64_t>(1, std::gcd(left, right));
    left /= common;
    right /= common;
  }
  if (!fits || left != right) {
    violations.push_back(WrongScaling{.tp_rank = rank.build.tp_rank,
                                      .delta = {.adapter = live.adapter, .slot = live.slot}});
  }
}

}  // namespace tplora::core
