// Verdicts at a glance.
#pragma once

#include <string>
#include <vector>

#include "verify/report/case_record.hpp"

namespace tplora::core {

/// The model of a case, with the layer kind where it has several.
[[nodiscard]] std::string layer_name(const CaseRecord& one);

/// For each engine a row for each model and layer kind with a qkv projection, a character for each
/// tp_size; bugs have a table of their own. Empty where there is no such case.
[[nodiscard]] std::string table_text(const std::vector<CaseRecord>& cases);

}  // namespace tplora::core
