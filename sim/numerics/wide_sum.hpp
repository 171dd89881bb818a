// A sum of products of fp32 values without any error, in integers.
#pragma once

#include <array>
#include <cstdint>

namespace tplora::core {

/// Holds sums of up to 2^30 products of two finite fp32 values exactly, as one signed integer in
/// units of 2^-298, the smallest product of two subnormals.
class WideSum {
 public:
  /// Adds a * b. An infinity or NaN in either makes the result one, by IEEE 754's rules.
  void add_product(float a, float b);
  /// The sum, rounded to the nearest fp32, ties to even. An exact zero is +0.
  [[nodiscard]] float rounded() const;

 private:
  // 2^30 products below 2^256 are below 2^286: 286 + 298 bits and a sign fit 19 digits of 32.
  static constexpr int kDigits = 20;
  /// Digits of 32 bits with their carries pending in the upper halves.
  std::array<std::int64_t, kDigits> digits_{};
  double special_ = 0;  ///< sum of what is not finite
};

}  // namespace tplora::core
