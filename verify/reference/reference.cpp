#include "verify/reference/reference.hpp"

#include <algorithm>

namespace tplora::core {

Reference::Reference(ReferenceInput input)
    : input_(std::move(input)),
      x_({.values = input_.x.data(),
          .tokens = static_cast<std::int64_t>(input_.adapter_of_token.size()),
          .cols = input_.geometry.hidden_size,
          .row_stride = input_.geometry.hidden_size}) {
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
  dot_rows(input_.base_accumulator, x_, panel, {.rows = panel.rows(), .out_stride = width}, out);
  for (std::int64_t token = 0; token < tokens; ++token) {
    for (std::int64_t row = 0; row < panel.rows(); ++row) {
      float& y = out[token * width + row];
      y = bias.empty() ? y : y + bias[static_cast<std::size_t>(row)];
      y = apply(input_.program->base, y, 1.0F, input_.dtype);
    }
  }
}

void Reference::prepare_steps() {
  for (const Part part : kParts) {
    ForwardSteps& steps = steps_[static_cast<std::size_t>(part)];
    for (const Adapter& adapter : input_.adapters) {
      steps.lora_rank =
          std::max(steps.lora_rank, adapter.spec().has(part) ? adapter.spec().rank_of(part) : 0);
    }
    steps.u.resize(input_.adapter_of_token.size() * static_cast<std::size_t>(steps.lora_rank));
    steps.delta.resize(output(part).size());
  }
}

void Reference::keep_shrink(std::span<const std::int64_t> tokens, std::int64_t lora_rank, Part part,
                            std::span<const float> u) {
  ForwardSteps& steps = steps_[static_cast<std::size_t>(part)];
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto row =
        u.subspan(i * static_cast<std::size_t>(lora_rank), static_cast<std::size_t>(lora_rank));
    std::copy(row.begin(), row.end(), steps.u.begin() + tokens[i] * steps.lora_rank);
  }
}

void Reference::finish(const ExpandDepths& depths) {
  outputs_ = bases_;
  if (input_.keep_steps) {
    prepare_steps();
  }
  for (std::size_t number = 0; number < input_.adapters.size(); ++number) {
    std::vector<std::int64_t> tokens;
    for (std::size_t token = 0; token < input_.adapter_of_token.size(); ++token) {
      if (input_.adapter_of_token[token] == static_cast<int>(number)) {
        tokens.push_back(static_cast<std::int64_t>(token));
      }
    }
    for (const Part part : kParts) {
      if (!tokens.empty()) {
        const std::int64_t depth =
            number < depths.size() ? depths[number][static_cast<std::size_t>(part)] : 0;
        add_deltas(part, tokens, input_.adapters[number], depth);
      }
    }
  }
}

std::vector<float> Reference::shrink(std::span<const std::int64_t> tokens, const Adapter& adapter,
                                     Part part) const {
  const std::int64_t lora_rank = adapter.spec().rank_of(part);
  const std::int64_t hidden = input_.geometry.hidden_size;
  const auto count = static_cast<std::int64_t>(tokens.size());
  std::vector<float> x;
  for (const std::int64_t token : tokens) {
    const auto row = input_.x.subspan(static_cast<std::size_t>(token * hidden),
                                      static_cast<std::size_t>(hidden));
    x.insert(x.end(), row.begin(), row.end());
  }
  Panel panel(lora_rank, hidden);
  panel.pack(adapter.a(part).data(), lora_rank, hidden, hidden);
  std::vector<float> u(static_cast<std::size_t>(count * lora_rank));
  dot_rows(input_.lora_accumulator,
           TokenTiles({.values = x.data(), .tokens = count, .cols = hidden, .row_stride = hidden}),
           panel, {.rows = lora_rank, .out_stride = lora_rank}, u.data());
  for (float& value : u) {
    value = apply(input_.program->shrink, value, 1.0F, input_.dtype);
  }
  return u;
}

namespace {

/// Rows of `cols` values, each with zeros behind it up to `wider` ones.
std::vector<float> widen(const std::vector<float>& rows, std::int64_t cols, std::int64_t wider) {
  if (cols == wider) {
    return rows;
  }
  const std::int64_t count = static_cast<std::int64_t>(rows.size()) / cols;
  std::vector<float> wide(static_cast<std::size_t>(count * wider));
  for (std::int64_t row = 0; row < count; ++row) {
    std::copy_n(rows.begin() + row * cols, cols, wide.begin() + row * wider);
  }
  return wide;
}

}  // namespace

void Reference::add_deltas(Part part, std::span<const std::int64_t> tokens, const Adapter& adapter,
                           std::int64_t depth) {
  const RoundingProgram& program = *input_.program;
  const float scaling = adapter.spec().scaling(part);
  const std::int64_t width = input_.geometry.rows(part);
  const std::int64_t lora_rank = adapter.spec().rank_of(part);
  const bool targeted = adapter.spec().targets[static_cast<std::size_t>(part)];
  std::vector<float> deltas(tokens.size() * static_cast<std::size_t>(width));
  if (targeted) {
    std::vector<float> b = adapter.b(part);
    for (float& value : b) {
      value = apply(program.load_b, value, scaling, input_.dtype);
    }
    std::vector<float> u = shrink(tokens, adapter, part);
    if (input_.keep_steps) {
      keep_shrink(tokens, lora_rank, part, u);
    }
    for (float& value : u) {
      value = apply(program.expand_input, value, scaling, input_.dtype);
    }
    const std::int64_t cols = std::max(lora_rank, depth);
    b = widen(b, lora_rank, cols);
    u = widen(u, lora_rank, cols);
    Panel panel(width, cols);
    panel.pack(b.data(), width, cols, cols);
    dot_rows(input_.lora_accumulator,
             TokenTiles({.values = u.data(),
                         .tokens = static_cast<std::int64_t>(tokens.size()),
                         .cols = cols,
                         .row_stride = cols}),
             panel, {.rows = width, .out_stride = width}, deltas.data());
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    float* const out = outputs_[static_cast<std::size_t>(part)].data() + tokens[i] * width;
    const float* const dots = deltas.data() + i * static_cast<std::size_t>(width);
    for (std::int64_t row = 0; row < width; ++row) {
      const float delta = targeted ? apply(program.delta, dots[row], scaling, input_.dtype) : 0.0F;
      if (input_.keep_steps) {
        steps_[static_cast<std::size_t>(part)]
            .delta[static_cast<std::size_t>(tokens[i] * width + row)] = delta;
      }
      out[row] = apply(program.sum, out[row] + delta, scaling, input_.dtype);
    }
  }
}

}  // namespace tplora::core
