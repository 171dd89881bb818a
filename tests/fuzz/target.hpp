// Fuzz targets: one function for each reader of what users write, and what must hold of any bytes.
//
// tests/fuzz/entry.cpp makes each a libFuzzer program (option TPLORA_FUZZ, scripts/fuzz.sh);
// tests/fuzz/replay.cpp runs all of them over tests/fuzz/corpus in the normal test suite.
#pragma once

#include <string>
#include <string_view>

#include "sim/base/result.hpp"
#include "verify/case/suite.hpp"

namespace tplora::fuzz {

using namespace core;

/// A model's config.json: every geometry of a config that reads is valid, kinds are distinct.
void config(std::string_view bytes);
/// A contract: one that compiles is planned, explained and run on small geometries, with every kind
/// of pool step.
void contract(std::string_view bytes);
/// A formula: one that parses has a value or an explanation, the same compiled, walked and printed.
void formula(std::string_view bytes);
/// A case line: one that parses prints as a line that parses to the same case, and runs if it is
/// small.
void case_line(std::string_view bytes);
/// A suite: every case of one that reads is resolved and has a line.
void suite(std::string_view bytes);

/// A safetensors or .npy file: tensors of one that reads lie in it and do not overlap.
void safetensors(std::string_view bytes);

/// Stops the program, as a sanitizer does, unless `holds`.
void check(bool holds, const char* what_must_hold);

/// Laws, explanations and, where they are cheap, numbers of a small case.
void run_case(PreparedCase item);

/// Of every Error: one line of printable UTF-8, not empty, of at most 2000 bytes, that names
/// `whose`: the file, or what stands for it.
void check_error(const Error& error, std::string_view whose);

/// The folder with the few models, engines and bugs that suites and `extends` may name here.
[[nodiscard]] ConfigFolders configs();

}  // namespace tplora::fuzz
