// All mutants of one contract, judged and blamed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "verify/mutants/blame_score.hpp"
#include "verify/mutants/judge.hpp"

namespace tplora::core {

/// All mutants of one contract.
struct MutantScore {
  std::string engine;
  std::size_t points = 0;
  std::map<Fate, std::int64_t> fates;
  struct Unnoticed {
    Fate fate;
    std::string place, what, reason;
  };
  std::vector<Unnoticed> named;  ///< those spare and survived, in the order of generation
  /// With MutantOptions::blame: of those that are silent or crash somewhere, one for each tp_size
  /// at which they do.
  std::map<Named, std::int64_t> blames;
  struct Blamed {
    Named how;
    std::string place, what, blamed, at;
  };
  std::vector<Blamed> blamed;  ///< those not named first everywhere, in the order of generation

  [[nodiscard]] std::int64_t total() const;
};

struct MutantOptions {
  std::int64_t max_heads = 8;
  std::int64_t max_tp_size = 8;
  std::int64_t every = 1;  ///< judge each n-th mutant only
  int jobs = 0;
  bool blame = false;  ///< also look whether findings name the changed place
};

/// Generates and judges. The thread count changes nothing in the result.
[[nodiscard]] MutantScore score_mutants(const Contract& contract, const MutantOptions& options);

}  // namespace tplora::core
