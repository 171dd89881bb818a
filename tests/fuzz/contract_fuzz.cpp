#include <fmt/format.h>

#include <memory>

#include "tests/fuzz/target.hpp"
#include "verify/case/slots.hpp"

namespace tplora::fuzz {

using namespace core;
namespace {

/// Heads are divided at tp 2 and replicated at tp 4; value heads are narrower.
QkvGeometry small_geometry() {
  return {.hidden_size = 4,
          .num_attention_heads = 4,
          .num_key_value_heads = 2,
          .head_dim = 3,
          .v_head_dim = 2,
          .q_multiplier = 1,
          .qkv_bias = false,
          .config_num_attention_heads = 4,
          .config_num_key_value_heads = 2,
          .config_head_dim = 3};
}

/// Two adapters side by side, after a slot's earlier tenant has gone.
Case standard_case(const Contract& contract) {
  Case one;
  one.max_lora_rank = 2;
  set_standard_scenario(one, 2, 1);
  for (AdapterSpec& adapter : one.adapters) {
    adapter.shared_a = contract.takes_fused_adapters();
  }
  return one;
}

/// Steps of every kind; the engine chooses the slots, and whatever its rules are, a and b are put
/// back from the host's copies.
Case pool_case(const Contract& contract) {
  const bool fused = contract.takes_fused_adapters();
  const auto parsed = parse_case(
      fmt::format("model=m engine=e tp=1 R=2 slots=3 "
                  "adapters=a:r2:alpha4:{0},b:r1:alpha2:{1},z:r2:alpha8:{0} tokens=a,b,-,a "
                  "steps=load:z,use:z,load:a,rescale:a:alpha5,load:b,evict:a,evict:b,activate:b,"
                  "activate:a,use:b,rescale:b:alpha3",
                  fused ? "fused" : "qkv", fused ? "fused" : "qv"));
  check(parsed.has_value(), "the line of the pool case parses");
  auto chosen = choose_slots(*parsed, contract.pool);
  check(chosen.has_value(), "the pool case is right under every rule for slots");
  return std::move(*chosen);
}

/// Laws, explanations and numbers of the contract on one case at one tp_size.
void run(const std::shared_ptr<const Contract>& contract, Case one, std::int64_t tp_size) {
  PreparedCase item{.spec = std::move(one),
                    .contract = contract,
                    .traits = {},
                    .geometry = small_geometry(),
                    .kind = "all",
                    .layers = {0},
                    .why_no_qkv = {},
                    .tensors = nullptr,
                    .checkpoint = {},
                    .bug = {},
                    .numbers = false,
                    .expect = {},
                    .role = {}};
  item.spec.tp_size = tp_size;
  run_case(std::move(item));
}

}  // namespace

void contract(std::string_view bytes) {
  if (const auto record = parse_bug_record(bytes, "fuzz.json"); !record) {
    check_error(record.error(), ".json");
  }
  const auto contracts = parse_contract_set(bytes, configs().root / "bugs" / "fuzz.json");
  if (!contracts) {
    return check_error(contracts.error(), ".json");
  }
  const auto& contract =
      contracts->of({.model_type = "fuzz", .architecture = "fuzz", .modules = "fuzz"});
  for (const std::int64_t tp_size : {1, 2, 4}) {
    run(contract, standard_case(*contract), tp_size);
    run(contract, pool_case(*contract), tp_size);
  }
}

}  // namespace tplora::fuzz
