#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "sim/base/number_list.hpp"
#include "sim/base/printable.hpp"
#include "verify/cli/commands.hpp"
#include "verify/cli/exit_code.hpp"
#include "verify/cli/say.hpp"
#include "verify/golden/golden.hpp"
#include "verify/golden/own_tensors.hpp"
#include "verify/report/check_text.hpp"
#include "verify/report/golden_text.hpp"

namespace tplora::core {
namespace {

GoldenPieces read_pieces(const std::vector<std::string>& only) {
  const auto wanted = [&](const char* name) {
    return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
  };
  return {.checkpoint = wanted("checkpoint"),
          .adapters = wanted("adapters"),
          .inputs = wanted("inputs"),
          .ranks = wanted("ranks")};
}

Result<DataKind> data_kind(const std::string& text) {
  const auto data = data_kind_of(text);
  if (!data || *data == DataKind::file) {
    return fail(fmt::format("--data {}: expected labels, integers or wide", excerpt(text)));
  }
  return *data;
}

/// The folders of --base and --adapter: NAME=FOLDER, or a, b, c .. in their order.
Result<TensorFolders> read_folders(const GoldenCommandOptions& options) {
  TensorFolders folders{
      .base = options.base,
      .adapters = {},
      .layer = options.layer_index < 0 ? std::nullopt : std::optional(options.layer_index),
      .tensor_prefix = options.tensor_prefix};
  for (const std::string& text : options.adapters) {
    const auto equals = text.find('=');
    const bool named = equals != std::string::npos && text.find('/') > equals;
    if (!named && folders.adapters.size() == 26) {
      return fail("--adapter: expected NAME=FOLDER from the 27th on");
    }
    folders.adapters.push_back(
        {named ? text.substr(0, equals)
               : std::string(1, static_cast<char>('a' + folders.adapters.size())),
         named ? text.substr(equals + 1) : text});
  }
  return folders;
}

/// The case, and what is worth knowing of its tensors.
Result<OwnCase> read_case(const GoldenCommandOptions& options, const ConfigFolders& configs) {
  if (options.base.empty()) {
    if (!options.adapters.empty() || options.layer_index >= 0) {
      return fail(fmt::format("{} is of a golden with tensors of its own, expected --base with it",
                              options.adapters.empty() ? "--layer-index" : "--adapter"));
    }
    auto one = parse_case(options.case_line);
    if (one && !options.data.empty()) {
      const auto data = data_kind(options.data);
      if (!data) {
        return fail(data.error());
      }
      one->data = *data;
    }
    auto item = one.and_then([&](const Case& spec) { return prepare(spec, configs); });
    return item ? Result<OwnCase>(OwnCase{*std::move(item), {}}) : fail(item.error());
  }
  if (!options.data.empty()) {
    return fail("--data: expected none beside --base, whose tensors are the data");
  }
  const auto folders = read_folders(options);
  if (!folders) {
    return fail(folders.error());
  }
  return parse_own_case(options.case_line, *folders, configs).and_then([&](const Case& one) {
    return prepare_own(one, *folders, configs);
  });
}

}  // namespace

int golden_command(const GoldenCommandOptions& options, const ConfigFolders& configs,
                   const std::string& version) {
  auto ranks =
      options.ranks.empty()
          ? Result<std::vector<std::int64_t>>(std::vector<std::int64_t>())
          : read_number_list(options.ranks, 0, 1023, "--ranks", "tp_ranks from 0, as in 0,2-3");
  if (!ranks) {
    return bad_input(ranks.error());
  }
  auto own = read_case(options, configs);
  if (!own) {
    return bad_input(own.error());
  }
  const PreparedCase& item = own->item;
  GoldenOptions golden{.folder = options.out,
                       .pieces = read_pieces(options.only),
                       .ranks = std::move(*ranks),
                       .as_engine = options.as_engine,
                       .tensor_prefix = options.tensor_prefix,
                       .threads = options.jobs,
                       .version = version,
                       .notes = std::move(own->notes),
                       .progress = {}};
  const bool terminal = isatty(STDERR_FILENO) != 0;
  if (terminal) {
    golden.progress = [](const std::string& sentence) {
      say(fmt::format("\r{}\x1b[K", sentence));
      std::fflush(stderr);
    };
  }
  const auto summary = write_golden(item, configs, golden);
  if (terminal) {
    say("\r\x1b[K");
  }
  if (!summary) {
    return bad_input(summary.error());
  }
  fmt::print("{}", golden_text(options.out, print_case(item.spec), *summary));
  return 0;
}

int check_command(const CheckCommandOptions& options, const ConfigFolders& configs) {
  if (options.ulps >= 0 && options.judge != "exact") {
    return bad_input({"--ulps is of --judge exact, expected it with that", ""});
  }
  const Judge judge = options.judge == "bound"   ? Judge::bound
                      : options.judge == "exact" ? Judge::exact
                                                 : Judge::bits;
  const auto report = check_candidate(
      {.golden = options.golden,
       .candidate = options.candidate,
       .judge = judge,
       .most_ulps = options.ulps < 0 ? std::nullopt : std::optional<double>(options.ulps),
       .partial = options.partial,
       .threads = options.jobs},
      configs);
  if (!report) {
    return bad_input(report.error());
  }
  fmt::print("{}", options.json ? check_json(*report) : check_text(*report));
  return check_exit_code(*report);
}

}  // namespace tplora::core
