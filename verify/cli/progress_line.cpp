#include "verify/cli/progress_line.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "sim/base/printable.hpp"
#include "verify/cli/say.hpp"

namespace tplora::core {

using namespace std::chrono_literals;

std::string duration_text(double seconds) {
  constexpr double kLongest = 1e9;
  const auto whole = static_cast<long long>(std::round(std::clamp(seconds, 0.0, kLongest)));
  if (whole >= 3600) {
    return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  }
  return whole >= 60 ? fmt::format("{} min {} s", whole / 60, whole % 60)
                     : fmt::format("{} s", whole);
}

ProgressLine::ProgressLine(std::string what)
    : ProgressLine(std::move(what), stderr, isatty(STDERR_FILENO) != 0,
                   isatty(STDERR_FILENO) != 0 ? 200ms : 10000ms) {}

ProgressLine::ProgressLine(std::string what, std::FILE* out, bool terminal,
                           std::chrono::milliseconds every)
    : what_(excerpt(what)), out_(out), terminal_(terminal), every_(every) {
  writer_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!ended_.wait_for(lock, every_, [this] { return end_; })) {
      write();
    }
  });
}

ProgressLine::~ProgressLine() {
  {
    const std::scoped_lock lock(mutex_);
    end_ = true;
  }
  ended_.notify_all();
  writer_.join();
  if (terminal_ && written_) {
    say("\r\x1b[K", out_);
  }
}

void ProgressLine::set(double share, std::size_t cases, std::size_t of_cases) {
  const std::scoped_lock lock(mutex_);
  // What threads tell may overtake each other.
  share_ = of_cases > 0 ? std::max(share_, share) : share;
  cases_ = std::max(cases_, cases);
  of_cases_ = of_cases;
}

void ProgressLine::write() {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  std::string text = what_ + ": ";
  if (of_cases_ > 0) {
    text += fmt::format("{} of {} cases, {:.3g}/s, ", cases_, of_cases_,
                        static_cast<double>(cases_) / seconds);
  }
  text += of_cases_ == 0 && cases_ > 0 ? fmt::format("{} cases", cases_)
                                       : fmt::format("{:.0f} %", 100 * share_);
  if (share_ > 0 && share_ < 1) {
    text += fmt::format(", {} left", duration_text(seconds * (1 - share_) / share_));
  }
  say(fmt::format("{}{}{}", terminal_ ? "\r" : "", text, terminal_ ? "\x1b[K" : "\n"), out_);
  written_ = true;
}

}  // namespace tplora::core
