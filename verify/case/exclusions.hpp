// Cases of a grid that are left out.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/base/fields.hpp"
#include "sim/contract/formula.hpp"
#include "verify/case/prepared_case.hpp"
#include "verify/case/suite_names.hpp"

namespace tplora::core {

/// The list `exclude` of an entry of a suite (docs/formats/suite.md): what has all that one of them
/// says is left out.
class Exclusions {
 public:
  /// Refused by `errors`: one that says nothing of which cases, and names that `names` refuses.
  Exclusions(const Fields& fields, SuiteNames& names, FirstError& errors);

  /// Whether the case is left out. Refused: a formula that is undefined for it.
  [[nodiscard]] Result<bool> leaves_out(const PreparedCase& item);

  /// Refuses one that left out nothing: it says something else than was meant.
  [[nodiscard]] Result<void> all_used() const;

 private:
  struct Exclusion {
    JsonView view;
    std::set<std::string> models, engines, layers;  ///< empty: any
    std::set<std::int64_t> tp_sizes;                ///< empty: any
    std::optional<Formula> when;
    bool used = false;
  };
  std::vector<Exclusion> list_;
};

}  // namespace tplora::core
