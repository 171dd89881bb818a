#include "verify/reference/reference.hpp"

#include <algorithm>

namespace tplora {

Reference::Reference(ReferenceInput input) : input_(std::move(input)) {
  for (const Part part : kParts) {
    const auto rows = static_cast<std::size_t>(input_.geometry.rows(part));
    bases_[static_cast<std::size_t>(part)].resize(rows * input_.adapter_of_token.size());
  }
}

void Reference::accept_panel(Part part, std::int64_t first_row, const Panel& panel,
                             std::span<const float> bias) {
  const std::int64_t width = input_.geometry.rows(part);
  const auto tokens = static_cast<std::int64_t>(input_.adapter_of_token.size());
  float* const out = bases_[static_cast<std::size_t>(part)].data() + first_row;
  dot_rows(input_.accumulator, input_.x.data(), panel,
           DotShape{.tokens = tokens,
                    .x_stride = input_.geometry.hidden_size,
                    .first_row = 0,
                    .rows = panel.rows(),
                    .out_stride = width},
           out);
  for (std::int64_t token = 0; token < tokens; ++token) {
    for (std::int64_t row = 0; row < panel.rows(); ++row) {
      float& y = out[token * width + row];
      y = bias.empty() ? y : y + bias[static_cast<std::size_t>(row)];
      y = apply(input_.program->base, y, 1.0F, input_.dtype);
    }
  }
}

void Reference::finish() {
  outputs_ = bases_;
  for (std::size_t token = 0; token < input_.adapter_of_token.size(); ++token) {
    const int number = input_.adapter_of_token[token];
    for (const Part part : kParts) {
      if (number >= 0) {
        add_delta(part, static_cast<std::int64_t>(token),
                  input_.adapters[static_cast<std::size_t>(number)]);
      }
    }
  }
}

std::vector<float> Reference::shrink(std::span<const float> x, const Adapter& adapter,
                                     Part part) const {
  const std::int64_t lora_rank = adapter.spec().lora_rank;
  const std::int64_t hidden = input_.geometry.hidden_size;
  Panel panel(lora_rank, hidden);
  panel.pack(adapter.a(part).data(), lora_rank, hidden, hidden);
  std::vector<float> u(static_cast<std::size_t>(lora_rank));
  dot_rows(input_.accumulator, x.data(), panel,
           DotShape{.tokens = 1,
                    .x_stride = hidden,
                    .first_row = 0,
                    .rows = lora_rank,
                    .out_stride = lora_rank},
           u.data());
  const float scaling = adapter.spec().scaling();
  for (float& value : u) {
    value = apply(input_.program->shrink, value, 1.0F, input_.dtype);
    value = apply(input_.program->expand_input, value, scaling, input_.dtype);
  }
  return u;
}

void Reference::add_delta(Part part, std::int64_t token, const Adapter& adapter) {
  const RoundingProgram& program = *input_.program;
  const float scaling = adapter.spec().scaling();
  const std::int64_t width = input_.geometry.rows(part);
  const std::int64_t lora_rank = adapter.spec().lora_rank;
  float* const out = outputs_[static_cast<std::size_t>(part)].data() + token * width;
  if (!adapter.spec().targets[static_cast<std::size_t>(part)]) {
    for (std::int64_t row = 0; row < width; ++row) {
      out[row] = apply(program.sum, out[row] + 0.0F, scaling, input_.dtype);
    }
    return;
  }
  const std::int64_t hidden = input_.geometry.hidden_size;
  const std::vector<float> u = shrink(
      input_.x.subspan(static_cast<std::size_t>(token * hidden), static_cast<std::size_t>(hidden)),
      adapter, part);
  std::vector<float> b = adapter.b(part);
  for (float& value : b) {
    value = apply(program.load_b, value, scaling, input_.dtype);
  }
  Panel panel(width, lora_rank);
  panel.pack(b.data(), width, lora_rank, lora_rank);
  std::vector<float> dots(static_cast<std::size_t>(width));
  dot_rows(
      input_.accumulator, u.data(), panel,
      DotShape{
          .tokens = 1, .x_stride = lora_rank, .first_row = 0, .rows = width, .out_stride = width},
      dots.data());
  for (std::int64_t row = 0; row < width; ++row) {
    const float delta =
        apply(program.delta, dots[static_cast<std::size_t>(row)], scaling, input_.dtype);
    out[row] = apply(program.sum, out[row] + delta, scaling, input_.dtype);
  }
}

}  // namespace tplora
