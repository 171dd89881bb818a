// Pins: the exceptions a suite expects, each with its reason and link.
#pragma once

#include "sim/base/json.hpp"
#include "sim/base/result.hpp"
#include "sim/contract/formula.hpp"
#include "verify/case/suite.hpp"

namespace tplora {

/// Value of a formula over the predefined symbols that are known before any rank is built, for a
/// case whose layer has a qkv projection. Refused: a formula that is undefined there.
[[nodiscard]] Result<std::int64_t> evaluate_for(const Formula& formula, const PreparedCase& item);

/// Gives the cases that the list `pins` of a suite names their expectation (docs/formats/suite.md).
/// A pin names models, an engine, and tp sizes or a formula `when` or both; cases that the suite
/// expects to be refused keep that. Refused: a pin of a model that matches no case, so that a stale
/// pin does not linger.
[[nodiscard]] Result<void> apply_pins(const JsonView& root, Suite& suite);

}  // namespace tplora
