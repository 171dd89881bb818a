// What of the machine this process may use.
#pragma once

#include <cstdint>
#include <filesystem>

namespace tplora::core {

/// Cores that the process may run on: those of its affinity, and no more than the CPU quota of its
/// cgroups (rounded up) pays for. At least 1.
[[nodiscard]] int usable_cores();

/// The same of `cores` in the affinity; `quota`: of cores, 0: none.
[[nodiscard]] int cores_within(int cores, double quota);

/// Bytes of memory that the process may take: of the machine, and no more than any of its cgroups.
[[nodiscard]] std::int64_t usable_memory();

/// What the cgroups of a process leave it, each the least over its cgroup and all above it.
struct CgroupLimits {
  double cores = 0;         ///< 0: no limit
  std::int64_t memory = 0;  ///< bytes; 0: no limit
};
/// `root`: where cgroups are mounted; `own`: the process's list of them, as /proc/self/cgroup.
/// Version 2, and version 1 as containers have it. What cannot be read is no limit.
[[nodiscard]] CgroupLimits cgroup_limits(const std::filesystem::path& root,
                                         const std::filesystem::path& own);

}  // namespace tplora::core
