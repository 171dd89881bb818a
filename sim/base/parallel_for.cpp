#include "sim/base/parallel_for.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "sim/base/machine.hpp"

namespace tplora::core {

void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body) {
  if (threads == 1 || count <= 1) {
    for (std::int64_t i = 0; i < count; ++i) {
      body(i);
    }
    return;
  }
  static const int count_of_cores = usable_cores();
  const int workers = threads == 0 ? count_of_cores : threads;
  // More threads than cores are asked for by tests; oneTBB wants to be told, or it prints.
  const tbb::global_control most(tbb::global_control::max_allowed_parallelism,
                                 static_cast<std::size_t>(std::max(workers, count_of_cores)));
  tbb::task_arena arena(workers);
  // Grain 1: one call is a whole case or panel, large against the cost of a task.
  arena.execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<std::int64_t>(0, count, 1),
        [&](const tbb::blocked_range<std::int64_t>& range) {
          for (std::int64_t i = range.begin(); i != range.end(); ++i) {
            body(i);
          }
        },
        tbb::simple_partitioner());
  });
}

}  // namespace tplora::core
