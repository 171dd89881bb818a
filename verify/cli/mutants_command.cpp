#include <fmt/format.h>
#include <unistd.h>

#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/cli/say.hpp"
#include "verify/report/mutant_report.hpp"

namespace tplora::core {

int mutants_command(const MutantsOptions& options, const ConfigFolders& configs) {
  if (options.max_heads < 1 || options.max_heads > 64 || options.every < 1) {
    return bad_input({"--max-heads: expected 1 to 64; --every: expected at least 1", ""});
  }
  const auto engines = options.engines.empty() ? list_contracts(configs.root, "engines")
                                               : Result<std::vector<std::string>>(options.engines);
  if (!engines) {
    return bad_input(engines.error());
  }
  std::vector<MutantScore> scores;
  bool survived = false;
  bool any = false;
  for (const std::string& engine : *engines) {
    const auto contract = load_contract(engine, configs.root);
    if (!contract) {
      return bad_input(contract.error());
    }
    if (isatty(STDERR_FILENO) != 0) {
      say(fmt::format("\r{}\x1b[K", engine));
      std::fflush(stderr);
    }
    scores.push_back(score_mutants(*contract, {.max_heads = options.max_heads,
                                               .max_tp_size = options.max_heads,
                                               .every = options.every,
                                               .jobs = options.jobs,
                                               .blame = options.blame}));
    survived = survived || scores.back().fates.contains(Fate::survived);
    any = any || scores.back().total() > 0;
  }
  if (isatty(STDERR_FILENO) != 0) {
    say("\r\x1b[K");
  }
  if (options.json) {
    fmt::print("{}\n", mutants_json(scores));
  } else {
    fmt::print("{}", mutants_text(scores));
  }
  return survived ? 1 : any ? 0 : 3;
}

}  // namespace tplora::core
