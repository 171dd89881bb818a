// Runs that are to end early.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace tplora::core {

/// From now on SIGINT and SIGTERM ask for a stop, the first time; a second one ends the program.
/// One at a time.
class StopRequest {
 public:
  /// `seconds`: when a stop is asked for by itself; 0: never.
  explicit StopRequest(std::int64_t seconds);
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;
  ~StopRequest();

  [[nodiscard]] bool asked() const;
  /// "SIGINT", "SIGTERM" or "--timeout 5". Precondition: asked.
  [[nodiscard]] std::string reason() const;

 private:
  std::int64_t seconds_;
  std::chrono::steady_clock::time_point end_;
};

}  // namespace tplora::core
