// One decoder's head counts: keys, the family's rule for what is absent, bias and gate.
#pragma once

#include "sim/model/family.hpp"

namespace tplora::core {

/// The geometry that the config states for a layer of the usual kind. Layer rules change it where a
/// layer kind differs.
[[nodiscard]] Result<QkvGeometry> base_geometry(const ConfigContext& context);

/// Head counts of one layer, where a config lists them layer by layer.
struct HeadCounts {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
};

/// As base_geometry, with these counts instead of the config's.
[[nodiscard]] Result<QkvGeometry> geometry_with(const ConfigContext& context, HeadCounts counts);

/// num_attention_heads under any of its spellings, or an Error that names them.
[[nodiscard]] Result<std::int64_t> attention_heads(const ConfigContext& context);

/// The layer count; 0 where the config does not tell it. Refused: above kMaxLayers.
[[nodiscard]] Result<std::int64_t> layer_count(const ConfigContext& context);

// Rules for num_key_value_heads, besides kv_heads_or_all.

/// One head for all with `multi_query` (true when absent), else num_attention_heads.
[[nodiscard]] Result<std::int64_t> one_kv_head_by_flag(const ConfigContext& context,
                                                       std::int64_t num_attention_heads);
/// As one_kv_head_by_flag, but the new decoder form counts num_kv_heads, whatever the flag says.
[[nodiscard]] Result<std::int64_t> kv_heads_of_decoder_form(const ConfigContext& context,
                                                            std::int64_t num_attention_heads);
/// multi_query_group_num with `multi_query_attention`, else num_attention_heads.
[[nodiscard]] Result<std::int64_t> kv_heads_by_group_flag(const ConfigContext& context,
                                                          std::int64_t num_attention_heads);

}  // namespace tplora::core
