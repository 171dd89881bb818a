#include "sim/numerics/accumulator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "sim/base/checked.hpp"
#include "sim/base/decimal.hpp"
#include "sim/base/printable.hpp"

namespace tplora::core {
namespace {

constexpr std::array<std::string_view, 4> kArchitectures = {"volta", "ampere", "hopper",
                                                            "blackwell"};
constexpr std::string_view kTensorCore = "tensor_core:";

/// An integer option: its name, where it goes, and the range it may have.
struct Option {
  std::string_view name;
  std::int64_t least, most;
};

Result<std::int64_t> number(const Option& option, const std::string& text) {
  const auto value = parse_decimal(text, option.least, option.most);
  if (!value) {
    return fail(fmt::format("accumulator: {}={}: expected a decimal integer from {} to {}",
                            option.name, excerpt(text), option.least, option.most));
  }
  return *value;
}

Result<void> set_option(const std::string& item, Accumulator& out) {
  const std::size_t equals = item.find('=');
  const std::string name = item.substr(0, equals);
  const std::string text = equals == std::string::npos ? "" : item.substr(equals + 1);
  const auto set = [&](const Option& option, auto& to) -> Result<void> {
    const auto value = number(option, text);
    if (!value) {
      return fail(value.error());
    }
    to = static_cast<std::remove_reference_t<decltype(to)>>(*value);
    return {};
  };
  constexpr std::int64_t kLong = std::int64_t{1} << 30;
  if (name == "group") {
    return set({"group", 1, 64}, out.unit.group);
  }
  if (name == "fraction") {
    return set({"fraction", 1, 40}, out.unit.fraction_bits);
  }
  if (name == "floor") {
    return set({"floor", -300, 0}, out.unit.zero_exponent);
  }
  if (name == "result") {
    return set({"result", 1, 23}, out.unit.result.fraction_bits);
  }
  if (name == "split") {
    return set({"split", 1, 4096}, out.split.parts);
  }
  if (name == "unit") {
    return set({"unit", 1, kLong}, out.split.unit);
  }
  if (name == "promote") {
    return set({"promote", 1, kLong}, out.split.length);
  }
  if (name == "merge" && (text == "ascending" || text == "descending")) {
    out.split.descending = text == "descending";
    return {};
  }
  return fail(fmt::format(
      "accumulator: found \"{}\", expected group=, fraction=, floor=, result=, split=, unit=, "
      "promote= or merge=ascending or merge=descending",
      excerpt(item)));
}

Result<Accumulator> tensor_core_of(const std::string& options, OperandType operands) {
  Accumulator out{
      .rule = Accumulator::Rule::tensor_core, .architecture = {}, .unit = {}, .split = {}};
  std::istringstream items(options);
  std::string item;
  std::getline(items, item, ',');
  const auto* const name = std::find(kArchitectures.begin(), kArchitectures.end(), item);
  if (name != kArchitectures.end()) {
    const auto unit = matrix_unit(*name, operands);
    if (!unit) {
      return fail(
          fmt::format("accumulator: tensor_core:{} with {} operands: no source describes it", *name,
                      operand_type_name(operands)));
    }
    out.architecture = *name;
    out.unit = *unit;
  } else if (item.rfind("group=", 0) == 0) {
    // Spelt out: the operands' format is the type's all the same.
    out.unit = *matrix_unit("hopper", operands);
    out.unit.result = {};
    if (auto set = set_option(item, out); !set) {
      return fail(set.error());
    }
  } else {
    return fail(fmt::format(
        "accumulator: tensor_core:{}: expected volta, ampere, hopper, blackwell or group=",
        excerpt(item)));
  }
  const MatrixUnit named = out.unit;
  while (std::getline(items, item, ',')) {
    if (auto set = set_option(item, out); !set) {
      return fail(set.error());
    }
  }
  if (!out.architecture.empty() && out.unit != named) {
    return fail(
        fmt::format("accumulator: tensor_core:{} has its own group, fraction, floor and "
                    "result: begin with group= to spell a unit out",
                    out.architecture));
  }
  if (out.split.length != 0 && out.split.parts != 1) {
    return fail("accumulator: split= and promote= both cut K: expected one of them");
  }
  return out;
}

}  // namespace

std::int64_t SplitK::part_cols(std::int64_t cols) const {
  return length != 0 ? length
                     : std::max<std::int64_t>(1, ceil_div(ceil_div(cols, unit), parts) * unit);
}

Result<Accumulator> accumulator_of(const std::string& text, OperandType operands) {
  if (text == "fp32_chain") {
    return Accumulator::fp32_chain;
  }
  if (text == "exact") {
    return Accumulator::exact;
  }
  if (text.rfind(kTensorCore, 0) == 0) {
    return tensor_core_of(text.substr(kTensorCore.size()), operands);
  }
  return fail(fmt::format(
      "accumulator: found \"{}\", expected fp32_chain, exact or tensor_core:hopper and the like",
      excerpt(text)));
}

Result<Accumulator> accumulator_of(const std::string& text, ScalarType dtype) {
  switch (dtype) {
    case ScalarType::bf16: return accumulator_of(text, OperandType::bf16);
    case ScalarType::fp16: return accumulator_of(text, OperandType::fp16);
    case ScalarType::fp32: break;
  }
  return accumulator_of(text, OperandType::tf32);
}

std::string accumulator_name(const Accumulator& accumulator) {
  switch (accumulator.rule) {
    case Accumulator::Rule::fp32_chain: return "fp32_chain";
    case Accumulator::Rule::exact: return "exact";
    case Accumulator::Rule::tensor_core: break;
  }
  std::string text(kTensorCore);
  const MatrixUnit& unit = accumulator.unit;
  text += accumulator.architecture.empty()
              ? fmt::format("group={},fraction={},floor={},result={}", unit.group,
                            unit.fraction_bits, unit.zero_exponent, unit.result.fraction_bits)
              : std::string(accumulator.architecture);
  const SplitK& split = accumulator.split;
  text += split.parts != 1 ? fmt::format(",split={}", split.parts) : "";
  text += split.unit != SplitK().unit ? fmt::format(",unit={}", split.unit) : "";
  text += split.length != 0 ? fmt::format(",promote={}", split.length) : "";
  text += split.descending ? ",merge=descending" : "";
  return text;
}

}  // namespace tplora::core
