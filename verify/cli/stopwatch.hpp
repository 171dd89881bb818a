// How long a command took.
#pragma once

#include <chrono>
#include <cstddef>

namespace tplora::core {

/// Seconds and peak memory of the run so far, for the reader at the terminal; never part of a
/// result.
class Stopwatch {
 public:
  /// To stderr, behind the result: both may go to one file.
  void print(std::size_t cases) const;

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace tplora::core
