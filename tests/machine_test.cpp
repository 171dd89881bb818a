// What the process may use, and how far it is.
#include "sim/base/machine.hpp"

#include <sched.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "tests/catch.hpp"
#include "tests/support.hpp"
#include "verify/cli/progress_line.hpp"
#include "verify/run/memory_budget.hpp"

using namespace tplora;
using namespace tplora::core;
using namespace std::chrono_literals;

namespace {

std::string text_of(std::FILE* file) {
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
    text += static_cast<char>(c);
  }
  return text;
}

/// A file in folders that are made for it.
std::filesystem::path write(const test::TemporaryFolder& folder, const std::string& name,
                            const std::string& text) {
  std::filesystem::create_directories((folder.path() / name).parent_path());
  return folder.write(name, text);
}

}  // namespace

TEST_CASE("the least limit of a cgroup and those above it counts", "[machine]") {
  const test::TemporaryFolder folder;
  const auto own = write(folder, "own", "0::/a/b\n");
  const auto root = write(folder, "v2/a/b/cpu.max", "350000 100000\n").parent_path() / "../..";
  write(folder, "v2/a/b/memory.max", "max\n");
  write(folder, "v2/a/cpu.max", "max 100000\n");
  write(folder, "v2/a/memory.max", "1073741824\n");
  write(folder, "v2/memory.max", "2147483648\n");
  const CgroupLimits limits = cgroup_limits(root, own);
  CHECK(limits.cores == 3.5);
  CHECK(limits.memory == 1073741824);

  const auto old = write(folder, "old", "4:cpu,cpuacct:/x\n7:memory:/x\nno line\n");
  const auto v1 = write(folder, "v1/cpu/x/cpu.cfs_quota_us", "50000\n").parent_path() / "../..";
  write(folder, "v1/cpu/x/cpu.cfs_period_us", "100000\n");
  write(folder, "v1/cpu/cpu.cfs_quota_us", "-1\n");
  write(folder, "v1/cpu/cpu.cfs_period_us", "100000\n");
  write(folder, "v1/memory/memory.limit_in_bytes", "4096\n");
  CHECK(cgroup_limits(v1, old).cores == 0.5);
  CHECK(cgroup_limits(v1, old).memory == 4096);  // of what stands above a folder that is not there

  CHECK(cgroup_limits(root, write(folder, "none", "")).cores == 0);
  CHECK(cgroup_limits(root, "/nowhere").memory == 0);
}

TEST_CASE("a process that may run on one core has one", "[machine]") {
  int pinned = 0;
  std::thread one([&] {  // affinity is a thread's own
    cpu_set_t cores;
    CPU_ZERO(&cores);
    REQUIRE(sched_getaffinity(0, sizeof(cores), &cores) == 0);
    std::size_t first = 0;
    while (!CPU_ISSET(first, &cores)) {
      ++first;
    }
    CPU_ZERO(&cores);
    CPU_SET(first, &cores);
    REQUIRE(sched_setaffinity(0, sizeof(cores), &cores) == 0);
    pinned = usable_cores();
  });
  one.join();
  CHECK(pinned == 1);
  CHECK(cores_within(8, 0) == 8);
  CHECK(cores_within(8, 3.5) == 4);  // half a core is paid for too
  CHECK(cores_within(2, 3.5) == 2);
  CHECK(cores_within(8, 0.1) == 1);
  CHECK(cores_within(0, 0) == 1);
  CHECK(usable_cores() >= 1);
  CHECK(usable_memory() > (std::int64_t{1} << 27));
}

TEST_CASE("memory is waited for until it is given back", "[machine]") {
  MemoryBudget budget(100);
  bool given = false;
  std::thread other;
  {
    const MemoryBudget::Share most(budget, 80);
    const MemoryBudget::Share rest(budget, 20);
    other = std::thread([&] {
      const MemoryBudget::Share more(budget, 500);  // more than there is: given alone
      given = true;
    });
    std::this_thread::sleep_for(20ms);
    CHECK_FALSE(given);
  }
  other.join();
  CHECK(given);
}

TEST_CASE("a line tells how far a command is, and how long the rest takes", "[machine]") {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  {
    ProgressLine line("mine", file, false, 5ms);
    line.set(0.5, 10, 20);
    line.set(0.25, 5, 20);  // told later, though it is earlier
    std::this_thread::sleep_for(50ms);
  }
  const std::string text = text_of(file);
  CHECK(text.find("mine: 10 of 20 cases, ") == 0);
  CHECK(text.find("50 %, 0 s left\n") != std::string::npos);
  std::FILE* const terminal = std::tmpfile();
  {
    ProgressLine line("engine", terminal, true, 5ms);
    line.set(1);
    std::this_thread::sleep_for(30ms);
  }
  CHECK(text_of(terminal).find("\rengine: 100 %\x1b[K") == 0);
  CHECK(text_of(terminal).ends_with("\r\x1b[K"));
  std::FILE* const quick = std::tmpfile();
  { const ProgressLine line("quick", quick, false, 10s); }
  CHECK(text_of(quick).empty());
  std::fclose(file);
  std::fclose(terminal);
  std::fclose(quick);
  // Where nobody can hear it, it is lost, and nothing else.
  std::FILE* const full = std::fopen("/dev/full", "w");
  REQUIRE(full != nullptr);
  {
    ProgressLine line("\x1b[31m", full, false, 5ms);
    line.set(0.5, 1, 2);
    std::this_thread::sleep_for(20ms);
  }
  std::fclose(full);
  std::FILE* const odd = std::tmpfile();
  {
    const ProgressLine line("\x1b[31m", odd, false, 5ms);
    std::this_thread::sleep_for(20ms);
  }
  CHECK(text_of(odd).find('\x1b') == std::string::npos);
  std::fclose(odd);
  CHECK(duration_text(7.4) == "7 s");
  CHECK(duration_text(130) == "2 min 10 s");
  CHECK(duration_text(3900) == "1 h 5 min");
}
