#include "sim/layout/proof_points.hpp"

#include <utility>
#include <vector>

#include "sim/base/ensure.hpp"
#include "sim/base/parallel_for.hpp"

namespace tplora::core {

namespace {

/// Makes the config's numbers of a layer those that `config` says.
void put_config(ConfigNumbers config, QkvGeometry& g) {
  switch (config) {
    case ConfigNumbers::of_layer: break;
    case ConfigNumbers::no_kv_heads: g.config_num_key_value_heads = 0; break;
    case ConfigNumbers::one_kv_head: g.config_num_key_value_heads = 1; break;
    case ConfigNumbers::twice_kv_heads: g.config_num_key_value_heads *= 2; break;
    case ConfigNumbers::no_head_dim: g.config_head_dim = 0; break;
    case ConfigNumbers::twice_all_heads:
      g.config_num_attention_heads *= 2;
      g.config_num_key_value_heads *= 2;
      break;
    case ConfigNumbers::other_head_dim: ++g.config_head_dim; break;
  }
}

}  // namespace

void place_point(const ProofPoint& point, LayoutCase& input) {
  QkvGeometry& g = input.geometry;
  g.num_attention_heads = g.config_num_attention_heads = point.H;
  g.num_key_value_heads = g.config_num_key_value_heads = point.KV;
  g.head_dim = g.config_head_dim = point.D;
  put_config(point.config, g);
  g.v_head_dim = point.Dv;
  g.q_multiplier = point.gate;
  input.deployment.tp_size = point.tp_size;
  input.deployment.dp_size = point.dp_size;
  input.deployment.max_lora_rank = point.max_lora_rank;
  input.deployment.tokens = proof_tokens(point.tp_size);
  for (std::size_t i = 0; i < input.adapters.size(); ++i) {
    const std::int64_t lora_rank = i == 0 ? point.lora_rank : point.max_lora_rank;
    input.adapters[i].lora_rank = lora_rank;
    input.adapters[i].lora_alpha = proof_alpha(i, lora_rank);
    input.adapters[i].targets = i == 0 ? point.targets : std::array{true, true, true};
  }
}

LayoutCase proof_case(const Contract& contract, const ProofPoint& point) {
  using Kind = PoolStep::Kind;
  const AdapterShape adapter{.shared_a = contract.takes_fused_adapters()};
  LayoutCase input{
      .geometry = {},
      .deployment = {.slots = 2},
      .adapters = {adapter, adapter, adapter},
      .steps = {{Kind::load, 2, 0}, {Kind::evict, 2, 0}, {Kind::load, 0, 0}, {Kind::load, 1, 1}}};
  input.geometry.hidden_size = kProofHidden;
  place_point(point, input);
  return input;
}

void keep_smaller(std::optional<ProofPoint>& kept, const ProofPoint& point) {
  if (!kept || smaller(point, *kept)) {
    kept = point;
  }
}

void for_each_deployment(const ProofRange& range, std::int64_t H, std::int64_t KV,
                         const std::function<void(ProofPoint&)>& body) {
  for (const std::int64_t D : range.head_dims) {
    for (const std::int64_t Dv : {D, D + 1}) {
      for (const std::int64_t gate : {1, 2}) {
        ProofPoint point{
            .H = H, .KV = KV, .D = D, .Dv = Dv, .gate = gate, .dp_size = range.dp_size};
        for (point.tp_size = range.dp_size; point.tp_size <= range.max_tp_size;
             point.tp_size += range.dp_size) {
          point.max_lora_rank = 2 * point.tp_size;
          body(point);
        }
      }
    }
  }
}

void for_each_other_adapter(const Contract& contract, ProofPoint point,
                            const std::function<void(const ProofPoint&)>& body) {
  const std::int64_t most = point.max_lora_rank - 2;  // the two above are done
  const bool every = point.tp_size <= kMaxTpOfEveryRank;
  for (point.lora_rank = every ? 1 : point.tp_size;
       point.lora_rank <= (every ? most : point.tp_size); ++point.lora_rank) {
    body(point);
  }
  point.lora_rank = point.max_lora_rank - 1;
  for (unsigned parts = 1; parts < 7 && !contract.takes_fused_adapters(); ++parts) {
    point.targets = {(parts & 1U) != 0, (parts & 2U) != 0, (parts & 4U) != 0};
    body(point);
  }
}

void for_each_other_number(const OtherNumbers& numbers, ProofPoint point,
                           const std::function<void(const ProofPoint&)>& body) {
  point.lora_rank = point.max_lora_rank - 1;
  for (const ConfigNumbers config : kConfigNumbers) {
    if (numbers.of_config) {
      point.config = config;
      body(point);
    }
  }
  point.config = ConfigNumbers::of_layer;
  point.dp_size *= 2;
  if (numbers.of_dp && point.tp_size % point.dp_size == 0) {
    body(point);
  }
}

OtherNumbers other_numbers(const Contract& contract) {
  return {.of_config = contract.mentions(symbol::H_config) ||
                       contract.mentions(symbol::KV_config) || contract.mentions(symbol::D_config),
          .of_dp = contract.mentions(symbol::dp_size)};
}

void for_each_heads(
    const ProofRange& range, int jobs, const std::function<void(double)>& progress,
    const std::function<void(std::int64_t H, std::int64_t KV, std::mutex& mutex)>& body) {
  ensure(validate(range).has_value(), "a range that can be proven");
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  for (std::int64_t H = range.max_heads; H >= 1; --H) {  // the longest first
    for (std::int64_t KV = 1; KV <= H; ++KV) {
      if (H % KV == 0) {
        pairs.emplace_back(H, KV);
      }
    }
  }
  std::mutex mutex;
  std::size_t done = 0;
  parallel_for(static_cast<std::int64_t>(pairs.size()), jobs, [&](std::int64_t i) {
    const auto [H, KV] = pairs[static_cast<std::size_t>(i)];
    body(H, KV, mutex);
    const std::scoped_lock lock(mutex);
    ++done;
    if (progress) {
      progress(static_cast<double>(done) / static_cast<double>(pairs.size()));
    }
  });
  ensure(done == pairs.size(), "every pair of H and KV is taken");
}

}  // namespace tplora::core
