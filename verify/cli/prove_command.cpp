#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/report/proof_report.hpp"

namespace tplora {
namespace {

/// With the share done on a terminal.
Result<ProofReport> prove_one(const std::string& engine, const ProveOptions& options,
                              const ConfigFolders& configs) {
  ProofRange range;
  range.max_heads = options.max_heads;
  range.max_tp_size = options.max_tp_size;
  range.dp_size = options.dp_size;
  if (isatty(STDERR_FILENO) == 0) {
    return prove_engine(engine, range, options.jobs, configs);
  }
  auto report = prove_engine(engine, range, options.jobs, configs, [&](double share) {
    fmt::print(stderr, "\r{}: {:3.0f} %\x1b[K", engine, 100 * share);
    std::fflush(stderr);
  });
  fmt::print(stderr, "\r\x1b[K");
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
