#include "sim/layout/claims.hpp"

namespace tplora::core {

std::optional<UnmetClaim> unmet_claim(const Contract& contract, const QkvGeometry& geometry,
                                      const Deployment& deployment) {
  if (contract.claims.empty()) {
    return std::nullopt;
  }
  const SymbolValues values = symbol_values(geometry, deployment);
  for (const Claim& claim : contract.claims) {
    const auto holds = claim.that.evaluate(values);
    if (!holds || *holds == 0) {
      return UnmetClaim{.claim = &claim, .undefined = !holds};
    }
  }
  return std::nullopt;
}

std::optional<bool> inside_claims(const Contract& contract, const QkvGeometry& geometry,
                                  const Deployment& deployment) {
  const auto unmet = unmet_claim(contract, geometry, deployment);
  return unmet && unmet->undefined ? std::nullopt : std::optional(!unmet);
}

}  // namespace tplora::core
