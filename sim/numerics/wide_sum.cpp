#include "sim/numerics/wide_sum.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "sim/numerics/scalar.hpp"

namespace tplora::core {
namespace {

constexpr int kLowestBit = -298;

/// value = significand * 2^(place - 149), place >= 0.
struct Parts {
  std::uint64_t significand = 0;
  int place = 0;
};

Parts parts_of(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value) & 0x7fffffffU;
  const std::uint32_t field = bits >> 23;
  const std::uint32_t fraction = bits & 0x7fffffU;
  return field == 0 ? Parts{fraction, 0} : Parts{fraction | 0x800000U, static_cast<int>(field) - 1};
}

}  // namespace

void WideSum::add_product(float a, float b) {
  if (!std::isfinite(a) || !std::isfinite(b)) {
    special_ += static_cast<double>(a) * static_cast<double>(b);
    return;
  }
  const Parts left = parts_of(a);
  const Parts right = parts_of(b);
  const std::uint64_t product = left.significand * right.significand;  // below 2^48
  const int place = left.place + right.place;
  const int shift = place % 32;
  const std::uint64_t low = (product & 0xffffffffU) << shift;
  const std::uint64_t high = (product >> 32) << shift;
  const std::int64_t sign = std::signbit(a) == std::signbit(b) ? 1 : -1;
  auto* const digit = digits_.data() + place / 32;
  digit[0] += sign * static_cast<std::int64_t>(low & 0xffffffffU);
  digit[1] += sign * static_cast<std::int64_t>((low >> 32) + (high & 0xffffffffU));
  digit[2] += sign * static_cast<std::int64_t>(high >> 32);
}

float WideSum::rounded() const {
  if (special_ != 0 || special_ != special_) {
    return special_ != special_ ? canonical_nan() : static_cast<float>(special_);
  }
  // Carries, then the magnitude in plain digits.
  const auto carried = [&](std::int64_t sign, std::array<std::uint32_t, kDigits>& plain) {
    std::int64_t carry = 0;
    for (std::size_t i = 0; i < digits_.size(); ++i) {
      const std::int64_t digit = sign * digits_[i] + carry;
      plain[i] = static_cast<std::uint32_t>(digit);
      carry = digit >> 32;
    }
    return carry;
  };
  std::array<std::uint32_t, kDigits> plain{};
  const bool negative = carried(1, plain) < 0;
  if (negative) {
    carried(-1, plain);
  }
  int top = kDigits - 1;
  while (top >= 0 && plain[static_cast<std::size_t>(top)] == 0) {
    --top;
  }
  if (top < 0) {
    return 0.0F;
  }
  const auto bit = [&](int place) {
    return (plain[static_cast<std::size_t>(place / 32)] >> (place % 32)) & 1U;
  };
  int highest = 32 * top + 31;
  while (bit(highest) == 0) {
    --highest;
  }
  // The result's unit: 23 bits below the highest one, and no finer than fp32's subnormals.
  const int unit = std::max(highest - 23, -149 - kLowestBit);
  std::uint64_t significand = 0;
  for (int place = highest; place >= unit; --place) {
    significand = 2 * significand + bit(place);
  }
  const bool half = unit > 0 && unit - 1 <= highest && bit(unit - 1) != 0;
  bool rest = false;
  for (int place = 0; place < unit - 1 && place <= highest; ++place) {
    rest = rest || bit(place) != 0;
  }
  if (half && (rest || (significand & 1U) != 0)) {
    ++significand;
  }
  // 2^24 at most: exact in double; what exceeds fp32 becomes infinite in the conversion.
  const double magnitude = std::ldexp(static_cast<double>(significand), unit + kLowestBit);
  const auto value = static_cast<float>(magnitude);
  return negative ? -value : value;
}

}  // namespace tplora::core
