// Memory that is shared out among cases that run at the same time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace tplora::core {

/// So many bytes, taken and given back from any thread.
class MemoryBudget {
 public:
  /// `bytes`: 0: as many as the process may use, less a fifth for all else.
  explicit MemoryBudget(std::int64_t bytes);

  [[nodiscard]] double bytes() const { return bytes_; }

  /// Bytes that are taken, until it is destroyed.
  class Share {
   public:
    /// Waits until others have given back enough. What is more than there is in all is given when
    /// nobody has any.
    Share(MemoryBudget& budget, double bytes);
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share();

   private:
    MemoryBudget& budget_;
    double bytes_;
  };

 private:
  double bytes_;
  std::mutex mutex_;  ///< of all that follows
  std::condition_variable given_back_;
  double taken_ = 0;
  int shares_ = 0;
};

}  // namespace tplora::core
