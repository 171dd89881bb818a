#include "sim/numerics/dot.hpp"

#include <algorithm>

#include "sim/base/ensure.hpp"
#include "sim/base/parallel_for.hpp"
#include "sim/numerics/kernels.hpp"
#include "sim/numerics/scalar.hpp"

namespace tplora::core {
namespace {

/// Rows that one task of `multiply` takes: whole vectors on every machine.
constexpr std::int64_t kTaskRows = 128;

/// Which NaN a sum gives is the instruction set's choice; which one we write is not.
void canonicalise(float* out, std::int64_t tokens, const DotShape& shape) {
  for (std::int64_t token = 0; token < tokens; ++token) {
    float* const row = out + token * shape.out_stride;
    for (std::int64_t j = 0; j < shape.rows; ++j) {
      row[j] = row[j] == row[j] ? row[j] : canonical_nan();
    }
  }
}

void run(const Accumulator& accumulator, const TokenTiles& x, const WeightSource& w,
         const DotShape& shape, float* out) {
  ensure(x.cols() == w.cols(), "tokens and weights are of one length");
  if (shape.rows == 0 || x.tokens() == 0) {
    return;
  }
  switch (accumulator.rule) {
    case Accumulator::Rule::fp32_chain: chain_rows(x, w, shape, out); break;
    case Accumulator::Rule::exact: exact_rows(x, w, shape, out); break;
    case Accumulator::Rule::tensor_core: tensor_core_rows(accumulator, x, w, shape, out); break;
  }
  canonicalise(out, x.tokens(), shape);
}

}  // namespace

void dot_rows(const Accumulator& accumulator, const TokenTiles& x, const Panel& panel,
              const DotShape& shape, float* out) {
  ensure(shape.first_row >= 0 && shape.first_row + shape.rows <= panel.rows(),
         "the rows lie in the panel");
  run(accumulator, x, {.panel = &panel, .rows = {}}, shape, out);
}

void multiply(const Accumulator& accumulator, const TokenTiles& x, const WeightRows& weights,
              float* out, std::int64_t out_stride, int threads) {
  const std::int64_t tasks = (weights.rows + kTaskRows - 1) / kTaskRows;
  parallel_for(tasks, threads, [&](std::int64_t task) {
    const std::int64_t first = task * kTaskRows;
    const std::int64_t rows = std::min(kTaskRows, weights.rows - first);
    run(accumulator, x, {.panel = nullptr, .rows = weights},
        {.first_row = first, .rows = rows, .out_stride = out_stride}, out + first);
  });
}

}  // namespace tplora::core
