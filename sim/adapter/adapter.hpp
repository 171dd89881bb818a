// A LoRA adapter as PEFT means it, unsharded.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/geometry.hpp"

namespace tplora::core {

struct AdapterSpec {
  std::string name;
  std::int64_t lora_rank = 16;
  std::int64_t lora_alpha = 16;
  std::array<bool, 3> targets = {true, true, true};  ///< by Part
  bool shared_a = false;  ///< an adapter of a fused module: one A for q, k and v

  /// alpha / r in double precision, then fp32.
  [[nodiscard]] float scaling() const {
    return static_cast<float>(static_cast<double>(lora_alpha) / static_cast<double>(lora_rank));
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
  /// [lora_rank, hidden_size], row-major.
  [[nodiscard]] const std::vector<float>& a(Part part) const {
    return a_[spec_.shared_a ? 0 : static_cast<std::size_t>(part)];
  }
  /// [rows(part), lora_rank], row-major.
  [[nodiscard]] const std::vector<float>& b(Part part) const {
    return b_[static_cast<std::size_t>(part)];
  }

 private:
  AdapterSpec spec_;
  std::array<std::vector<float>, 3> a_, b_;
};

}  // namespace tplora::core
