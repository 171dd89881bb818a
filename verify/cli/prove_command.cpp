#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/report/proof_report.hpp"

namespace tplora {
namespace {

/// A point as a case that `replay` takes.
Case case_of(const ProofPoint& point, const std::string& engine, bool fused) {
  Case one;
  one.model = fmt::format("H={},KV={},D={},hidden={}", point.H, point.KV, point.D, kProofHidden);
  one.model += point.Dv == point.D ? "" : fmt::format(",Dv={}", point.Dv);
  one.model += point.gate == 1 ? "" : fmt::format(",gate={}", point.gate);
  one.engine = engine;
  one.tp_size = point.tp_size;
  one.dp_size = point.dp_size;
  one.max_lora_rank = point.max_lora_rank;
  set_standard_scenario(one, point.lora_rank, point.max_lora_rank);
  for (AdapterSpec& adapter : one.adapters) {
    adapter.shared_a = fused;
  }
  const auto tokens = static_cast<std::size_t>(proof_tokens(point.tp_size));
  for (std::size_t i = one.tokens.size(); i < tokens; ++i) {
    one.tokens.push_back(one.tokens[i % 4]);
  }
  return one;
}

/// The point analysed once more with sentences. What the sweep found must come out again.
Result<LayerReport> report_at(const ProofPoint& point, const std::string& engine,
                              const Contract& contract, const ConfigFolders& configs) {
  auto item = prepare(case_of(point, engine, contract.takes_fused_adapters()), configs);
  if (!item) {
    return fail(item.error());
  }
  const LayoutCase input = layout_case(item->one, *item->geometry);
  LayerReport report{*item, Analyser().run(contract, input), {}};
  if (report.analysis.bad_contract) {
    return fail(*report.analysis.bad_contract);
  }
  report.findings = explain(contract, input, report.analysis, adapter_names(item->one));
  return report;
}

Result<void> fill(const std::optional<ProofPoint>& point, ProofReport& report,
                  const ConfigFolders& configs, std::optional<LayerReport>& target) {
  if (!point) {
    return {};
  }
  auto found = report_at(*point, report.engine, *report.contract, configs);
  if (!found) {
    return fail(found.error());
  }
  target = std::move(*found);
  return {};
}

Error bad_claim(const Contract& contract) {
  return {
      "a claim has no value at some point of the range, expected divisions that always work out",
      contract.file + "#/claims"};
}

Result<ProofReport> prove_one(const std::string& engine, const ProveOptions& options,
                              const ConfigFolders& configs) {
  auto contract = find_contract(engine, configs.root).and_then(read_contract);
  if (!contract) {
    return fail(contract.error());
  }
  ProofReport report;
  report.engine = engine;
  report.contract = std::make_shared<const Contract>(std::move(*contract));
  report.range.max_heads = options.max_heads;
  report.range.max_tp_size = options.max_tp_size;
  report.range.dp_size = options.dp_size;
  std::function<void(double)> progress;
  if (isatty(STDERR_FILENO) != 0) {
    progress = [&](double share) {
      fmt::print(stderr, "\r{}: {:3.0f} %\x1b[K", engine, 100 * share);
      std::fflush(stderr);
    };
  }
  report.proof = prove(*report.contract, report.range, options.jobs, progress);
  if (progress) {
    fmt::print(stderr, "\r\x1b[K");
  }
  if (report.proof.bad_point) {
    auto at = report_at(*report.proof.bad_point, engine, *report.contract, configs);
    return fail(at ? bad_claim(*report.contract) : at.error());
  }
  const Proof& proof = report.proof;
  for (const auto& [point, target] :
       {std::pair{&proof.claimed.smallest_silent, &report.broken},
        std::pair{&proof.claimed.smallest_crash, &report.crash},
        std::pair{&proof.unclaimed.smallest_silent, &report.unclaimed_broken},
        std::pair{&proof.unclaimed.smallest_crash, &report.unclaimed_crash}}) {
    if (auto filled = fill(*point, report, configs, *target); !filled) {
      return fail(filled.error());
    }
  }
  return report;
}

}  // namespace

int prove_command(const ProveOptions& options, const ConfigFolders& configs) {
  if (options.max_heads < 1 || options.max_heads > 256 || options.max_tp_size < 1 ||
      options.max_tp_size > 256 || options.dp_size < 1 || options.dp_size > options.max_tp_size) {
    return bad_input(
        {"--max-heads and --max-tp: expected 1 to 256, and --dp at most --max-tp", ""});
  }
  const std::vector<std::string> engines =
      options.engines.empty() ? list_contracts(configs.root, "engines") : options.engines;
  std::vector<ProofReport> reports;
  int worst = engines.empty() ? 3 : 0;
  for (const std::string& engine : engines) {
    auto report = prove_one(engine, options, configs);
    if (!report) {
      return bad_input(report.error());
    }
    const Tally& claimed = report->proof.claimed;
    const int code = claimed.silent > 0 ? 1 : claimed.consistent == 0 ? 3 : 0;
    worst = worst == 1 || code == 1 ? 1 : std::max(worst, code);
    if (!options.json) {
      fmt::print("{}", proof_text(*report));
    }
    reports.push_back(std::move(*report));
  }
  if (options.json) {
    fmt::print("{}\n", proof_json(reports));
  }
  return worst;
}

}  // namespace tplora
