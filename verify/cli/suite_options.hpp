// Options of the commands about suites and single cases of them, and how numbers are read in all.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "sim/base/decimal.hpp"
#include "sim/base/printable.hpp"
#include "verify/cli/commands.hpp"

namespace tplora::core {

/// A number, read as in case lines: CLI11's own reader takes 010 for 8 and 0x10 for 16.
template <class Integer>
CLI::Option* add_number(CLI::App* app, const char* name, Integer& value, const char* about) {
  const auto read = [name, &value](const CLI::results_t& texts) {
    const auto number = parse_decimal<Integer>(texts.front());
    if (!number) {
      throw CLI::ValidationError(name + (" " + excerpt(texts.front())),
                                 "expected a decimal integer");
    }
    value = *number;
    return true;
  };
  return app->add_option(name, read, about)->type_name("INT");
}

void add_verify(CLI::App& app, VerifyOptions& options);
void add_sweep(CLI::App& app, SweepOptions& options);
void add_merge(CLI::App& app, MergeOptions& options);
void add_minimise(CLI::App& app, MinimiseOptions& options);

}  // namespace tplora::core
