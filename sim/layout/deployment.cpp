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

}  // namespace tplora::core
