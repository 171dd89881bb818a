// Whether the place that a mutant changes is the one that findings blame.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "verify/mutants/judge.hpp"

namespace tplora::core {

/// How the changed place was named.
enum class Named {
  first,       ///< first of all
  equivalent,  ///< another first, at which a change makes the mutant right wherever it was tried
  later,       ///< among the others
  never,
};
[[nodiscard]] std::string_view named_name(Named named);

struct BlamedMutant {
  std::map<Named, std::int64_t> counts;  ///< one for each tp_size
  Named worst = Named::first;            ///< of these, at the first tp_size where it is so:
  std::string blamed;                    ///< what was named first; empty: nothing was
  std::string case_text;                 ///< where
};

/// Blames a mutant where the original is consistent and the mutant is silent or crashes, at one
/// point of each tp_size. Nothing where there is none. The contract is
/// looked at as one file: that the changed place is in another file than the rest is no help.
[[nodiscard]] std::optional<BlamedMutant> blame_mutant(const Judge& judge, const Mutant& mutant);

}  // namespace tplora::core
