// Row maps as pictures.
#pragma once

#include <cstddef>
#include <string>

#include "verify/run/laws.hpp"

namespace tplora::core {

/// For each tp_rank that is told an SVG: the LoRA-B buffer beside the slice that is put into it,
/// and over the rank's output columns what the base weight holds, what was put into LoRA-B for the
/// case's first adapter, and what the kernel meets: wrong columns hatched, with a sign and in
/// words. Ranks on which something is wrong come first; at most `most` of them. Empty where nothing
/// could be planned.
[[nodiscard]] std::string bands_html(const LayerReport& report, std::size_t most);

}  // namespace tplora::core
