// Logical tensors that are held in memory.
#pragma once

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "sim/data/generator.hpp"

namespace tplora::core {

/// By Part, row-major by the part's own rows; empty where there is none.
using ByPart = std::array<std::vector<float>, 3>;

/// Weights and adapters are given, x is made as in `wide`.
class HeldTensors : public LogicalTensors {
 public:
  struct AdapterTensors {
    ByPart a, b;
  };
  HeldTensors(const Generator& inputs, std::int64_t hidden_size, ByPart weight, ByPart bias,
              std::vector<AdapterTensors> adapters)
      : inputs_(inputs),
        hidden_size_(hidden_size),
        weight_(std::move(weight)),
        bias_(std::move(bias)),
        adapters_(std::move(adapters)) {}

  [[nodiscard]] std::vector<float> x(std::int64_t tokens) const override {
    return inputs_.x(tokens);
  }
  [[nodiscard]] std::vector<float> bias(Part part) const override {
    return bias_[static_cast<std::size_t>(part)];
  }
  [[nodiscard]] Adapter adapter(const AdapterSpec& adapter, std::int32_t number) const override {
    const AdapterTensors& own = adapters_.at(static_cast<std::size_t>(number));
    return {adapter, own.a, own.b};
  }
  void weight_rows(Part part, std::int64_t first_row, std::int64_t rows,
                   float* out) const override {
    std::copy_n(from(part, first_row), rows * hidden_size_, out);
  }
  void weight_panel(Part part, std::int64_t first_row, std::int64_t rows,
                    Panel& panel) const override {
    panel.pack(from(part, first_row), rows, hidden_size_, hidden_size_);
  }

 private:
  [[nodiscard]] const float* from(Part part, std::int64_t first_row) const {
    return weight_[static_cast<std::size_t>(part)].data() + first_row * hidden_size_;
  }

  Generator inputs_;
  std::int64_t hidden_size_;
  ByPart weight_, bias_;
  std::vector<AdapterTensors> adapters_;
};

}  // namespace tplora::core
