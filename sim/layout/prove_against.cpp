#include "sim/layout/prove_against.hpp"

#include <algorithm>
#include <mutex>

#include "sim/base/ensure.hpp"
#include "sim/layout/claims.hpp"
#include "sim/layout/proof_points.hpp"

namespace tplora::core {
namespace {

void add(Comparison& sum, const Comparison& part) {
  sum.points += part.points;
  for (std::size_t from = 0; from < sum.from_to.size(); ++from) {
    for (std::size_t to = 0; to < sum.from_to.size(); ++to) {
      sum.from_to[from][to].points += part.from_to[from][to].points;
      if (part.from_to[from][to].smallest) {
        keep_smaller(sum.from_to[from][to].smallest, *part.from_to[from][to].smallest);
      }
    }
  }
  if (part.bad_point) {
    keep_smaller(sum.bad_point, *part.bad_point);
  }
}

/// Everything with one H and KV, by one thread.
class Pair {
 public:
  Pair(const Contract& base, const Contract& contract)
      : base_(base),
        contract_(contract),
        numbers_(either(other_numbers(base), other_numbers(contract))),
        input_(proof_case(contract, {})) {}

  Comparison run(const ProofRange& range, std::int64_t H, std::int64_t KV) {
    for_each_deployment(range, H, KV, [&](ProofPoint& point) {
      for (point.lora_rank = point.max_lora_rank - 1; point.lora_rank <= point.max_lora_rank;
           ++point.lora_rank) {
        at(point);
      }
      if (point.D == head_dim_of_other_adapters(range)) {
        const auto look = [&](const ProofPoint& other) { at(other); };
        for_each_other_adapter(contract_, point, look);
        for_each_other_number(numbers_, point, look);
      }
    });
    return comparison_;
  }

 private:
  static OtherNumbers either(const OtherNumbers& a, const OtherNumbers& b) {
    return {.of_config = a.of_config || b.of_config, .of_dp = a.of_dp || b.of_dp};
  }

  void at(const ProofPoint& point) {
    place_point(point, input_);
    const auto claimed = inside_claims(base_, input_.geometry, input_.deployment);
    if (claimed && !*claimed) {
      return;
    }
    const Analysis& before = before_.run(base_, input_);
    const Analysis& after = after_.run(contract_, input_);
    if (!claimed || before.bad_contract || after.bad_contract) {
      keep_smaller(comparison_.bad_point, point);
      return;
    }
    ++comparison_.points;
    Transition& change = comparison_.from_to[badness(before.verdict)][badness(after.verdict)];
    ++change.points;
    keep_smaller(change.smallest, point);
  }

  const Contract& base_;
  const Contract& contract_;
  OtherNumbers numbers_;
  LayoutCase input_;
  Analyser before_{Detail::verdicts}, after_{Detail::verdicts};
  Comparison comparison_;
};

}  // namespace

std::size_t badness(Verdict verdict) {
  const auto* at = std::find(kFromBestToWorst.begin(), kFromBestToWorst.end(), verdict);
  ensure(at != kFromBestToWorst.end(), "a plan has a verdict of its own");
  return static_cast<std::size_t>(at - kFromBestToWorst.begin());
}

std::int64_t Comparison::worse() const {
  std::int64_t sum = 0;
  for (std::size_t from = 0; from < from_to.size(); ++from) {
    for (std::size_t to = from + 1; to < from_to.size(); ++to) {
      sum += from_to[from][to].points;
    }
  }
  return sum;
}

std::int64_t Comparison::better() const {
  std::int64_t sum = 0;
  for (std::size_t from = 0; from < from_to.size(); ++from) {
    for (std::size_t to = 0; to < from; ++to) {
      sum += from_to[from][to].points;
    }
  }
  return sum;
}

Comparison prove_against(const Contract& base, const Contract& contract, const ProofRange& range,
                         int jobs, const std::function<void(double)>& progress) {
  ensure(base.takes_fused_adapters() == contract.takes_fused_adapters(),
         "contracts that are compared take the same adapters");
  Comparison sum;
  for_each_heads(range, jobs, progress, [&](std::int64_t H, std::int64_t KV, std::mutex& mutex) {
    const Comparison part = Pair(base, contract).run(range, H, KV);
    const std::scoped_lock lock(mutex);
    add(sum, part);
  });
  return sum;
}

}  // namespace tplora::core
