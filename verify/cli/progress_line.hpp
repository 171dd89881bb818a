// How far a long command is, for the reader at the terminal or of a log; never part of a result.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>

namespace tplora::core {

/// On a terminal one line that is written over; elsewhere a line every ten seconds, and none of
/// what takes less. Written by a thread of its own, so that also what hangs is told.
class ProgressLine {
 public:
  /// `what` stands before it: a suite, an engine.
  explicit ProgressLine(std::string what);
  /// For tests.
  ProgressLine(std::string what, std::FILE* out, bool terminal, std::chrono::milliseconds every);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  /// Takes the line off the terminal.
  ~ProgressLine();

  /// `share`: of the work, 0 to 1. `of_cases`: 0: nobody knows how many, and if there are any,
  /// their number is told in place of the share. From any thread.
  void set(double share, std::size_t cases = 0, std::size_t of_cases = 0);

 private:
  void write();

  std::string what_;
  std::FILE* out_;
  bool terminal_;
  std::chrono::milliseconds every_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;  ///< of all that follows
  std::condition_variable ended_;
  bool end_ = false;
  bool written_ = false;
  double share_ = 0;
  std::size_t cases_ = 0, of_cases_ = 0;
  std::thread writer_;
};

/// "1 h 5 min", "2 min 10 s", "8 s".
[[nodiscard]] std::string duration_text(double seconds);

}  // namespace tplora::core
