// Invariants of our own: checked in every build, or where they cost, in builds that ask for it.
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
constexpr void ensure(bool condition, const char* what_must_hold,
                      SourceLine where = SourceLine::current()) {
  if (!condition) [[unlikely]] {
    ensure_failed(what_must_hold, where);
  }
}

/// Whether this build checks what costs time: CMake's option TPLORA_CHECKED.
#if defined(TPLORA_CHECKED) && TPLORA_CHECKED == 1
inline constexpr bool kChecked = true;
#else
inline constexpr bool kChecked = false;
#endif

/// The same for what costs: loops, and conditions in inner loops. `condition` gives a bool, and is
/// called only where kChecked.
template <class Condition>
constexpr void ensure_checked([[maybe_unused]] const Condition& condition,
                              [[maybe_unused]] const char* what_must_hold,
                              [[maybe_unused]] SourceLine where = SourceLine::current()) {
  if constexpr (kChecked) {
    ensure(condition(), what_must_hold, where);
  }
}

}  // namespace tplora::core
