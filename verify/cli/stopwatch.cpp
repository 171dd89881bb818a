#include "verify/cli/stopwatch.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>

#include "verify/cli/say.hpp"

namespace tplora::core {

void Stopwatch::print(std::size_t cases) const {
  std::fflush(stdout);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  say(fmt::format("{:.1f} s, {:.0f} cases/s, {:.2f} GB at most\n", seconds,
                  static_cast<double>(cases) / seconds,
                  static_cast<double>(usage.ru_maxrss) * 1024 / 1e9));
}

}  // namespace tplora::core
