#include "verify/check/exact_forward.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "sim/base/checked.hpp"
#include "sim/base/parallel_for.hpp"
#include "sim/numerics/program.hpp"
#include "verify/run/unsharded.hpp"

namespace tplora::core {
namespace {

/// A sum of doubles in two of them: what an addition loses is kept.
struct Pair {
  double high = 0, low = 0;

  void add(double value) {
    const double sum = high + value;
    const double part = sum - high;
    low += (high - (sum - part)) + (value - part);
    high = sum;
  }
  void add(const Pair& other) {
    add(other.high);
    low += other.low;
  }
  /// Its product with a double.
  [[nodiscard]] Pair times(double factor) const {
    const double product = high * factor;
    return {product, std::fma(high, factor, -product) + low * factor};
  }
  [[nodiscard]] double magnitude() const { return std::fabs(high) + std::fabs(low); }
};

/// An exact value, and how far a right kernel's may be from it.
struct Bounded {
  Pair value;
  double error = 0;

  [[nodiscard]] double most() const { return value.magnitude() + error; }
};

constexpr double kFp32Unit = 0x1p-24;

/// Half a unit in the last place, as a part of the value; and of the smallest values.
double unit_of(ScalarType type) {
  switch (type) {
    case ScalarType::bf16: return 0x1p-8;
    case ScalarType::fp16: return 0x1p-11;
    case ScalarType::fp32: break;
  }
  return 0;  // values are fp32 already
}
double least_of(ScalarType type) {
  return type == ScalarType::fp16 ? 0x1p-25 : 0x1p-134;
}

void follow(std::span<const Step> steps, double scaling, ScalarType dtype, Bounded& one) {
  for (const Step step : steps) {
    if (step == Step::scale) {
      one.value = one.value.times(scaling);
      one.error = one.error * std::fabs(scaling);
      one.error += kFp32Unit * one.most() + 0x1p-150;
    } else {
      one.error += unit_of(dtype) * one.most() + least_of(dtype);
    }
  }
}

/// What a sum of `terms` products may lose of the sum of their magnitudes; and, apart from that, of
/// an absolute amount.
struct SumLoss {
  double of_magnitudes = 0;
  double absolute = 0;
};

SumLoss loss_of(const Accumulator& accumulator, std::int64_t terms, ScalarType dtype) {
  const auto n = static_cast<double>(terms);
  switch (accumulator.rule) {
    case Accumulator::Rule::exact: return {kFp32Unit, 0x1p-150};
    case Accumulator::Rule::fp32_chain: return {(n + 1) * kFp32Unit, n * 0x1p-150};
    case Accumulator::Rule::tensor_core: break;
  }
  const MatrixUnit& unit = accumulator.unit;
  const double group = unit.group;
  const double steps =
      std::ceil(n / group) +
      static_cast<double>(std::max<std::int64_t>(
          accumulator.split.parts,
          accumulator.split.length == 0 ? 1 : ceil_div(terms, accumulator.split.length)));
  const double a_step = (group + 1) * std::ldexp(1.0, -unit.fraction_bits) +
                        std::ldexp(1.0, -unit.result.fraction_bits);
  double loss = std::max(steps * a_step, n * 2 * kFp32Unit);
  loss = loss > 0.5 ? std::numeric_limits<double>::infinity() : loss * (1 + loss);
  const int kept = dtype == ScalarType::bf16 ? 7 : dtype == ScalarType::fp16 ? 10 : 23;
  if (unit.operand_fraction_bits < kept) {  // operands are cut, too
    loss += 2.01 * std::ldexp(1.0, -unit.operand_fraction_bits);
  }
  return {loss, steps * (group + 1) * std::ldexp(1.0, unit.zero_exponent - unit.fraction_bits + 1)};
}

/// The exact forward of one case: what does not depend on the rank.
class ExactForward {
 public:
  explicit ExactForward(const PreparedCase& item)
      : item_(item),
        g_(*item.geometry),
        unsharded_(item),
        program_(*unsharded_.arithmetic().program),
        dtype_(item.spec.dtype) {
    for (const Part part : kParts) {
      bias_[static_cast<std::size_t>(part)] =
          g_.qkv_bias ? unsharded_.tensors()->bias(part) : std::vector<float>();
    }
  }

  [[nodiscard]] std::int64_t tokens() const { return unsharded_.batch().tokens(); }

  /// u of a token and part, after the shrink's steps: by lora_rank index.
  [[nodiscard]] std::vector<Bounded> shrink(std::int64_t token, Part part) const {
    std::vector<Bounded> u;
    const Adapter* adapter = adapter_of(token);
    if (adapter == nullptr || !adapter->spec().has(part)) {
      return u;
    }
    const std::int64_t hidden = g_.hidden_size;
    for (std::int64_t row = 0; row < adapter->spec().rank_of(part); ++row) {
      u.push_back(dot(
          x_of(token),
          std::span(adapter->a(part))
              .subspan(static_cast<std::size_t>(row * hidden), static_cast<std::size_t>(hidden)),
          unsharded_.arithmetic().lora));
      follow(program_.shrink, 1.0, dtype_, u.back());
    }
    return u;
  }

  [[nodiscard]] Bounded base(std::int64_t token, Part part, std::int64_t row,
                             std::span<const float> weight) const {
    Bounded one = dot(x_of(token), weight, unsharded_.arithmetic().base);
    const auto& bias = bias_[static_cast<std::size_t>(part)];
    if (!bias.empty()) {
      one.value.add(bias[static_cast<std::size_t>(row)]);
      one.error += kFp32Unit * one.most();
    }
    follow(program_.base, 1.0, dtype_, one);
    return one;
  }

  /// `u`: what `shrink` gave for the token and part; empty: no delta.
  [[nodiscard]] Bounded delta(std::int64_t token, Part part, std::int64_t row,
                              const std::vector<Bounded>& u) const {
    Bounded sum;
    if (u.empty()) {
      return sum;
    }
    const Adapter& adapter = *adapter_of(token);
    const double scaling = adapter.spec().scaling(part);
    double magnitudes = 0;
    for (std::size_t q = 0; q < u.size(); ++q) {
      Bounded b{{adapter.b(part)[static_cast<std::size_t>(row) * u.size() + q], 0}, 0};
      follow(program_.load_b, scaling, dtype_, b);
      Bounded in = u[q];
      follow(program_.expand_input, scaling, dtype_, in);
      // B after its steps is a double and a rest; the rest is far below what is bounded.
      sum.value.add(in.value.times(b.value.high));
      sum.value.low += in.value.high * b.value.low;
      sum.error += in.error * b.most() + in.value.magnitude() * b.error;
      magnitudes += in.most() * b.most();
    }
    const SumLoss loss =
        loss_of(unsharded_.arithmetic().lora, static_cast<std::int64_t>(u.size()), dtype_);
    sum.error += loss.of_magnitudes * magnitudes + loss.absolute;
    follow(program_.delta, scaling, dtype_, sum);
    return sum;
  }

  [[nodiscard]] Bounded output(std::int64_t token, const Bounded& base,
                               const Bounded& delta) const {
    if (adapter_of(token) == nullptr) {
      return base;
    }
    Bounded y = base;
    y.value.add(delta.value);
    y.error += delta.error;
    y.error += kFp32Unit * y.most();
    follow(program_.sum, 1.0, dtype_, y);
    return y;
  }

  void weight_row(Part part, std::int64_t row, std::vector<float>& into) const {
    unsharded_.tensors()->weight_rows(part, row, 1, into.data());
  }

 private:
  [[nodiscard]] const Adapter* adapter_of(std::int64_t token) const {
    const int number = item_.spec.tokens[static_cast<std::size_t>(token)];
    return number < 0 ? nullptr : &unsharded_.adapters()[static_cast<std::size_t>(number)];
  }
  [[nodiscard]] std::span<const float> x_of(std::int64_t token) const {
    return unsharded_.batch().x.subspan(static_cast<std::size_t>(token * g_.hidden_size),
                                        static_cast<std::size_t>(g_.hidden_size));
  }
  [[nodiscard]] Bounded dot(std::span<const float> x, std::span<const float> w,
                            const Accumulator& accumulator) const {
    Bounded sum;
    double magnitudes = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
      const double product = static_cast<double>(x[k]) * static_cast<double>(w[k]);  // exact
      sum.value.add(product);
      magnitudes += std::fabs(product);
    }
    const SumLoss loss = loss_of(accumulator, static_cast<std::int64_t>(x.size()), dtype_);
    sum.error = loss.of_magnitudes * magnitudes + loss.absolute;
    return sum;
  }

  const PreparedCase& item_;
  const QkvGeometry& g_;
  Unsharded unsharded_;
  const RoundingProgram& program_;
  ScalarType dtype_;
  std::array<std::vector<float>, 3> bias_;
};

/// Doubles have been added up with a loss of their own, far below any unit that is looked at.
constexpr double kSlack = 1 + 0x1p-30;

ExactValue exact_value(const Bounded& one) {
  return {one.value.high, one.value.low, one.error * kSlack};
}

std::vector<ExactValue> exact_shrink(const ExactForward& forward, const PreparedCase& item,
                                     Part part) {
  std::int64_t widest = 0;
  for (const AdapterSpec& adapter : item.spec.adapters) {
    widest = std::max(widest, adapter.has(part) ? adapter.rank_of(part) : 0);
  }
  std::vector<ExactValue> all(static_cast<std::size_t>(forward.tokens() * widest));
  for (std::int64_t token = 0; token < forward.tokens(); ++token) {
    const auto u = forward.shrink(token, part);
    std::transform(u.begin(), u.end(), all.begin() + token * widest, exact_value);
  }
  return all;
}

/// The quantum of `type` at a magnitude: the distance of its neighbours.
double quantum(ScalarType type, double magnitude) {
  const int bits = type == ScalarType::bf16 ? 8 : type == ScalarType::fp16 ? 11 : 24;
  const int least = type == ScalarType::fp16 ? -24 : type == ScalarType::bf16 ? -133 : -149;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  return std::ldexp(1.0, magnitude == 0 ? least : std::max(exponent - bits, least));
}

}  // namespace

std::vector<ExactValue> exact_values(const PreparedCase& item, const OwnedHeads& own,
                                     const std::string& tensor, int threads) {
  const ExactForward forward(item);
  for (const Part part : kParts) {
    if (tensor == std::string("u.") + std::string(part_name(part))) {
      return exact_shrink(forward, item, part);
    }
  }
  const std::int64_t tokens = forward.tokens();
  std::vector<ExactValue> all(static_cast<std::size_t>(tokens * own.width));
  for (const ColumnsOfPart& columns : own.columns) {
    std::vector<std::vector<Bounded>> u;
    for (std::int64_t token = 0; token < tokens; ++token) {
      u.push_back(tensor == "y_base" ? std::vector<Bounded>()
                                     : forward.shrink(token, columns.part));
    }
    parallel_for(columns.rows, threads, [&](std::int64_t i) {
      const std::int64_t row = columns.first_row + i;
      std::vector<float> weight(static_cast<std::size_t>(item.geometry->hidden_size));
      if (tensor != "delta") {
        forward.weight_row(columns.part, row, weight);
      }
      for (std::int64_t token = 0; token < tokens; ++token) {
        const Bounded delta =
            forward.delta(token, columns.part, row, u[static_cast<std::size_t>(token)]);
        Bounded one = delta;
        if (tensor != "delta") {
          one = forward.base(token, columns.part, row, weight);
          one = tensor == "y" ? forward.output(token, one, delta) : one;
        }
        all[static_cast<std::size_t>(token * own.width + columns.at + i)] = exact_value(one);
      }
    });
  }
  return all;
}

double ulp_distance(float value, const ExactValue& exact, ScalarType type) {
  if (!std::isfinite(value)) {
    return std::numeric_limits<double>::infinity();
  }
  // To odd, so that a rounding to fewer bits sees whether anything is behind.
  double sum = exact.high + exact.low;
  const double rest = exact.high - sum + exact.low;
  if (rest != 0) {
    sum = (rest > 0) == (sum > 0) ? sum : std::nextafter(sum, 0.0);
    sum = std::bit_cast<double>(std::bit_cast<std::uint64_t>(sum) | 1U);
  }
  const double unit = quantum(type, std::fabs(sum));
  const double rounded = std::nearbyint(sum / unit) * unit;
  return std::fabs(static_cast<double>(value) - rounded) / quantum(type, std::fabs(rounded));
}

}  // namespace tplora::core
