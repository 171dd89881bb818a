// Row maps as pictures.
#pragma once

#include <cstddef>
#include <string>

#include "verify/run/laws.hpp"

namespace tplora::core {

/// For each tp_rank that is told an SVG, all bands on one scale: over the rank's output columns
/// what they must be and what the base weight holds; for each adapter that something is wrong with
/// (else the first in a slot) the rows of the LoRA-B buffer and of the slice put into it, what the
/// rank's own slice has for each column, and what the kernel meets there. What findings call wrong
/// is hatched, has a sign, and stands below in words. Ranks on which something is wrong come first;
/// at most `most` of them. Empty where nothing could be planned.
[[nodiscard]] std::string bands_html(const LayerReport& report, std::size_t most);

}  // namespace tplora::core
