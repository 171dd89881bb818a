#include "sim/numerics/accumulator.hpp"

#include <array>

namespace tplora {
namespace {
constexpr std::array<std::string_view, 2> kNames = {"fp32_chain", "exact"};
}

std::string_view accumulator_name(Accumulator accumulator) {
  return kNames[static_cast<std::size_t>(accumulator)];
}

std::optional<Accumulator> accumulator_of(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) {
      return static_cast<Accumulator>(i);
    }
  }
  return std::nullopt;
}

}  // namespace tplora
