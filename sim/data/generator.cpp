#include "sim/data/generator.hpp"

#include <algorithm>
#include <array>

#include "sim/base/checked.hpp"
#include "sim/base/ensure.hpp"
#include "sim/numerics/philox.hpp"

namespace tplora::core {
namespace {

constexpr std::array<std::string_view, 4> kKinds = {"labels", "integers", "wide", "file"};

/// Exponents of `wide`, chosen so that base output and delta are of one size for usual shapes and
/// stay in fp16's range.
int lowest_exponent(Tensor tensor) {
  switch (tensor) {
    case Tensor::x: return -4;
    case Tensor::weight: return -12;
    case Tensor::bias: return -4;
    case Tensor::lora_a: return -12;
    case Tensor::lora_b: return -10;
  }
  return 0;
}

/// `integers`: how many elements of a row may be non-zero.
std::int64_t nonzero_budget(Tensor tensor, std::int64_t cols) {
  switch (tensor) {
    case Tensor::weight: return 96;
    case Tensor::lora_a: return kIntegerShrinkBudget;
    case Tensor::lora_b: return kIntegerExpandBudget / kIntegerShrinkBudget;
    default: return cols;
  }
}

std::uint32_t random_word(const DataSpec& spec, TensorId id, std::uint64_t index) {
  const std::uint64_t counter = index / 4;
  const auto words = philox4x32_10(
      {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), id.word(),
       0},
      {static_cast<std::uint32_t>(spec.seed), static_cast<std::uint32_t>(spec.seed >> 32)});
  return words[index % 4];
}

}  // namespace

std::string_view data_kind_name(DataKind kind) {
  return kKinds[static_cast<std::size_t>(kind)];
}

std::optional<DataKind> data_kind_of(std::string_view name) {
  const auto found = std::find(kKinds.begin(), kKinds.end(), name);
  return found == kKinds.end() ? std::nullopt
                               : std::optional(static_cast<DataKind>(found - kKinds.begin()));
}

std::vector<float> Generator::x(std::int64_t tokens) const {
  const std::int64_t hidden = spec_.geometry.hidden_size;
  std::vector<float> values(static_cast<std::size_t>(tokens * hidden));
  fill({Tensor::x}, {.cols = hidden, .rows = tokens, .block_cols = hidden}, values.data(), hidden);
  return values;
}

std::vector<float> Generator::bias(Part part) const {
  const std::int64_t rows = spec_.geometry.rows(part);
  std::vector<float> values(static_cast<std::size_t>(rows));
  fill({Tensor::bias, part}, {.cols = rows, .rows = 1, .block_cols = rows}, values.data(), rows);
  return values;
}

Adapter Generator::adapter(const AdapterSpec& adapter, std::int32_t number) const {
  std::array<std::vector<float>, 3> a;
  std::array<std::vector<float>, 3> b;
  const auto make = [&](Tensor tensor, Part part, std::int64_t rows, std::int64_t cols) {
    std::vector<float> values(static_cast<std::size_t>(rows * cols));
    fill({tensor, part, number}, {.cols = cols, .rows = rows, .block_cols = cols}, values.data(),
         cols);
    return values;
  };
  for (const Part part : kParts) {
    const auto i = static_cast<std::size_t>(part);
    if (!adapter.targets[i]) {
      continue;
    }
    if (part == Part::q || !adapter.shared_a) {
      a[i] = make(Tensor::lora_a, part, adapter.rank_of(part), spec_.geometry.hidden_size);
    }
    const std::int64_t own = adapter.part_rows[i];
    b[i] = make(Tensor::lora_b, part, own == 0 ? spec_.geometry.rows(part) : own,
                adapter.rank_of(part));
  }
  return {adapter, std::move(a), std::move(b)};
}

void Generator::weight_rows(Part part, std::int64_t first_row, std::int64_t rows,
                            float* out) const {
  const std::int64_t cols = spec_.geometry.hidden_size;
  fill({Tensor::weight, part},
       {.cols = cols, .first_row = first_row, .rows = rows, .block_cols = cols}, out, cols);
}

void Generator::weight_panel(Part part, std::int64_t first_row, std::int64_t rows,
                             Panel& panel) const {
  fill_panel({Tensor::weight, part}, first_row, rows, panel);
}

void Generator::fill_panel(TensorId id, std::int64_t first_row, std::int64_t rows,
                           Panel& panel) const {
  const std::int64_t cols = spec_.geometry.hidden_size;
  if (spec_.kind == DataKind::wide) {
    fill_wide_panel(wide_stream(id), first_row, rows, cols, panel);
    return;
  }
  panel.resize(rows, cols);
  std::vector<float> values(static_cast<std::size_t>(cols));
  for (std::int64_t i = 0; i < rows; ++i) {
    fill_row(id, cols, first_row + i, 0, cols, values.data());
    float* const to = panel.block(i / kPanelRows) + i % kPanelRows;
    for (std::int64_t k = 0; k < cols; ++k) {
      to[k * kPanelRows] = values[static_cast<std::size_t>(k)];
    }
  }
}

WideStream Generator::wide_stream(TensorId id) const {
  return {.seed = spec_.seed,
          .tensor_word = id.word(),
          .lowest_exponent = lowest_exponent(id.tensor),
          .dtype = spec_.dtype};
}

void Generator::fill(TensorId id, const Block& block, float* out, std::int64_t out_stride) const {
  for (std::int64_t i = 0; i < block.rows; ++i) {
    fill_row(id, block.cols, block.first_row + i, block.first_col, block.block_cols,
             out + i * out_stride);
  }
}

void Generator::fill_row(TensorId id, std::int64_t cols, std::int64_t row, std::int64_t first_col,
                         std::int64_t count, float* out) const {
  ensure(spec_.kind != DataKind::file || id.tensor == Tensor::x,
         "of a case with its own tensors only x is made");
  switch (spec_.kind) {
    case DataKind::wide:
    case DataKind::file:
      fill_wide(wide_stream(id), static_cast<std::uint64_t>(row * cols + first_col), count, out);
      return;
    case DataKind::integers: fill_integers(id, cols, row, first_col, count, out); return;
    case DataKind::labels:
      for (std::int64_t j = 0; j < count; ++j) {
        out[j] = label(id, cols, row, first_col + j);
      }
      return;
  }
}

void Generator::fill_integers(TensorId id, std::int64_t cols, std::int64_t row,
                              std::int64_t first_col, std::int64_t count, float* out) const {
  std::fill_n(out, count, 0.0F);
  const std::int64_t stride = ceil_div(cols, nonzero_budget(id.tensor, cols));
  // Non-zero where (row + column) % stride == 0: at least one in each row, shifted row by row.
  const std::int64_t before = (row + first_col) % stride;
  for (std::int64_t j = before == 0 ? 0 : stride - before; j < count; j += stride) {
    const std::uint32_t word =
        random_word(spec_, id, static_cast<std::uint64_t>(row * cols + first_col + j));
    const auto magnitude = static_cast<float>(id.tensor == Tensor::bias ? 1 + (word & 3U) : 1U);
    out[j] = (word >> 31) != 0 ? -magnitude : magnitude;
  }
}

std::int64_t Generator::fused_row(Part part, std::int64_t row) const {
  const QkvGeometry& g = spec_.geometry;
  return row + (part == Part::q ? 0 : g.rows(Part::q)) + (part == Part::v ? g.rows(Part::k) : 0);
}

// Column k shows digit (k/2) % 4, of the base weight where k is even, of B where k is odd. Token i
// looks at column i % 8, so the digits of a row are read off eight tokens.
float Generator::label(TensorId id, std::int64_t cols, std::int64_t row, std::int64_t col) const {
  const auto digit = [](std::int64_t number, std::int64_t place) {
    return static_cast<float>(((number >> (8 * place)) & 255) + 1);
  };
  switch (id.tensor) {
    case Tensor::x: return col == row % std::min<std::int64_t>(8, cols) ? 1.0F : 0.0F;
    case Tensor::bias: return 0.0F;
    case Tensor::weight: return col % 2 == 0 ? digit(fused_row(id.part, row), col / 2 % 4) : 0.0F;
    case Tensor::lora_a:
      if (col < 8) {  // selects the column of B that holds the digit
        return col % 2 == 1 && col / 2 == row ? 1.0F : 0.0F;
      }
      // No token looks here: for who looks into slots.
      return digit(
          row | (static_cast<std::int64_t>(id.part) << 16) | (std::int64_t{id.adapter} << 24),
          col % 4);
    case Tensor::lora_b:
      return digit(fused_row(id.part, row) | (std::int64_t{id.adapter} << 24), col % 4);
  }
  return 0.0F;
}

}  // namespace tplora::core
