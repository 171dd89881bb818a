// A geometry written out in one argument.
#pragma once

#include <string>

#include "sim/base/result.hpp"
#include "sim/model/geometry.hpp"

namespace tplora::core {

/// Reads "H=16,KV=2,D=256,hidden=2048[,Dv=..][,gate=2][,bias=1][,per_group=1][,H_config=..]
/// [,KV_config=..][,D_config=..]" into a model of one layer. Dv defaults to D, gate to 1, bias to
/// 0, per_group (a fused checkpoint in that order) to 0, and the config's global values to H, KV
/// and D (0: the config has no such key). Refused: unknown, missing and repeated keys, values that
/// are no integer of 64 bits, what `validate` refuses.
[[nodiscard]] Result<Model> read_inline_geometry(const std::string& text);

/// The text that reads back to the geometry, keys at their defaults left out. Precondition: it is
/// valid.
[[nodiscard]] std::string print_inline_geometry(const QkvGeometry& geometry);

}  // namespace tplora::core
