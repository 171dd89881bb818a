#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "sim/base/decimal.hpp"
#include "sim/base/printable.hpp"
#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/golden/golden.hpp"
#include "verify/report/check_text.hpp"
#include "verify/report/golden_text.hpp"

namespace tplora::core {
namespace {

/// "0,2-3" as numbers, ascending, each once.
Result<std::vector<std::int64_t>> read_ranks(const std::string& text) {
  std::vector<std::int64_t> ranks;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, end - at);
    const std::size_t dash = item.find('-');
    const auto first = parse_decimal(item.substr(0, dash), 0, 1023);
    const auto last =
        dash == std::string::npos ? first : parse_decimal(item.substr(dash + 1), 0, 1023);
    if (!first || !last || *last < *first || end + 1 == text.size()) {
      return fail(fmt::format("--ranks {}: expected tp_ranks from 0, as in 0,2-3", excerpt(text)));
    }
    for (std::int64_t rank = *first; rank <= *last; ++rank) {
      ranks.push_back(rank);
    }
    at = end + 1;
  }
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

GoldenPieces read_pieces(const std::vector<std::string>& only) {
  const auto wanted = [&](const char* name) {
    return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
  };
  return {.checkpoint = wanted("checkpoint"),
          .adapters = wanted("adapters"),
          .inputs = wanted("inputs"),
          .ranks = wanted("ranks")};
}

Result<Case> read_case(const GoldenCommandOptions& options) {
  auto one = parse_case(options.case_line);
  if (one && !options.data.empty()) {
    const auto data = data_kind_of(options.data);
    if (!data) {
      return fail(
          fmt::format("--data {}: expected labels, integers or wide", excerpt(options.data)));
    }
    one->data = *data;
  }
  return one;
}

}  // namespace

int golden_command(const GoldenCommandOptions& options, const ConfigFolders& configs,
                   const std::string& version) {
  auto ranks = read_ranks(options.ranks);
  if (!ranks) {
    return bad_input(ranks.error());
  }
  auto item = read_case(options).and_then([&](const Case& one) { return prepare(one, configs); });
  if (!item) {
    return bad_input(item.error());
  }
  GoldenOptions golden{.folder = options.out,
                       .pieces = read_pieces(options.only),
                       .ranks = std::move(*ranks),
                       .as_engine = options.as_engine,
                       .tensor_prefix = options.tensor_prefix,
                       .threads = options.jobs,
                       .version = version,
                       .progress = {}};
  const bool terminal = isatty(STDERR_FILENO) != 0;
  if (terminal) {
    golden.progress = [](const std::string& sentence) {
      fmt::print(stderr, "\r{}\x1b[K", sentence);
      std::fflush(stderr);
    };
  }
  const auto summary = write_golden(*item, configs, golden);
  if (terminal) {
    fmt::print(stderr, "\r\x1b[K");
  }
  if (!summary) {
    return bad_input(summary.error());
  }
  fmt::print("{}", golden_text(options.out, print_case(item->spec), *summary));
  return 0;
}

int check_command(const CheckCommandOptions& options, const ConfigFolders& configs) {
  const Judge judge = options.judge == "bound"   ? Judge::bound
                      : options.judge == "exact" ? Judge::exact
                                                 : Judge::bits;
  const auto report = check_candidate(
      {.golden = options.golden,
       .candidate = options.candidate,
       .judge = judge,
       .most_ulps = options.ulps < 0 ? std::nullopt : std::optional<double>(options.ulps),
       .partial = options.partial,
       .search = true,
       .threads = options.jobs},
      configs);
  if (!report) {
    return bad_input(report.error());
  }
  fmt::print("{}", options.json ? check_json(*report) : check_text(*report));
  return check_exit_code(*report);
}

}  // namespace tplora::core
