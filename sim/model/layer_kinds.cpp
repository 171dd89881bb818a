#include "sim/model/layer_kinds.hpp"

#include <algorithm>
#include <numeric>

#include "sim/model/config_heads.hpp"

namespace tplora::core {

Result<LayerKind> usual_kind(const ConfigContext& context) {
  const auto geometry = base_geometry(context);
  return geometry ? kind_with(context, *geometry, context.rule->form) : fail(geometry.error());
}

Result<LayerKind> kind_with(const ConfigContext& context, const QkvGeometry& geometry,
                            const CheckpointForm& form) {
  if (auto valid = validate(geometry); !valid) {
    return context.config.error(valid.error().sentence);
  }
  LayerKind kind{
      .kind = "all", .indices = {}, .geometry = geometry, .why_no_qkv = {}, .checkpoint = form};
  kind.geometry->fused_order = form.fusion == Fusion::qkv ? form.order : RowOrder::blocks;
  kind.checkpoint.gate = geometry.q_multiplier == 2 ? GateLayout::per_head : GateLayout::none;
  return kind;
}

LayerKind without_qkv(std::string_view why) {
  return {.kind = "all",
          .indices = {},
          .geometry = std::nullopt,
          .why_no_qkv = std::string(why),
          .checkpoint = {}};
}

Result<std::vector<LayerKind>> one_kind(const ConfigContext& context, LayerKind kind) {
  const auto layers = layer_count(context);
  if (!layers) {
    return fail(layers.error());
  }
  kind.kind = "all";
  kind.indices.resize(static_cast<std::size_t>(*layers));
  std::iota(kind.indices.begin(), kind.indices.end(), 0);
  return std::vector<LayerKind>{std::move(kind)};
}

std::vector<LayerKind> merge_if_alike(std::vector<LayerKind> kinds) {
  const LayerKind& first = kinds.front();
  const bool alike = std::all_of(kinds.begin(), kinds.end(), [&](const LayerKind& kind) {
    return kind.geometry && kind.geometry == first.geometry && kind.checkpoint == first.checkpoint;
  });
  const bool some_layers_only = kinds.size() == 1 && first.indices.empty();
  if (!alike || some_layers_only) {
    return kinds;
  }
  LayerKind all = first;
  all.kind = "all";
  for (std::size_t i = 1; i < kinds.size(); ++i) {
    all.indices.insert(all.indices.end(), kinds[i].indices.begin(), kinds[i].indices.end());
  }
  std::sort(all.indices.begin(), all.indices.end());
  return {std::move(all)};
}

}  // namespace tplora::core
