#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "sim/numerics/program.hpp"
#include "verify/run/runner.hpp"
#include "verify/run/work.hpp"

namespace tplora::fuzz {

using namespace core;
namespace {

/// What a fuzzer may spend on one input: plans of all ranks, and multiplications and floats. The
/// program's own limits are what a machine can do at all.
constexpr std::size_t kMaxPlans = 1 << 10;
constexpr double kMaxWork = 1 << 22;

}  // namespace

void run_case(PreparedCase item) {
  const auto ranks = static_cast<std::size_t>(item.spec.tp_size);
  if (!item.geometry || ranks * (1 + item.spec.steps.size()) > kMaxPlans) {
    return;
  }
  if (const auto laws = check_laws(item); laws && laws->analysis.failures.empty()) {
    const NumericWork work = numeric_work(*laws);
    item.numbers = find_program(item.contract->program) != nullptr &&
                   work.multiplications + work.floats <= kMaxWork;
  }
  RunOptions options;
  options.jobs = 1;
  if (const auto outcomes = run_cases({item}, options); !outcomes) {
    check_error(outcomes.error(), ".json");
  }
}

void check(bool holds, const char* what_must_hold) {
  if (!holds) {
    std::fprintf(stderr, "must hold: %s\n", what_must_hold);
    std::abort();
  }
}

void check_error(const Error& error, std::string_view whose) {
  const std::string text = error.text();
  const bool control =
      std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < 32) || c == 127; });
  check(!error.sentence.empty(), "an Error says something");
  check(!control, "an Error is one line without control characters");
  check(text.size() <= 2000, "an Error is at most 2000 bytes long");
  check(text.find(whose) != std::string::npos, "an Error names the file it is about");
}

ConfigFolders configs() {
  return {TPLORA_FUZZ_CONFIGS};
}

}  // namespace tplora::fuzz
