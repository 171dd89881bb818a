// Outcomes as text for people.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "verify/run/laws.hpp"

namespace tplora::core {

/// How wrong places are marked: always with a sign, on a terminal in colour too.
struct Paint {
  bool colour = false;
  [[nodiscard]] std::string wrong(const std::string& line, bool is_wrong) const {
    return colour && is_wrong ? "\x1b[31m" + line + "\x1b[0m" : line;
  }
};

/// A line for each copy of each rank: which logical rows it puts where, and what is wrong with
/// them. LoRA-B is that of the case's first adapter.
[[nodiscard]] std::string row_map(const PreparedCase& item, const Analysis& analysis,
                                  const std::vector<Finding>& findings, Paint paint);

/// The `layout` report: a line for each other layer kind, then verdict, geometry, row map of each
/// rank and findings of the one shown.
[[nodiscard]] std::string layout_text(const std::vector<LayerReport>& layers, std::size_t shown,
                                      Paint paint);

/// Where two contracts differ on one layer kind: verdicts, and each rank's lines of the row map
/// that only one of them has ("-" the first, "+" the second). Precondition: both reports are of the
/// same model, layer kind and tp_size.
[[nodiscard]] std::string difference_text(const LayerReport& first, const LayerReport& second);

/// Where the case lies outside the contract's claims: which does not hold; else empty.
[[nodiscard]] std::string unclaimed(const PreparedCase& item);
/// The same as a line.
[[nodiscard]] std::string unclaimed_text(const PreparedCase& item);

/// "1 case", "2 cases". `several`: where it is not `one` with an s.
[[nodiscard]] std::string counted(std::size_t count, const std::string& one,
                                  const std::string& several = "");

/// One line with the names of published bugs; empty where there are none.
[[nodiscard]] std::string same_as_text(const std::vector<std::string>& bugs);

/// "16 q heads, 2 kv heads, head_dim 256, hidden_size 2048, gated q".
[[nodiscard]] std::string geometry_text(const QkvGeometry& geometry);

/// "attn.c_attn, qkv fused in blocks order, stored [in, out] (Conv1D)".
[[nodiscard]] std::string checkpoint_text(const CheckpointForm& form);

}  // namespace tplora::core
