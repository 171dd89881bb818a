// What `check` found, for people and as JSON.
#pragma once

#include <string>

#include "verify/check/check.hpp"

namespace tplora::core {

/// One sentence of a finding: "v heads 0-1, rows 0-7: found rows 0-7 of k of adapter b, expected
/// those of adapter a".
[[nodiscard]] std::string place_text(const PlaceFinding& finding,
                                     const std::vector<std::string>& adapters);
[[nodiscard]] std::string check_text(const CheckReport& report);
/// docs/formats/check.md.
[[nodiscard]] std::string check_json(const CheckReport& report);

/// 0: right; 1: a mismatch; 3: right, and the golden could not have shown a mistake.
[[nodiscard]] int check_exit_code(const CheckReport& report);

}  // namespace tplora::core
