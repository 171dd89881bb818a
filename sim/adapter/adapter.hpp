// A LoRA adapter as PEFT means it, unsharded.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/adapter_shape.hpp"

namespace tplora::core {

/// An adapter's config, and what the case calls it.
struct AdapterSpec : AdapterShape {
  std::string name;

  /// lora_alpha / lora_rank of the part, or lora_alpha / sqrt(lora_rank), in double, then fp32.
  [[nodiscard]] float scaling(Part part) const {
    const double alpha = static_cast<double>(alpha_of(part)) / static_cast<double>(alpha_unit);
    const auto lora_rank_of_part = static_cast<double>(rank_of(part));
    return static_cast<float>(alpha / (rslora ? std::sqrt(lora_rank_of_part) : lora_rank_of_part));
  }
  friend bool operator==(const AdapterSpec&, const AdapterSpec&) = default;
};

/// A and B of each targeted part, values of the model's dtype.
class Adapter {
 public:
  /// a, b: by Part, empty where not targeted; with shared_a only a[q] is used.
  Adapter(AdapterSpec spec, std::array<std::vector<float>, 3> a,
          std::array<std::vector<float>, 3> b)
      : spec_(std::move(spec)), a_(std::move(a)), b_(std::move(b)) {}

  [[nodiscard]] const AdapterSpec& spec() const { return spec_; }
  /// [lora_rank of the part, hidden_size], row-major.
  [[nodiscard]] const std::vector<float>& a(Part part) const {
    return a_[spec_.shared_a ? 0 : static_cast<std::size_t>(part)];
  }
  /// [rows of its tensor, lora_rank of the part], row-major.
  [[nodiscard]] const std::vector<float>& b(Part part) const {
    return b_[static_cast<std::size_t>(part)];
  }

 private:
  AdapterSpec spec_;
  std::array<std::vector<float>, 3> a_, b_;
};

}  // namespace tplora::core
