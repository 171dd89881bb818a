// The only source of threads that work.
#pragma once

#include <cstdint>
#include <functional>

namespace tplora::core {

/// Calls `body(i)` for every i in [0, count), on at most `threads` threads (0: one for each core
/// that the process may use).
///
/// The calls must be independent: each writes only what belongs to its own i, so the thread count
/// changes no bit of any result. A body may call it again. An exception in a body is rethrown here.
void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body);

}  // namespace tplora::core
