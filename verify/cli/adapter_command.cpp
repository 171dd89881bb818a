#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "sim/base/number_list.hpp"
#include "verify/case/library.hpp"
#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/report/adapter_text.hpp"

namespace tplora::core {
namespace {

Result<Case> case_of(const AdapterCommandOptions& options, const AdapterSpec& spec,
                     const std::string& layer, std::int64_t tp_size) {
  Case one;
  one.model = options.model;
  one.engine = options.engine;
  one.layer = layer;
  one.tp_size = tp_size;
  one.max_lora_rank = options.max_lora_rank == 0 ? spec.largest_rank() : options.max_lora_rank;
  one.adapters = {spec};
  one.tokens = {0, -1};
  one.steps = {{.kind = PoolStep::Kind::load, .adapter = 0, .slot = 0, .lora_alpha = 0}};
  // Read again, as everybody's line is: what it refuses is refused here, too.
  return parse_case(print_case(one));
}

Result<AdapterKindReport> report_kind(const AdapterCommandOptions& options,
                                      AdapterOnLayers on_layers, const LayerKind& kind,
                                      const std::vector<std::int64_t>& sizes,
                                      const ConfigFolders& configs, const FaultNames& names) {
  AdapterKindReport report{kind.kind, std::move(on_layers), {}};
  for (const std::int64_t tp_size : sizes) {
    if (!report.on_layers.spec) {
      break;
    }
    auto laws = case_of(options, *report.on_layers.spec, kind.kind, tp_size)
                    .and_then([&](const Case& one) { return prepare(one, configs); })
                    .and_then([&](PreparedCase item) { return check_laws(std::move(item)); });
    if (!laws) {
      return fail(laws.error());
    }
    auto named = name_faults(*std::move(laws), names);
    if (!named) {
      return fail(named.error());
    }
    report.sizes.push_back(*std::move(named));
  }
  return report;
}

std::vector<std::string> unjudged(const AdapterReport& report, std::int64_t max_lora_rank) {
  std::vector<std::string> list;
  for (const PeftOption& option : report.adapter.options) {
    const auto refused =
        std::find_if(report.refused.begin(), report.refused.end(),
                     [&](const PeftOption& one) { return one.name == option.name; });
    if (refused == report.refused.end()) {
      list.push_back(option.say);
    }
  }
  std::set<std::string> larger;
  for (const PeftModule& module : report.adapter.modules) {
    const bool other = std::find(report.other_modules.begin(), report.other_modules.end(),
                                 module.name) != report.other_modules.end();
    if (max_lora_rank != 0 && other && module.a[0] > max_lora_rank) {
      larger.insert(module.name);
    }
  }
  if (!larger.empty()) {
    list.push_back(fmt::format("{}: a lora_rank above max_lora_rank {}", fmt::join(larger, ", "),
                               max_lora_rank));
  }
  return list;
}

}  // namespace

int adapter_command(const AdapterCommandOptions& options, const ConfigFolders& configs) {
  const auto sizes = read_number_list(options.tp_sizes, 1, 1024, "--tp",
                                      "tp_sizes from 1 to 1024, as in 1-8 or 1,2,4");
  if (!sizes) {
    return bad_input(sizes.error());
  }
  const auto adapter = read_peft_adapter(options.folder);
  if (!adapter) {
    return bad_input(adapter.error());
  }
  Library library(configs);
  const auto model = library.model(options.model);
  if (!model) {
    return bad_input(model.error());
  }
  const auto engine = load_engine(options.engine, configs);
  if (!engine) {
    return bad_input(engine.error());
  }
  const FaultNames names(configs);
  AdapterReport report{
      .adapter = *adapter,
      .model = options.model,
      .engine = options.engine,
      .problems = foreign_layers(*adapter, **model),
      .refused = refused_options(*adapter, engine->contract().peft),
      .unjudged = {},
      .other_modules = other_modules(*adapter, **model),
      .kinds = {},
  };
  report.unjudged = unjudged(report, options.max_lora_rank);
  for (const LayerKind& kind : (*model)->layer_kinds) {
    if (!kind.geometry || !report.refused.empty()) {
      continue;
    }
    for (AdapterOnLayers& on_layers : adapter_on_layers(*adapter, kind)) {
      auto one = report_kind(options, std::move(on_layers), kind, *sizes, configs, names);
      if (!one) {
        return bad_input(one.error());
      }
      report.kinds.push_back(std::move(*one));
    }
  }
  fmt::print("{}", adapter_text(report));
  return adapter_exit_code(report);
}

}  // namespace tplora::core
