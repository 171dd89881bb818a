// Where a contract says that its engine works.
#pragma once

#include <optional>

#include "sim/contract/contract.hpp"
#include "sim/layout/deployment.hpp"

namespace tplora::core {

/// A claim under which a case does not fall.
struct UnmetClaim {
  const Claim* claim = nullptr;  ///< of the contract
  bool undefined = false;        ///< it has no value here: a division that leaves a remainder
};

/// The first claim that the case does not meet; nothing where it lies inside all of them.
[[nodiscard]] std::optional<UnmetClaim> unmet_claim(const Contract& contract,
                                                    const QkvGeometry& geometry,
                                                    const Deployment& deployment);

/// Whether the case lies inside the contract's claims; nothing where one has no value.
[[nodiscard]] std::optional<bool> inside_claims(const Contract& contract,
                                                const QkvGeometry& geometry,
                                                const Deployment& deployment);

}  // namespace tplora::core
