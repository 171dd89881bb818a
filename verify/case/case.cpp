#include "verify/case/case.hpp"

namespace tplora::core {
void set_standard_scenario(Case& one, std::int64_t first_lora_rank, std::int64_t second_lora_rank) {
  const auto adapter = [](const char* name, std::int64_t lora_rank) {
    AdapterSpec spec;
    spec.name = name;
    spec.lora_rank = lora_rank;
    spec.lora_alpha = 2 * lora_rank;
    spec.targets = {true, true, true};
    return spec;
  };
  using Kind = PoolStep::Kind;
  one.slots = 2;
  one.adapters = {adapter("a", first_lora_rank), adapter("b", second_lora_rank),
                  adapter("z", one.max_lora_rank)};
  one.steps = {{Kind::load, 2, 0}, {Kind::evict, 2, 0}, {Kind::load, 0, 0}, {Kind::load, 1, 1}};
  one.tokens = {0, 1, -1, 0};
}

std::vector<std::string> adapter_names(const Case& one) {
  std::vector<std::string> names;
  for (const AdapterSpec& adapter : one.adapters) {
    names.push_back(adapter.name);
  }
  return names;
}

std::vector<AdapterSpec> adapters_after_steps(const Case& one) {
  std::vector<AdapterSpec> adapters = one.adapters;
  for (const PoolStep& step : one.steps) {
    if (step.kind == PoolStep::Kind::rescale) {
      rescale(adapters[static_cast<std::size_t>(step.adapter)], step.lora_alpha);
    }
  }
  return adapters;
}

std::vector<AdapterShape> shapes_of(const std::vector<AdapterSpec>& adapters) {
  std::vector<AdapterShape> shapes;
  shapes.reserve(adapters.size());
  for (const AdapterSpec& spec : adapters) {
    shapes.push_back(spec);
  }
  return shapes;
}

LayoutCase layout_case(const Case& one, const QkvGeometry& geometry) {
  return {.geometry = geometry,
          .deployment = {.tp_size = one.tp_size,
                         .dp_size = one.dp_size,
                         .max_lora_rank = one.max_lora_rank,
                         .slots = one.slots,
                         .tokens = static_cast<std::int64_t>(one.tokens.size())},
          .adapters = shapes_of(one.adapters),
          .steps = one.steps};
}

}  // namespace tplora::core
