#include "verify/cli/exit_code.hpp"

#include <fmt/format.h>

#include "verify/cli/say.hpp"

namespace tplora::core {

int bad_input(const Error& error) {
  say(fmt::format("tplora: {}\n", error.text()));
  return error.is_output ? 4 : 2;
}

int verdict_exit_code(Verdict verdict) {
  switch (verdict) {
    case Verdict::consistent: return 0;
    case Verdict::silent:
    case Verdict::crash: return 1;
    default: return 3;
  }
}

}  // namespace tplora::core
