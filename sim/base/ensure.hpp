// Invariants of our own, always checked.
#pragma once

#include <source_location>

namespace tplora {

/// Stops the program with the sentence and the source line. For mistakes in this code only; bad
/// input is a Result.
[[noreturn]] void ensure_failed(const char* what_must_hold, std::source_location where);

/// Checks an invariant of ours in every build. `what_must_hold` completes "must hold: ...".
inline void ensure(bool condition, const char* what_must_hold,
                   std::source_location where = std::source_location::current()) {
  if (!condition) [[unlikely]] {
    ensure_failed(what_must_hold, where);
  }
}

}  // namespace tplora
