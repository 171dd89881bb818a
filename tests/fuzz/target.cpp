#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace tplora::fuzz {

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
