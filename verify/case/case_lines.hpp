// Case lines with places that take one value after the other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/base/json.hpp"

namespace tplora::core {

/// The line of `view` with each combination of the values that `vary`, an object, has for its
/// places: "{r}" in the line is the value of "r". The first key changes slowest. Refused, at its
/// place: a place without values and values without a place, values that are no list of texts and
/// integers and no "1-8", more than `most` lines or `most_bytes` of them.
[[nodiscard]] Result<std::vector<std::string>> case_lines(const JsonView& view,
                                                          const std::optional<JsonView>& vary,
                                                          std::size_t most, std::size_t most_bytes);

/// Positive integers as a list of integers and ranges, or as one text: [1, 2, "4-8"], "1-8,16". In
/// the order written, each once. Refused: what is above `most`.
[[nodiscard]] Result<std::vector<std::int64_t>> number_list(const JsonView& view,
                                                            std::int64_t most);

}  // namespace tplora::core
