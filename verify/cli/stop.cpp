#include "verify/cli/stop.hpp"

#include <fmt/format.h>

#include <csignal>

namespace tplora::core {
namespace {

std::atomic<int> signalled = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may write it");

extern "C" void note_signal(int number) {
  signalled = number;
  std::signal(number, SIG_DFL);
}

}  // namespace

StopRequest::StopRequest(std::int64_t seconds)
    : seconds_(seconds), end_(std::chrono::steady_clock::now() + std::chrono::seconds(seconds)) {
  signalled = 0;
  std::signal(SIGINT, note_signal);
  std::signal(SIGTERM, note_signal);
}

StopRequest::~StopRequest() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool StopRequest::asked() const {
  return signalled != 0 || (seconds_ > 0 && std::chrono::steady_clock::now() >= end_);
}

std::string StopRequest::reason() const {
  return signalled == SIGINT    ? "SIGINT"
         : signalled == SIGTERM ? "SIGTERM"
                                : fmt::format("--timeout {}", seconds_);
}

}  // namespace tplora::core
