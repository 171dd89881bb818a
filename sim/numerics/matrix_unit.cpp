#include "sim/numerics/matrix_unit.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>

#include "sim/numerics/scalar.hpp"

namespace tplora::core {
namespace {

struct OperandFormat {
  std::string_view name;
  int fraction_bits, min_exponent;
};
constexpr std::array<OperandFormat, 5> kOperands = {{
    {"bf16", 7, -126},
    {"fp16", 10, -14},
    {"tf32", 10, -126},
    {"e4m3", 3, -6},
    {"e5m2", 2, -14},
}};

/// One row for each architecture and operand type that a source describes.
struct UnitRow {
  std::string_view architecture;
  OperandType type;
  int group, fraction_bits, zero_exponent, result_fraction_bits;
};
constexpr std::array<UnitRow, 12> kUnits = {{
    {"volta", OperandType::fp16, 4, 23, -131, 23},
    {"ampere", OperandType::bf16, 8, 24, -132, 23},
    {"ampere", OperandType::fp16, 8, 24, -132, 23},
    {"hopper", OperandType::bf16, 16, 25, -133, 23},
    {"hopper", OperandType::fp16, 16, 25, -133, 23},
    {"hopper", OperandType::tf32, 8, 25, -133, 23},
    {"hopper", OperandType::e4m3, 32, 13, -133, 13},
    {"hopper", OperandType::e5m2, 32, 13, -133, 13},
    {"blackwell", OperandType::bf16, 16, 25, -133, 23},
    {"blackwell", OperandType::fp16, 16, 25, -133, 23},
    {"blackwell", OperandType::e4m3, 32, 25, -133, 23},
    {"blackwell", OperandType::e5m2, 32, 25, -133, 23},
}};

/// A finite number: (-1)^negative * significand * 2^unit, with the exponent that aligns it.
struct Term {
  bool negative = false;
  std::uint64_t significand = 0;
  int unit = 0, exponent = 0;
};

Term term_of(float value, int min_exponent) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const int field = static_cast<int>((bits >> 23) & 0xffU);
  const std::uint32_t fraction = bits & 0x7fffffU;
  const int exponent = std::max(field, 1) - 127;
  return {.negative = (bits >> 31) != 0,
          .significand = field == 0 ? fraction : fraction | 0x800000U,
          .unit = exponent - 23,
          .exponent = std::max(exponent, min_exponent)};
}

Term product_of(const Term& a, const Term& b) {
  return {.negative = a.negative != b.negative,
          .significand = a.significand * b.significand,
          .unit = a.unit + b.unit,
          .exponent = a.exponent + b.exponent};
}

/// The term in multiples of 2^unit, its magnitude cut.
std::int64_t cut(const Term& term, int unit) {
  const int shift = unit - term.unit;
  const std::uint64_t magnitude = shift >= 64 || term.significand == 0 ? 0
                                  : shift >= 0                         ? term.significand >> shift
                                                                       : term.significand << -shift;
  const auto value = static_cast<std::int64_t>(magnitude);
  return term.negative ? -value : value;
}

/// sum * 2^unit in the result's format.
float result_of(std::int64_t sum, int unit, const ResultFormat& format) {
  const auto magnitude = static_cast<std::uint64_t>(std::abs(sum));
  if (magnitude == 0) {
    return 0.0F;
  }
  const int exponent = unit + static_cast<int>(std::bit_width(magnitude)) - 1;
  const int last = std::max(exponent, format.min_exponent) - format.fraction_bits;
  const int dropped = last - unit;
  std::uint64_t kept = magnitude;
  if (dropped > 0) {
    kept = dropped >= 64 ? 0 : magnitude >> dropped;
    const std::uint64_t rest = dropped >= 64 ? magnitude : magnitude - (kept << dropped);
    const std::uint64_t half = dropped > 64 ? 0 : std::uint64_t{1} << (dropped - 1);
    if (format.nearest && half != 0 && (rest > half || (rest == half && (kept & 1U) != 0))) {
      ++kept;
    }
  }
  const double value = std::ldexp(static_cast<double>(kept), dropped > 0 ? last : unit);
  const double limit = std::ldexp(1.0, format.max_exponent + 1);
  const float rounded =
      value >= limit ? std::bit_cast<float>(0x7f800000U) : static_cast<float>(value);
  return sum < 0 && kept != 0 ? -rounded : rounded;
}

}  // namespace

std::string_view operand_type_name(OperandType type) {
  return kOperands[static_cast<std::size_t>(type)].name;
}

std::optional<OperandType> operand_type_of(std::string_view name) {
  for (std::size_t i = 0; i < kOperands.size(); ++i) {
    if (kOperands[i].name == name) {
      return static_cast<OperandType>(i);
    }
  }
  return std::nullopt;
}

float decode_operand(OperandType type, std::uint32_t bits) {
  switch (type) {
    case OperandType::bf16: return decode(ScalarType::bf16, bits);
    case OperandType::fp16: return decode(ScalarType::fp16, bits);
    case OperandType::tf32: return std::bit_cast<float>(bits & 0xffffe000U);
    // An e5m2 pattern is the upper half of an fp16 pattern.
    case OperandType::e5m2: return decode(ScalarType::fp16, bits << 8);
    case OperandType::e4m3: break;
  }
  // No infinity; all ones is NaN; bias 7.
  const std::uint32_t magnitude = bits & 0x7fU;
  if (magnitude == 0x7fU) {
    return canonical_nan();
  }
  const auto fraction = static_cast<float>(magnitude & 7U);
  const auto field = static_cast<int>(magnitude >> 3);
  const float value =
      field == 0 ? std::ldexp(fraction, -9) : std::ldexp(fraction + 8.0F, field - 10);
  return (bits & 0x80U) != 0 ? -value : value;
}

std::optional<MatrixUnit> matrix_unit(std::string_view architecture, OperandType type) {
  const auto* const row = std::find_if(kUnits.begin(), kUnits.end(), [&](const UnitRow& one) {
    return one.architecture == architecture && one.type == type;
  });
  if (row == kUnits.end()) {
    return std::nullopt;
  }
  const OperandFormat& operand = kOperands[static_cast<std::size_t>(type)];
  return MatrixUnit{.group = row->group,
                    .fraction_bits = row->fraction_bits,
                    .zero_exponent = row->zero_exponent,
                    .result = {.fraction_bits = row->result_fraction_bits},
                    .operand_fraction_bits = operand.fraction_bits,
                    .operand_min_exponent = operand.min_exponent};
}

float add_group(const MatrixUnit& unit, float c, Operands x, Operands w, std::int64_t count) {
  double special = std::isfinite(c) ? 0.0 : static_cast<double>(c);
  int e = unit.zero_exponent;
  const Term accumulator = term_of(c, unit.result.min_exponent);
  if (accumulator.significand != 0) {
    e = std::max(e, accumulator.exponent);
  }
  const auto each_product = [&](const auto& body) {
    for (std::int64_t k = 0; k < count; ++k) {
      const float a = x.values[k * x.stride];
      const float b = w.values[k * w.stride];
      if (!std::isfinite(a) || !std::isfinite(b)) {
        special += static_cast<double>(a) * static_cast<double>(b);
        continue;
      }
      const Term product =
          product_of(term_of(a, unit.operand_min_exponent), term_of(b, unit.operand_min_exponent));
      if (product.significand != 0) {
        body(product);
      }
    }
  };
  each_product([&](const Term& product) { e = std::max(e, product.exponent); });
  if (special != 0 || special != special) {
    return special != special ? canonical_nan() : static_cast<float>(special);
  }
  const int last = e - unit.fraction_bits;
  std::int64_t sum = cut(accumulator, last);
  each_product([&](const Term& product) { sum += cut(product, last); });
  return result_of(sum, last, unit.result);
}

float add_chain(const MatrixUnit& unit, float c, Operands x, Operands w, std::int64_t count) {
  for (std::int64_t k = 0; k < count; k += unit.group) {
    c = add_group(unit, c, {x.values + k * x.stride, x.stride}, {w.values + k * w.stride, w.stride},
                  std::min<std::int64_t>(unit.group, count - k));
  }
  return c;
}

}  // namespace tplora::core
