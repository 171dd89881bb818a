// Pins: the exceptions a suite expects, each with its reason and link.
#pragma once

#include "sim/base/fields.hpp"
#include "verify/case/suite.hpp"
#include "verify/case/suite_names.hpp"

namespace tplora::core {

/// Gives the cases that the list `pins` of a suite file names their expectation
/// (docs/formats/suite.md). A pin names models, an engine, and tp sizes or a formula `when` or
/// both; cases that the suite expects to be refused keep that. Refused by `errors`: a pin of a
/// model that matches no case, so that a stale pin does not linger.
void apply_pins(const Fields& fields, SuiteNames& names, FirstError& errors, Suite& suite);

}  // namespace tplora::core
