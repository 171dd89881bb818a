#include "sim/base/machine.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>

namespace tplora::core {
namespace {

namespace fs = std::filesystem;

/// The least of two limits, of which 0 is none.
template <class Number>
void limit(Number& least, Number found) {
  if (found > 0) {
    least = least == 0 ? found : std::min(least, found);
  }
}

/// The file's numbers; "max" and whatever else is no number is 0.
template <class Number>
Number number_in(std::istream& stream) {
  Number number = 0;
  if (!(stream >> number)) {
    number = 0;
    stream.clear();
    std::string word;
    stream >> word;
  }
  return number;
}

template <class Number>
Number number_in(const fs::path& file) {
  std::ifstream stream(file);
  return number_in<Number>(stream);
}

/// The cgroup at `path` below `root` and all above it; in a container `root` is often its own, and
/// what the path names is not there.
void limit_by(const fs::path& root, const fs::path& path, CgroupLimits& limits) {
  fs::path below = path.relative_path();
  for (bool top = false; !top; below = below.parent_path()) {
    top = below.empty();
    const fs::path folder = root / below;
    std::ifstream quota(folder / "cpu.max");
    const auto share = number_in<double>(quota);
    const auto period = number_in<double>(quota);
    limit(limits.cores, period > 0 ? share / period : 0.0);
    limit(limits.memory, number_in<std::int64_t>(folder / "memory.max"));
    // Version 1 has a folder for each controller, and -1 or a huge number where there is no limit.
    const auto share1 = number_in<double>(folder / "cpu.cfs_quota_us");
    const auto period1 = number_in<double>(folder / "cpu.cfs_period_us");
    limit(limits.cores, period1 > 0 ? share1 / period1 : 0.0);
    limit(limits.memory, number_in<std::int64_t>(folder / "memory.limit_in_bytes"));
  }
}

}  // namespace

CgroupLimits cgroup_limits(const fs::path& root, const fs::path& own) {
  CgroupLimits limits;
  std::ifstream stream(own);
  for (std::string line; std::getline(stream, line);) {  // "0::/user.slice", "4:cpu,cpuacct:/a"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string path = line.substr(second + 1);
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controllers == ",,") {
      limit_by(root, path, limits);
    }
    for (const char* name : {"cpu", "memory"}) {
      if (controllers.find("," + std::string(name) + ",") != std::string::npos) {
        limit_by(root / name, path, limits);
      }
    }
  }
  return limits;
}

int cores_within(int cores, double quota) {
  constexpr double kMost = 1e6;
  const int paid = quota > 0 ? static_cast<int>(std::min(std::ceil(quota), kMost)) : cores;
  return std::max(1, std::min(cores, paid));
}

int usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const int count = sched_getaffinity(0, sizeof(cores), &cores) == 0
                        ? CPU_COUNT(&cores)
                        : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return cores_within(count, cgroup_limits("/sys/fs/cgroup", "/proc/self/cgroup").cores);
}

std::int64_t usable_memory() {
  const std::int64_t machine =
      static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  std::int64_t least = machine > 0 ? machine : std::numeric_limits<std::int64_t>::max();
  limit(least, cgroup_limits("/sys/fs/cgroup", "/proc/self/cgroup").memory);
  return least;
}

}  // namespace tplora::core
