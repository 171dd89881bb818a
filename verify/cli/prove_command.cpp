#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/cli/progress_line.hpp"
#include "verify/report/proof_report.hpp"

namespace tplora::core {
namespace {

/// Adapters of other shapes may crash: an engine need not take every set of parts.
int proof_exit_code(const Proof& proof, const std::string& fail_on) {
  const bool failed = proof.claimed.silent > 0 || proof.other_adapters.silent > 0 ||
                      proof.other_numbers.silent > 0 ||
                      (fail_on == "crash" && proof.claimed.crash > 0);
  return failed ? 1 : proof.claimed.consistent == 0 ? 3 : 0;
}

/// Each engine against the one before the change.
int compare_command(const ProveOptions& options, const ProofRange& range,
                    const ConfigFolders& configs) {
  if (options.engines.empty()) {
    return bad_input({"--vs compares the engines that are named, expected at least one", ""});
  }
  const auto base = load_engine(options.vs, configs);
  if (!base) {
    return bad_input(base.error());
  }
  const FaultNames names(configs);
  std::vector<ComparisonReport> reports;
  bool worse = false;
  for (const std::string& engine : options.engines) {
    auto compared = load_engine(engine, configs).and_then([&](const LoadedEngine& loaded) {
      ProgressLine line(engine);
      return compare_engines(*base, loaded, range, options.jobs, names,
                             [&](double share) { line.set(share); });
    });
    if (!compared) {
      return bad_input(compared.error());
    }
    for (ComparisonReport& report : *compared) {
      worse = worse || report.comparison.worse() > 0;
      if (!options.json) {
        fmt::print("{}", comparison_text(report));
      }
      reports.push_back(std::move(report));
    }
  }
  if (options.json) {
    fmt::print("{}\n", comparison_json(reports));
  }
  return worse ? 1 : 0;
}

}  // namespace

int prove_command(const ProveOptions& options, const ConfigFolders& configs) {
  const ProofRange range{.max_heads = options.max_heads,
                         .max_tp_size = options.max_tp_size,
                         .dp_size = options.dp_size};
  if (!validate(range)) {
    return bad_input({fmt::format("--max-heads and --max-tp: expected 1 to {}, and --dp at most "
                                  "--max-tp",
                                  kMaxProofSize),
                      ""});
  }
  if (!options.vs.empty()) {
    return compare_command(options, range, configs);
  }
  const auto engines = options.engines.empty() ? list_contracts(configs.root, "engines")
                                               : Result<std::vector<std::string>>(options.engines);
  if (!engines) {
    return bad_input(engines.error());
  }
  const FaultNames names(configs);
  std::vector<ProofReport> reports;
  int worst = 0;
  for (const std::string& engine : *engines) {
    auto report = load_engine(engine, configs).and_then([&](const LoadedEngine& loaded) {
      ProgressLine line(engine);
      return prove_engine(loaded, range, options.jobs, names,
                          [&](double share) { line.set(share); });
    });
    if (!report) {
      return bad_input(report.error());
    }
    const int code = proof_exit_code(report->proof, options.fail_on);
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

}  // namespace tplora::core
