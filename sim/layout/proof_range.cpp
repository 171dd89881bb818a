#include "sim/layout/proof_range.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace tplora {
namespace {

constexpr std::size_t kMaxHeadDims = 16;
constexpr std::int64_t kMaxHeadDim = 4096;

auto order(const ProofPoint& p) {
  const auto left_out = std::count(p.targets.begin(), p.targets.end(), false);
  return std::make_tuple(p.size(), p.tp_size, p.H, p.KV, p.D, p.Dv, p.gate, left_out, p.targets,
                         p.lora_rank, p.config, p.dp_size);
}

Result<void> within(const char* name, std::int64_t value, std::int64_t most) {
  if (value < 1 || value > most) {
    return fail(fmt::format("{} {}: expected 1 to {}", name, value, most));
  }
  return {};
}

}  // namespace

Result<void> validate(const ProofRange& range) {
  auto good = within("max_heads", range.max_heads, kMaxProofSize).and_then([&] {
    return within("max_tp_size", range.max_tp_size, kMaxProofSize);
  });
  good = good.and_then([&] { return within("dp_size", range.dp_size, range.max_tp_size); });
  if (good && (range.head_dims.empty() || range.head_dims.size() > kMaxHeadDims)) {
    return fail(
        fmt::format("{} head_dims: expected 1 to {}", range.head_dims.size(), kMaxHeadDims));
  }
  for (const std::int64_t head_dim : range.head_dims) {
    good = good.and_then([&] { return within("head_dim", head_dim, kMaxHeadDim); });
  }
  return good;
}

std::int64_t head_dim_of_other_adapters(const ProofRange& range) {
  return range.head_dims.at(range.head_dims.size() / 2);
}

bool smaller(const ProofPoint& a, const ProofPoint& b) {
  return order(a) < order(b);
}

}  // namespace tplora
