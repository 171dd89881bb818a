#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "verify/case/library.hpp"
#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/report/html_page.hpp"
#include "verify/report/json_report.hpp"
#include "verify/report/text.hpp"
#include "verify/safetensors/output_file.hpp"

namespace tplora::core {
namespace {

/// `engine`: empty with --case, for the line's own.
Result<Case> layout_case_of(const LayoutOptions& options, const std::string& engine) {
  if (!options.case_line.empty()) {
    auto one = parse_case(options.case_line);
    if (one && !engine.empty()) {
      one->engine = engine;
    }
    return one;
  }
  Case one;
  one.model = options.model;
  one.engine = engine;
  one.layer = options.layer;
  one.tp_size = options.tp_size;
  one.dp_size = options.dp_size;
  one.max_lora_rank = options.max_lora_rank == 0 ? options.lora_rank : options.max_lora_rank;
  set_standard_scenario(one, options.lora_rank, options.lora_rank);
  one.slots = options.slots;
  return one;
}

Result<void> check_options(const LayoutOptions& options) {
  const auto positive = [](const char* name, std::int64_t value, std::int64_t most) {
    return value >= 1 && value <= most
               ? Result<void>()
               : Result<void>(
                     fail(fmt::format("{} {}: expected a number from 1 to {}", name, value, most)));
  };
  return positive("--tp", options.tp_size, 1024)
      .and_then([&] { return positive("--dp", options.dp_size, 1024); })
      .and_then([&] { return positive("--lora-rank", options.lora_rank, 4096); })
      .and_then([&] {
        return positive("--max-lora-rank", options.max_lora_rank == 0 ? 1 : options.max_lora_rank,
                        4096);
      })
      .and_then([&] {
        return options.slots >= 2 && options.slots <= 256
                   ? Result<void>()
                   : Result<void>(fail(
                         fmt::format("--slots {}: expected 2 to 256, an adapter and its neighbour",
                                     options.slots)));
      })
      .and_then([&] {
        return options.tp_size % options.dp_size == 0
                   ? Result<void>()
                   : Result<void>(fail(fmt::format("--dp {} does not divide --tp {}",
                                                   options.dp_size, options.tp_size)));
      });
}

/// A report for each layer kind of the model. A case of the user's own is taken as it is.
Result<std::vector<LayerReport>> report_layers(const LayoutOptions& options, Case one,
                                               const ConfigFolders& configs) {
  if (options.case_line.empty()) {
    const auto contract = load_contract(one.engine, configs.root);
    if (!contract) {
      return fail(contract.error());
    }
    fit_to_engine(one, *contract);
  }
  return check_layers(std::move(one), configs);
}

/// The layer kind asked for, or the one with the worst verdict.
Result<std::size_t> shown_layer(const std::vector<LayerReport>& layers, const std::string& kind) {
  std::size_t shown = 0;
  std::string kinds;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    kinds += (kinds.empty() ? "" : ", ") + layers[i].item.kind;
    if (layers[i].item.kind == kind) {
      return i;
    }
    if (layers[i].analysis.verdict > layers[shown].analysis.verdict) {
      shown = i;
    }
  }
  return kind.empty() ? Result<std::size_t>(shown)
                      : fail(fmt::format("--layer {}: model {} has no such layer kind, expected "
                                         "one of: {}",
                                         kind, layers.front().item.spec.model, kinds));
}

/// The same layer kind under a second contract. The exit code is the worse of the two.
int compare(const LayoutOptions& options, const LayerReport& first, std::size_t kind,
            const ConfigFolders& configs) {
  if (options.json) {
    return bad_input({"--vs prints text, expected no --json with it", ""});
  }
  const auto layers = layout_case_of(options, options.vs).and_then([&](const Case& one) {
    return report_layers(options, one, configs);
  });
  if (!layers) {
    return bad_input(layers.error());
  }
  const LayerReport& second = (*layers)[kind];
  fmt::print("{}", difference_text(first, second));
  if (first.analysis.verdict != second.analysis.verdict) {
    return 1;
  }
  return std::max(verdict_exit_code(first.analysis.verdict),
                  verdict_exit_code(second.analysis.verdict));
}

}  // namespace

int layout_command(const LayoutOptions& options, const ConfigFolders& configs) {
  const bool whole = !options.case_line.empty();
  const bool none = options.model.empty() && options.engine.empty() &&
                    options.tp_size == LayoutOptions::kNotGiven;
  const bool all = !options.model.empty() && !options.engine.empty() &&
                   options.tp_size != LayoutOptions::kNotGiven;
  if (whole ? !none : !all) {
    return bad_input({"layout takes --model, --engine and --tp, or --case alone", ""});
  }
  if (auto checked = check_options(options); !checked && !whole) {
    return bad_input(checked.error());
  }
  if (!options.vs.empty() && !options.html.empty()) {
    return bad_input({"--html draws one plan, expected no --vs with it", ""});
  }
  std::string layer = options.layer;
  const auto layers = layout_case_of(options, options.engine).and_then([&](const Case& one) {
    layer = layer.empty() ? one.layer : layer;  // the line's own
    return report_layers(options, one, configs);
  });
  if (!layers) {
    return bad_input(layers.error());
  }
  const auto shown = shown_layer(*layers, layer);
  if (!shown) {
    return bad_input(shown.error());
  }
  if (!options.vs.empty()) {
    return compare(options, (*layers)[*shown], *shown, configs);
  }
  if (!options.html.empty()) {
    if (auto written = write_text_file(options.html, html_page((*layers)[*shown], options.version));
        !written) {
      return bad_input(written.error());
    }
  }
  if (options.json) {
    fmt::print("{}\n", layout_json(*layers, *shown));
  } else {
    fmt::print("{}", layout_text(*layers, *shown, {.colour = isatty(STDOUT_FILENO) != 0}));
  }
  return verdict_exit_code((*layers)[*shown].analysis.verdict);
}

}  // namespace tplora::core
