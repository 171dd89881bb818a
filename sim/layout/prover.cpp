#include "sim/layout/prover.hpp"

#include <algorithm>
#include <mutex>

#include "sim/base/ensure.hpp"
#include "sim/layout/claims.hpp"
#include "sim/layout/proof_points.hpp"

namespace tplora::core {
namespace {

TpClass class_of(std::int64_t T, std::int64_t KV) {
  ensure(T > 0 && KV > 0, "a proof point has ranks and KV heads");
  return T == KV       ? TpClass::equal
         : T < KV      ? (KV % T == 0 ? TpClass::below : TpClass::uneven)
         : T % KV == 0 ? TpClass::above
                       : TpClass::uneven;
}

std::array<std::int64_t, 3> triple(TpClass kind, const ProofPoint& p, std::int64_t T) {
  ensure(kind == TpClass::above ? T % p.KV == 0 : p.KV % T == 0,
         "ranks and KV heads of a class are multiples, one of the other");
  return kind == TpClass::above ? std::array{p.KV, T / p.KV, p.H / T}
                                : std::array{p.KV / T, T, p.H / p.KV};
}

/// Everything with one H and KV, by one thread.
class Worker {
 public:
  Worker(const Contract& contract, const ProofRange& range)
      : contract_(contract),
        range_(range),
        numbers_(tplora::core::other_numbers(contract)),
        input_(proof_case(contract, {})),
        analyser_(Detail::verdicts) {}

  Proof run(std::int64_t H, std::int64_t KV) {
    for_each_deployment(range_, H, KV, [&](ProofPoint& point) { at(point); });
    return std::move(proof_);
  }

 private:
  void at(ProofPoint& point) {
    std::optional<bool> claimed;
    for (point.lora_rank = point.max_lora_rank - 1; point.lora_rank <= point.max_lora_rank;
         ++point.lora_rank) {
      place_point(point, input_);
      if (point.lora_rank < point.max_lora_rank) {
        claimed = inside_claims(contract_, input_.geometry, input_.deployment);
      }
      const Analysis& analysis = point.lora_rank < point.max_lora_rank
                                     ? analyser_.run(contract_, input_)
                                     : analyser_.run_again(contract_, input_);
      if (claimed == false && analysis.bad_contract) {
        ++proof_.unclaimed.undescribed;
        continue;
      }
      if (!claimed || analysis.bad_contract) {
        keep_smaller(proof_.bad_point, point);
        continue;
      }
      count(point, analysis, *claimed ? proof_.claimed : proof_.unclaimed);
      if (*claimed) {
        cover(point, analysis.verdict);
      }
    }
    // Behind a rank that cannot be built no adapter is looked at.
    if (claimed == true && point.D == head_dim_of_other_adapters(range_) &&
        !analyser_.last().some_rank_unbuilt) {
      for_each_other_adapter(contract_, point,
                             [&](const ProofPoint& other) { try_adapter(other); });
      for_each_other_number(numbers_, point, [&](const ProofPoint& other) { try_numbers(other); });
    }
  }

  void try_numbers(const ProofPoint& point) {
    place_point(point, input_);
    const auto claimed = inside_claims(contract_, input_.geometry, input_.deployment);
    if (claimed == false) {
      return;
    }
    const Analysis& analysis = analyser_.run(contract_, input_);
    if (!claimed || analysis.bad_contract) {
      keep_smaller(proof_.bad_point, point);
    } else {
      count(point, analysis, proof_.other_numbers);
    }
  }

  void try_adapter(const ProofPoint& point) {
    place_point(point, input_);
    const Analysis& analysis = analyser_.run_again(contract_, input_);
    if (analysis.bad_contract) {
      keep_smaller(proof_.bad_point, point);
    } else {
      count(point, analysis, proof_.other_adapters);
      const auto& parts = point.targets;
      auto& of =
          proof_.of_targets[(parts[0] ? 1U : 0U) + (parts[1] ? 2U : 0U) + (parts[2] ? 4U : 0U)];
      ++of.points;
      of.consistent += analysis.verdict == Verdict::consistent ? 1 : 0;
    }
  }

  static void count(const ProofPoint& point, const Analysis& analysis, Tally& tally) {
    switch (analysis.verdict) {
      case Verdict::consistent: ++tally.consistent; return;
      case Verdict::refused: ++tally.refused; return;
      case Verdict::crash:
        ++tally.crash;
        keep_smaller(tally.smallest_crash, point);
        return;
      default: break;
    }
    ensure(analysis.verdict == Verdict::silent && !analysis.violations.empty(),
           "a proof point that does not fail and keeps not every law is silent");
    ++tally.silent;
    keep_smaller(tally.smallest_silent, point);
    std::array<bool, kLawCount> seen = {};
    for (const Violation& violation : analysis.violations) {
      seen[static_cast<std::size_t>(law_of(violation))] = true;
    }
    for (std::size_t law = 0; law < seen.size(); ++law) {
      tally.broken[law] += seen[law] ? 1 : 0;
    }
  }

  void cover(const ProofPoint& point, Verdict verdict) {
    if (verdict == Verdict::refused) {
      return;
    }
    const std::int64_t T = point.tp_size / point.dp_size;
    const TpClass kind = class_of(T, point.KV);
    ClassCoverage& coverage = proof_.coverage[static_cast<std::size_t>(kind)];
    const bool good = verdict == Verdict::consistent;
    coverage.points += good ? 1 : 0;
    // tp_size = KV is the end of both other classes: KV/T and T/KV are 1.
    for (const TpClass each : {TpClass::below, TpClass::above}) {
      if (kind == each || kind == TpClass::equal) {
        ClassCoverage& of = proof_.coverage[static_cast<std::size_t>(each)];
        (good ? of.held : of.not_held).insert(triple(each, point, T));
      }
    }
  }

  const Contract& contract_;
  const ProofRange& range_;
  OtherNumbers numbers_;
  LayoutCase input_;
  Analyser analyser_;
  Proof proof_;
};

void add(Tally& sum, const Tally& part) {
  sum.consistent += part.consistent;
  sum.refused += part.refused;
  sum.crash += part.crash;
  sum.silent += part.silent;
  sum.undescribed += part.undescribed;
  for (std::size_t law = 0; law < sum.broken.size(); ++law) {
    sum.broken[law] += part.broken[law];
  }
  if (part.smallest_silent) {
    keep_smaller(sum.smallest_silent, *part.smallest_silent);
  }
  if (part.smallest_crash) {
    keep_smaller(sum.smallest_crash, *part.smallest_crash);
  }
}

/// How many points a range has with so many pairs of H and KV.
std::int64_t points_of(const ProofRange& range, std::size_t pairs) {
  const std::int64_t tp_sizes = range.max_tp_size / range.dp_size;
  constexpr std::int64_t kOfEach = 2 * 2 * 2;  // Dv, gate, lora_rank
  return static_cast<std::int64_t>(pairs * range.head_dims.size()) * tp_sizes * kOfEach;
}

void add(Proof& sum, Proof& part) {
  add(sum.claimed, part.claimed);
  add(sum.unclaimed, part.unclaimed);
  add(sum.other_adapters, part.other_adapters);
  add(sum.other_numbers, part.other_numbers);
  for (std::size_t i = 0; i < sum.of_targets.size(); ++i) {
    sum.of_targets[i].points += part.of_targets[i].points;
    sum.of_targets[i].consistent += part.of_targets[i].consistent;
  }
  for (std::size_t i = 0; i < sum.coverage.size(); ++i) {
    sum.coverage[i].points += part.coverage[i].points;
    sum.coverage[i].held.merge(part.coverage[i].held);
    sum.coverage[i].not_held.merge(part.coverage[i].not_held);
  }
  if (part.bad_point) {
    keep_smaller(sum.bad_point, *part.bad_point);
  }
}

}  // namespace

std::int64_t ClassCoverage::grid() const {
  const auto holds = [&](std::int64_t a, std::int64_t b, std::int64_t c) {
    return held.contains({a, b, c}) && !not_held.contains({a, b, c});
  };
  for (std::int64_t m = 1;; ++m) {
    for (std::int64_t i = 1; i <= m; ++i) {
      for (std::int64_t j = 1; j <= m; ++j) {
        for (std::int64_t k = 1; k <= m; ++k) {
          if (std::max({i, j, k}) == m && !holds(i, j, k)) {
            return m - 1;
          }
        }
      }
    }
  }
}

Proof prove(const Contract& contract, const ProofRange& range, int jobs,
            const std::function<void(double)>& progress) {
  Proof sum;
  std::size_t pairs = 0;
  for_each_heads(range, jobs, progress, [&](std::int64_t H, std::int64_t KV, std::mutex& mutex) {
    Proof part = Worker(contract, range).run(H, KV);
    const std::scoped_lock lock(mutex);
    add(sum, part);
    ++pairs;
  });
  ensure(sum.bad_point || sum.claimed.points() + sum.unclaimed.points() == points_of(range, pairs),
         "a proof counts every point once");
  return sum;
}

}  // namespace tplora::core
