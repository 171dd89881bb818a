// Outcomes as text for people.
#pragma once

#include <string>
#include <vector>

#include "verify/report/layer_report.hpp"

namespace tplora {

/// One line for each part of a rank's buffers: which logical rows stand where.
[[nodiscard]] std::string row_map(const PreparedCase& item, const Analysis& analysis);

/// The `layout` report: a line for each other layer kind, then verdict, geometry, row map of each
/// rank and findings of the one shown.
[[nodiscard]] std::string layout_text(const std::vector<LayerReport>& layers, std::size_t shown);

/// Findings told once for all ranks they concern, indented, at most `most` of them.
[[nodiscard]] std::string findings_text(const std::vector<Finding>& findings, std::size_t most);

/// "16 q heads, 2 kv heads, head_dim 256, hidden_size 2048, gated q".
[[nodiscard]] std::string geometry_text(const QkvGeometry& geometry);

}  // namespace tplora
