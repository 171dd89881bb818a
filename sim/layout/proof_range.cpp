#include "sim/layout/proof_range.hpp"

#include <fmt/format.h>

namespace tplora {
namespace {

constexpr std::size_t kMaxHeadDims = 16;
constexpr std::int64_t kMaxHeadDim = 4096;

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

}  // namespace tplora
