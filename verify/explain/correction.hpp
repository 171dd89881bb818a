// Formulas with what is required of them put right, as texts.
#pragma once

#include <string>
#include <vector>

#include "verify/explain/required.hpp"

namespace tplora::core {

class Corrector {
 public:
  /// The requirements of every adapter of the case are worked out at once. The contract and the
  /// case must outlive it; the analysis need not.
  Corrector(const Contract& contract, const LayoutCase& input, const Analysis& analysis,
            Lets lets = Lets::with);

  [[nodiscard]] const std::vector<FormulaSite>& sites() const { return sites_; }
  /// The formula of a site in every way that the laws could require of it: one text for each line
  /// of thought, with the corrections that it asks for, each for the rank, the turn and the adapter
  /// for which it does.
  [[nodiscard]] std::vector<std::string> texts(std::size_t site) const;
  /// The same for a let that has one value for all ranks, as if it had looked at the rank.
  [[nodiscard]] std::vector<std::string> texts_by_rank(std::size_t site) const;

 private:
  [[nodiscard]] std::string terms(std::size_t site, const Corrections& corrections,
                                  int adapter) const;
  [[nodiscard]] std::string by_rank(std::size_t site, const Corrections& corrections,
                                    int adapter) const;
  [[nodiscard]] bool is_same_on_all_ranks(std::size_t site) const;
  [[nodiscard]] bool everywhere(const Corrections& corrections) const;
  [[nodiscard]] bool knows_adapter(std::size_t site) const;
  [[nodiscard]] std::string condition_on_adapter(std::size_t site, int adapter) const;

  const Contract& contract_;
  const LayoutCase& input_;
  std::vector<FormulaSite> sites_;
  Contract copy_;  // formulas_of gives formulas to change
  std::vector<Formula*> formulas_;
  /// By adapter, or once where there is none; then by site.
  std::vector<std::vector<std::vector<Way>>> required_;
};

}  // namespace tplora::core
