#include "verify/run/memory_budget.hpp"

#include "sim/base/machine.hpp"

namespace tplora::core {

MemoryBudget::MemoryBudget(std::int64_t bytes)
    : bytes_(bytes > 0 ? static_cast<double>(bytes) : 0.8 * static_cast<double>(usable_memory())) {}

MemoryBudget::Share::Share(MemoryBudget& budget, double bytes) : budget_(budget), bytes_(bytes) {
  std::unique_lock lock(budget_.mutex_);
  budget_.given_back_.wait(
      lock, [&] { return budget_.shares_ == 0 || budget_.taken_ + bytes_ <= budget_.bytes_; });
  budget_.taken_ += bytes_;
  ++budget_.shares_;
}

MemoryBudget::Share::~Share() {
  {
    const std::scoped_lock lock(budget_.mutex_);
    budget_.taken_ -= bytes_;
    --budget_.shares_;
  }
  budget_.given_back_.notify_all();
}

}  // namespace tplora::core
