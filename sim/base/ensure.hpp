// Invariants of our own, always checked.
#pragma once

namespace tplora::core {

/// The source line that calls the function with this as a default argument. Not
/// std::source_location: clang++ before 16 has none with GCC's library.
struct SourceLine {
  const char* file;
  int line;

  static constexpr SourceLine current(const char* file = __builtin_FILE(),
                                      int line = __builtin_LINE()) {
    return {file, line};
  }
};

/// Stops the program with the sentence and the source line. For mistakes in this code only; bad
/// input is a Result.
[[noreturn]] void ensure_failed(const char* what_must_hold, SourceLine where);

/// Checks an invariant of ours in every build. `what_must_hold` completes "must hold: ...".
inline void ensure(bool condition, const char* what_must_hold,
                   SourceLine where = SourceLine::current()) {
  if (!condition) [[unlikely]] {
    ensure_failed(what_must_hold, where);
  }
}

}  // namespace tplora::core
