#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/report/proof_report.hpp"

namespace tplora::core {
namespace {

/// With the share done on a terminal.
Result<ProofReport> prove_one(const LoadedEngine& engine, const ProofRange& range, int jobs,
                              const FaultNames& names) {
  if (isatty(STDERR_FILENO) == 0) {
    return prove_engine(engine, range, jobs, names);
  }
  auto report = prove_engine(engine, range, jobs, names, [&](double share) {
    fmt::print(stderr, "\r{}: {:3.0f} %\x1b[K", engine.argument, 100 * share);
    std::fflush(stderr);
  });
  fmt::print(stderr, "\r\x1b[K");
  return report;
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
  const std::vector<std::string> engines =
      options.engines.empty() ? list_contracts(configs.root, "engines") : options.engines;
  const FaultNames names(configs);
  std::vector<ProofReport> reports;
  int worst = engines.empty() ? 3 : 0;
  for (const std::string& engine : engines) {
    auto report = load_engine(engine, configs).and_then([&](const LoadedEngine& loaded) {
      return prove_one(loaded, range, options.jobs, names);
    });
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

}  // namespace tplora::core
