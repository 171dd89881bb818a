// Cases that are told together.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "verify/report/case_record.hpp"

namespace tplora::core {

/// Cases that one story tells, by their place in the list, in order of their first: what is not as
/// expected (where nothing is expected: what is wrong) under one engine by the same causes; with
/// `with_expected` also what is wrong as expected.
[[nodiscard]] std::vector<std::vector<std::size_t>> stories_of(const std::vector<CaseRecord>& cases,
                                                               bool with_expected);
/// Where cases are: "org/model tp 4, 8; org/other tp 2".
[[nodiscard]] std::string where_text(const std::vector<CaseRecord>& cases,
                                     const std::vector<std::size_t>& numbers);

}  // namespace tplora::core
