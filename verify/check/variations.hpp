// Computations that differ in one respect from the one that a case declares.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "verify/case/prepared_case.hpp"

namespace tplora::core {

struct Variation {
  std::string what;  ///< "the factor applied twice", "program NAME (declared: ..)"
  PreparedCase item;
};

/// Other rounding programs; other accumulators of the base product, of the LoRA products, of both,
/// with K split; the factor applied twice or not at all; another adapter's tensors; no bias.
[[nodiscard]] std::vector<Variation> variations_of(const PreparedCase& item);

/// The case under another rounding program, its layout unchanged.
[[nodiscard]] PreparedCase with_program(PreparedCase item, std::string_view program);

}  // namespace tplora::core
