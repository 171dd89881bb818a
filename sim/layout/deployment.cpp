#include "sim/layout/deployment.hpp"

namespace tplora::core {

SymbolValues symbol_values(const QkvGeometry& geometry, const Deployment& deployment) {
  SymbolValues values = {};
  ensure(geometry.num_key_value_heads > 0 &&
             geometry.num_attention_heads % geometry.num_key_value_heads == 0,
         "each KV head has equally many query heads");
  ensure(deployment.tp_size > 0 && deployment.dp_size > 0 &&
             deployment.tp_size % deployment.dp_size == 0,
         "ranks are dealt out evenly to attention groups");
  ensure(deployment.slots > 0 && deployment.max_lora_rank > 0,
         "a pool has slots, and they columns");
  ensure(deployment.tokens >= 0, "a batch has no fewer than no tokens");
  values[symbol::hidden] = geometry.hidden_size;
  values[symbol::H] = geometry.num_attention_heads;
  values[symbol::KV] = geometry.num_key_value_heads;
  values[symbol::D] = geometry.head_dim;
  values[symbol::Dv] = geometry.v_head_dim;
  values[symbol::gate] = geometry.q_multiplier;
  values[symbol::H_config] = geometry.config_num_attention_heads;
  values[symbol::KV_config] = geometry.config_num_key_value_heads;
  values[symbol::D_config] = geometry.config_head_dim;
  values[symbol::tp_size] = deployment.tp_size;
  values[symbol::dp_size] = deployment.dp_size;
  values[symbol::R] = deployment.max_lora_rank;
  values[symbol::slots] = deployment.slots;
  values[symbol::tokens] = deployment.tokens;
  values[symbol::T] = deployment.tp_size;
  return values;
}

void put_adapter(const AdapterShape& adapter, std::span<std::int64_t> values) {
  ensure(values.size() >= symbol::count, "there is a place for each symbol");
  values[symbol::r] = adapter.lora_rank;
  values[symbol::alpha] = adapter.lora_alpha;
  values[symbol::alpha_unit] = adapter.alpha_unit;
  values[symbol::rslora] = adapter.rslora ? 1 : 0;
  const std::array<std::int64_t, 3> layer = {
      values[symbol::H] * values[symbol::gate] * values[symbol::D],
      values[symbol::KV] * values[symbol::D], values[symbol::KV] * values[symbol::Dv]};
  for (const Part part : kParts) {
    const auto i = static_cast<std::size_t>(part);
    values[symbol::has_q + i] = adapter.has(part) ? 1 : 0;
    values[symbol::r_q + i] = adapter.rank_of(part);
    values[symbol::rows_q + i] = adapter.part_rows[i] == 0 ? layer[i] : adapter.part_rows[i];
  }
}

void put_part(const AdapterShape& adapter, Part part, std::span<std::int64_t> values) {
  ensure(values.size() >= symbol::count, "there is a place for each symbol");
  values[symbol::part_r] = adapter.rank_of(part);
  values[symbol::part_alpha] = adapter.alpha_of(part);
}

}  // namespace tplora::core
