// Layer rules for models with several checkpoint forms.
#include "sim/model/config_heads.hpp"
#include "sim/model/config_keys.hpp"
#include "sim/model/layer_kinds.hpp"
#include "sim/model/layer_rules.hpp"

namespace tplora::core {

namespace {

Result<std::vector<LayerKind>> alike_in_order(const ConfigContext& context, RowOrder order) {
  CheckpointForm form = context.rule->form;
  form.order = order;
  const auto g = base_geometry(context);
  auto kind = g ? kind_with(context, *g, form) : Result<LayerKind>(fail(g.error()));
  return kind ? one_kind(context, std::move(*kind)) : fail(kind.error());
}

}  // namespace

Result<std::vector<LayerKind>> fused_by_query_flag(const ConfigContext& context) {
  const auto multi_query = read_flag(context.config, "multi_query", true);
  if (!multi_query) {
    return fail(multi_query.error());
  }
  return alike_in_order(context, *multi_query ? RowOrder::blocks : RowOrder::per_head);
}

Result<std::vector<LayerKind>> fused_by_decoder_form(const ConfigContext& context) {
  const auto new_form = read_flag(context.config, "new_decoder_architecture", false);
  if (!new_form) {
    return fail(new_form.error());
  }
  return *new_form ? alike_in_order(context, RowOrder::per_group) : fused_by_query_flag(context);
}

}  // namespace tplora::core
