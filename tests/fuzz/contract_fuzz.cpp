#include <memory>

#include "sim/numerics/program.hpp"
#include "tests/fuzz/target.hpp"
#include "verify/cli/runner.hpp"

namespace tplora::fuzz {
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

/// Laws, explanations and numbers of the contract at one tp_size.
void run(const std::shared_ptr<const Contract>& contract, std::int64_t tp_size) {
  PreparedCase item{.one = {},
                    .contract = contract,
                    .geometry = small_geometry(),
                    .kind = "all",
                    .layers = {0},
                    .why_no_qkv = {},
                    .checkpoint = {},
                    .numbers = find_program(contract->program) != nullptr,
                    .expect = {},
                    .role = {}};
  item.one.tp_size = tp_size;
  item.one.max_lora_rank = 2;
  set_standard_scenario(item.one, 2, 1);
  for (AdapterSpec& adapter : item.one.adapters) {
    adapter.shared_a = contract->takes_fused_adapters();
  }
  RunOptions options;
  options.jobs = 1;
  if (const auto outcomes = run_cases({item}, options); !outcomes) {
    check_error(outcomes.error(), ".json");
  }
}

}  // namespace

void contract(std::string_view bytes) {
  auto compiled = parse_contract(bytes, configs().root / "bugs" / "fuzz.json");
  if (!compiled) {
    return check_error(compiled.error(), ".json");
  }
  const auto contract = std::make_shared<const Contract>(std::move(*compiled));
  for (const std::int64_t tp_size : {1, 2, 4}) {
    run(contract, tp_size);
  }
}

}  // namespace tplora::fuzz
