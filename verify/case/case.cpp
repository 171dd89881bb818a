#include "verify/case/case.hpp"

#include <fmt/format.h>

namespace tplora {
namespace {

/// A path may hold blanks, and a case line is split at blanks.
std::string escaped(const std::string& text) {
  std::string line;
  for (const char c : text) {
    line += c == ' ' ? "%20" : c == '%' ? "%25" : std::string(1, c);
  }
  return line;
}

std::string print_adapter(const AdapterSpec& spec) {
  std::string targets = spec.shared_a ? "fused" : "";
  for (std::size_t part = 0; part < 3 && !spec.shared_a; ++part) {
    targets += spec.targets[part] ? std::string(1, "qkv"[part]) : "";
  }
  return fmt::format("{}:r{}:alpha{}:{}", spec.name, spec.lora_rank, spec.lora_alpha,
                     targets.empty() ? "none" : targets);
}

}  // namespace

std::string print_step(const PoolStep& step, const std::string& adapter) {
  const std::string slot =
      step.slot == PoolStep::kEnginesChoice ? "" : "@" + std::to_string(step.slot);
  switch (step.kind) {
    case PoolStep::Kind::load: return "load:" + adapter + slot;
    case PoolStep::Kind::activate: return "activate:" + adapter + slot;
    case PoolStep::Kind::rescale:
      return fmt::format("rescale:{}:alpha{}", adapter, step.lora_alpha);
    case PoolStep::Kind::use: return "use:" + adapter;
    case PoolStep::Kind::evict: break;
  }
  return "evict:" + adapter;
}

std::string print_case(const Case& one) {
  std::string line = "model=" + escaped(one.model);
  const auto put = [&](const char* key, const std::string& value) {
    line += fmt::format(" {}={}", key, value);
  };
  const auto name_of = [&](int adapter) {
    return adapter < 0 ? "-" : one.adapters[static_cast<std::size_t>(adapter)].name;
  };
  if (!one.layer.empty()) {
    put("layer", escaped(one.layer));
  }
  put("engine", escaped(one.engine));
  put("tp", std::to_string(one.tp_size));
  if (one.dp_size != 1) {
    put("dp", std::to_string(one.dp_size));
  }
  put("R", std::to_string(one.max_lora_rank));
  put("slots", std::to_string(one.slots));
  std::vector<std::string> items;
  for (const AdapterSpec& adapter : one.adapters) {
    items.push_back(print_adapter(adapter));
  }
  if (!items.empty()) {
    put("adapters", fmt::format("{}", fmt::join(items, ",")));
  }
  items.clear();
  for (const int token : one.tokens) {
    items.push_back(name_of(token));
  }
  put("tokens", fmt::format("{}", fmt::join(items, ",")));
  items.clear();
  for (const PoolStep& step : one.steps) {
    items.push_back(print_step(step, name_of(step.adapter)));
  }
  if (!items.empty()) {
    put("steps", fmt::format("{}", fmt::join(items, ",")));
  }
  put("dtype", std::string(scalar_type_name(one.dtype)));
  put("accumulator", accumulator_name(one.accumulator));
  if (one.base_accumulator) {
    put("base_accumulator", accumulator_name(*one.base_accumulator));
  }
  put("data", std::string(data_kind_name(one.data)));
  put("seed", std::to_string(one.seed));
  return line;
}

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
      adapters[static_cast<std::size_t>(step.adapter)].lora_alpha = step.lora_alpha;
    }
  }
  return adapters;
}

AdapterShape shape_of(const AdapterSpec& adapter) {
  return {.lora_rank = adapter.lora_rank,
          .lora_alpha = adapter.lora_alpha,
          .targets = adapter.targets,
          .shared_a = adapter.shared_a};
}

std::vector<AdapterShape> shapes_of(const std::vector<AdapterSpec>& adapters) {
  std::vector<AdapterShape> shapes;
  shapes.reserve(adapters.size());
  for (const AdapterSpec& spec : adapters) {
    shapes.push_back(shape_of(spec));
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

}  // namespace tplora
