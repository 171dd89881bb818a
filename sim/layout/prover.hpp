// The laws over a whole small world: every geometry and tp_size in a range, or the smallest
// counterexample.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "sim/contract/contract.hpp"
#include "sim/layout/proof_point.hpp"
#include "sim/layout/verdict.hpp"

namespace tplora::core {

/// How tp_size stands to KV.
enum class TpClass { below, equal, above, uneven };
inline constexpr std::array<TpClass, 4> kTpClasses = {TpClass::below, TpClass::equal,
                                                      TpClass::above, TpClass::uneven};

/// The consistent points of one TpClass. Where one of tp_size and KV divides the other, a plan's
/// formulas are sums and products of three whole numbers (and D, Dv, gate, t): below of KV/T, T and
/// H/KV, above of KV, T/KV and H/T, with T = tp_size/dp_size. The points of tp_size = KV are in the
/// triples of both.
struct ClassCoverage {
  std::int64_t points = 0;
  std::set<std::array<std::int64_t, 3>> held;      ///< triples where something was consistent
  std::set<std::array<std::int64_t, 3>> not_held;  ///< triples where something claimed was not

  /// Largest m such that every triple of numbers from 1 to m held throughout: a formula of degree
  /// below m in each of the three is pinned down by these values alone.
  [[nodiscard]] std::int64_t grid() const;
};

/// Outcomes of one half of the range: inside the contract's claims, or outside.
struct Tally {
  std::int64_t consistent = 0, refused = 0, crash = 0, silent = 0;
  /// Outside the claims only: the description has no meaning there.
  std::int64_t undescribed = 0;
  std::optional<ProofPoint> smallest_silent, smallest_crash;
  std::array<std::int64_t, kLawCount> broken = {};  ///< by Law: silent points that break it

  [[nodiscard]] std::int64_t points() const {
    return consistent + refused + crash + silent + undescribed;
  }
};

struct Proof {
  Tally claimed, unclaimed;
  Tally other_adapters;  ///< claimed points with adapters of other shapes, see ProofRange
  Tally other_numbers;   ///< claimed points with other numbers, see ProofRange
  /// Of other_adapters, those of each set of parts (bit 0: q, 1: k, 2: v): how many, and how many
  /// of them are consistent.
  struct OfTargets {
    std::int64_t points = 0, consistent = 0;
  };
  std::array<OfTargets, 8> of_targets = {};
  std::array<ClassCoverage, 4> coverage;  ///< by TpClass, of the claimed half
  /// The smallest point at which a claim has no value, or a formula inside the claims.
  std::optional<ProofPoint> bad_point;

  /// No claimed point is silent, and something is consistent.
  [[nodiscard]] bool holds() const {
    return !bad_point && claimed.silent == 0 && other_adapters.silent == 0 &&
           other_numbers.silent == 0 && claimed.consistent > 0;
  }
};

/// Checks every point. Precondition: the range is valid. The thread count changes nothing in the
/// result. `progress` is told the share done, from 0 to 1, from one thread at a time.
[[nodiscard]] Proof prove(const Contract& contract, const ProofRange& range, int jobs,
                          const std::function<void(double)>& progress = {});

}  // namespace tplora::core
