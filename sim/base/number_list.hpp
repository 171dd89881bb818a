// Lists of numbers on the command line: "0,2-3".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/result.hpp"

namespace tplora::core {

/// Numbers and ranges from `least` to `most`, ascending, each once. Refused: anything else, with
/// `option` and `expected` in the sentence.
[[nodiscard]] Result<std::vector<std::int64_t>> read_number_list(const std::string& text,
                                                                 std::int64_t least,
                                                                 std::int64_t most,
                                                                 const char* option,
                                                                 const char* expected);

}  // namespace tplora::core
