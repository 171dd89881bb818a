// Conditions on a case in a suite file: where a refusal is right, where a pin holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sim/base/fields.hpp"
#include "sim/contract/formula.hpp"
#include "verify/case/prepared_case.hpp"

namespace tplora::core {

/// The formula in the field `key`, over the predefined symbols; nothing where the field is absent.
/// Refused by `errors`: what Formula::parse refuses.
[[nodiscard]] std::optional<Formula> read_condition(const Fields& fields, std::string_view key,
                                                    FirstError& errors);

/// Value of a formula over the predefined symbols that are known before any rank is built, for a
/// case whose layer has a qkv projection. Refused: a formula that is undefined there.
[[nodiscard]] Result<std::int64_t> evaluate_for(const Formula& formula, const PreparedCase& item);

}  // namespace tplora::core
