#include "verify/cli/sweep.hpp"

#include <fmt/format.h>

#include "sim/base/decimal.hpp"
#include "sim/base/json.hpp"
#include "sim/base/number_list.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

/// Two adapters side by side after a slot's earlier tenant has gone, as `layout` looks at.
constexpr const char* kScenario =
    "slots=2 adapters=a:r{r}:alpha32:{targets},b:r{r}:alpha8:{targets},z:r{r}:alpha16:{targets} "
    "steps=load:z@0,evict:z,load:a@0,load:b@1 tokens=a,b,-,a";

constexpr std::int64_t kMostRanks = 1024;
constexpr std::int64_t kMostLoraRank = 4096;

/// Numbers as the suite has them: each as written.
Result<Json> numbers(const std::string& text, std::int64_t most, const char* option) {
  return read_number_list(text, 1, most, option, "numbers and ranges from 1 up, for example 1-8,16")
      .map([](const std::vector<std::int64_t>& list) { return Json(list); });
}

}  // namespace

Result<std::string> sweep_suite(const SweepOptions& options) {
  const auto tp_sizes = numbers(options.tp_sizes, kMostRanks, "--tp");
  const auto lora_ranks = numbers(options.lora_ranks, kMostLoraRank, "--lora-rank");
  const auto max_lora_ranks =
      options.max_lora_ranks.empty()
          ? Result<Json>(Json())
          : numbers(options.max_lora_ranks, kMostLoraRank, "--max-lora-rank");
  if (const auto error = first_error(tp_sizes, lora_ranks, max_lora_ranks)) {
    return fail(*error);
  }
  Json entry = {{"models", options.models}, {"engines", options.engines}, {"tp", *tp_sizes}};
  Json vary = Json::object();
  if (options.case_line.empty()) {
    entry["case"] = fmt::format("R={{{}}} {} dtype={{dtype}}",
                                options.max_lora_ranks.empty() ? "r" : "R", kScenario);
    if (!options.max_lora_ranks.empty()) {
      vary["R"] = *max_lora_ranks;
    }
    vary["r"] = *lora_ranks;
    vary["targets"] = options.targets;
    vary["dtype"] = options.dtypes;
    entry["vary"] = vary;
    entry["fit"] = true;
  } else {
    entry["case"] = options.case_line;
  }
  if (options.numbers == "all") {
    entry["numbers"] = true;
  } else if (!options.numbers.empty()) {
    const auto every = parse_decimal<std::int64_t>(options.numbers);
    if (!every || *every < 1) {
      return fail(fmt::format("--numbers {}: expected all, or n for each n-th case",
                              excerpt(options.numbers)));
    }
    entry["numbers"] = {{"every", *every}};
  }
  const Json suite = {{"format", "tplora-suite/1"},
                      {"name", "sweep"},
                      {"mode", "report"},
                      {"explain", options.explain},
                      {"cases", Json::array({entry})}};
  return suite.dump(2) + "\n";
}

}  // namespace tplora::core
