#include "sim/layout/proof_point.hpp"

#include <algorithm>
#include <tuple>

namespace tplora::core {
namespace {

auto order(const ProofPoint& p) {
  const auto left_out = std::count(p.targets.begin(), p.targets.end(), false);
  return std::make_tuple(p.size(), p.tp_size, p.H, p.KV, p.D, p.Dv, p.gate, left_out, p.targets,
                         p.lora_rank, p.config, p.dp_size);
}

}  // namespace

std::int64_t head_dim_of_other_adapters(const ProofRange& range) {
  return range.head_dims.at(range.head_dims.size() / 2);
}

bool smaller(const ProofPoint& a, const ProofPoint& b) {
  return order(a) < order(b);
}

}  // namespace tplora::core
