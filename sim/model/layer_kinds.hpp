// Small makers of layer kinds, shared by the layer rules.
#pragma once

#include "sim/model/family.hpp"

namespace tplora::core {

/// A kind with the config's usual geometry and the family's usual form; indices are not set.
[[nodiscard]] Result<LayerKind> usual_kind(const ConfigContext& context);

/// A kind with a geometry that differs from the usual one. Refused: what `validate` refuses.
[[nodiscard]] Result<LayerKind> kind_with(const ConfigContext& context, const QkvGeometry& geometry,
                                          const CheckpointForm& form);

/// A kind without a qkv projection.
[[nodiscard]] LayerKind without_qkv(std::string_view why);

/// `kind`, called "all", for every layer; its indices are empty where the layer count is unknown.
[[nodiscard]] Result<std::vector<LayerKind>> one_kind(const ConfigContext& context, LayerKind kind);

/// The kinds as they are or, where all have one geometry and form, one kind called "all".
[[nodiscard]] std::vector<LayerKind> merge_if_alike(std::vector<LayerKind> kinds);

/// Why a layer that computes no K and V of its own has no qkv projection.
inline constexpr std::string_view kSharedKv =
    "only q is projected here: k and v are those of an earlier layer";

}  // namespace tplora::core
