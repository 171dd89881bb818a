// Two contracts over the same small world: where the second does worse or better than the first.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "sim/contract/contract.hpp"
#include "sim/layout/proof_point.hpp"
#include "sim/layout/verdict.hpp"

namespace tplora::core {

/// From best to worst for whoever serves the model: works, says no, fails on load, serves wrong
/// content.
inline constexpr std::array<Verdict, 4> kFromBestToWorst = {Verdict::consistent, Verdict::refused,
                                                            Verdict::crash, Verdict::silent};
/// Its place among those. Precondition: one of them.
[[nodiscard]] std::size_t badness(Verdict verdict);

/// Points at which the verdict went from one to another.
struct Transition {
  std::int64_t points = 0;
  std::optional<ProofPoint> smallest;
};

/// Points inside the base contract's claims: it is these that a change can break.
struct Comparison {
  std::array<std::array<Transition, 4>, 4> from_to;  ///< by badness: of the base, of the contract
  std::int64_t points = 0;
  /// The smallest point at which a formula of either is undefined or a claim has no value.
  std::optional<ProofPoint> bad_point;

  [[nodiscard]] std::int64_t worse() const;
  [[nodiscard]] std::int64_t better() const;
};

/// Checks every point under both, those of other adapters and other numbers too. The thread count
/// changes nothing in the result; `progress` as by prove. Preconditions: the range is valid; both
/// take adapters of the same form.
[[nodiscard]] Comparison prove_against(const Contract& base, const Contract& contract,
                                       const ProofRange& range, int jobs,
                                       const std::function<void(double)>& progress = {});

}  // namespace tplora::core
