// What one instruction of a GPU's matrix unit computes, bit for bit.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tplora::core {

/// Formats of the operands of a matrix unit. Values are held as fp32, where all are exact.
enum class OperandType { bf16, fp16, tf32, e4m3, e5m2 };
[[nodiscard]] std::string_view operand_type_name(OperandType type);
[[nodiscard]] std::optional<OperandType> operand_type_of(std::string_view name);
/// The value of a bit pattern: 16 bits, 8 bits, or for tf32 an fp32 word, whose low 13 bits are
/// cut.
[[nodiscard]] float decode_operand(OperandType type, std::uint32_t bits);

/// How a sum is turned into a floating-point number.
struct ResultFormat {
  int fraction_bits = 23;
  int min_exponent = -126;  ///< of a normal number; below it the unit stays
  int max_exponent = 127;   ///< magnitudes of 2^(max_exponent + 1) and more are infinite
  bool nearest = false;     ///< to nearest even; otherwise the magnitude is cut
  bool operator==(const ResultFormat&) const = default;
};

/// The parameters of one unit. A group of products and the accumulator are added at once:
///
/// 1. A product is exact; its exponent is the sum of its operands' exponents. An operand's exponent
///    is that of its leading bit, and no less than operand_min_exponent; the accumulator's no less
///    than the result's min_exponent.
/// 2. e = the largest exponent of all products and the accumulator that are not zero, and no less
/// than
///    zero_exponent.
/// 3. The magnitude of each term is cut to a multiple of 2^(e - fraction_bits).
/// 4. The cut terms are added exactly.
/// 5. The sum is turned into the result format, which is the next group's accumulator. Zero is +0,
///    also where a negative sum was cut to it.
///
/// Sources: MMA-Sim (arXiv 2511.10909, peichenxie/MMA-Sim), Khattak and Mikaitis (arXiv
/// 2512.07004), and the vectors in tests/data/tensor_core, recorded on hardware (docs/numerics.md
/// says which).
struct MatrixUnit {
  int group = 16;
  int fraction_bits = 25;
  int zero_exponent = -133;
  ResultFormat result;
  int operand_fraction_bits = 7;    ///< further bits of an operand are cut
  int operand_min_exponent = -126;  ///< exponent of the operand type's subnormals
  bool operator==(const MatrixUnit&) const = default;
};

/// The unit of an architecture (volta, ampere, hopper, blackwell) for operands of a type; nothing
/// where no source describes it.
[[nodiscard]] std::optional<MatrixUnit> matrix_unit(std::string_view architecture,
                                                    OperandType type);

/// The accumulator after one group: c + sum of x[k * x_stride] * w[k * w_stride] for k < count <=
/// unit.group. A NaN, infinity times zero, or infinities of both signs give the canonical NaN.
struct Operands {
  const float* values = nullptr;
  std::int64_t stride = 1;
};
[[nodiscard]] float add_group(const MatrixUnit& unit, float c, Operands x, Operands w,
                              std::int64_t count);
/// The same for any count: groups one after the other, k ascending.
[[nodiscard]] float add_chain(const MatrixUnit& unit, float c, Operands x, Operands w,
                              std::int64_t count);

}  // namespace tplora::core
