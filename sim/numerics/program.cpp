#include "sim/numerics/program.hpp"

#include <algorithm>
#include <array>

namespace tplora {
namespace {

constexpr std::array kRound = {Step::round};
constexpr std::array kScaleRound = {Step::scale, Step::round};
constexpr std::array kRoundScaleRound = {Step::round, Step::scale, Step::round};
constexpr std::span<const Step> kNone;

constexpr std::array<RoundingProgram, 3> kPrograms = {{
    {"peft_bf16", "peft tuners/lora/layer.py with adapters kept in the model's dtype", kNone, kRound,
     kRound, kNone, kRoundScaleRound, kRound},
    {"sglang_triton", "sgl-project/sglang python/sglang/srt/lora/triton_ops", kNone, kRound, kRound,
     kNone, kScaleRound, kRound},
    {"vllm", "vllm-project/vllm lora/ops/triton_ops lora_shrink_op.py, lora_expand_op.py",
     kScaleRound, kRound, kNone, kRound, kRound, kRound},
}};

}  // namespace

std::span<const RoundingProgram> programs() { return kPrograms; }

const RoundingProgram* find_program(std::string_view name) {
  const auto* const found =
      std::find_if(kPrograms.begin(), kPrograms.end(),
                   [&](const RoundingProgram& program) { return program.name == name; });
  return found == kPrograms.end() ? nullptr : found;
}

}  // namespace tplora
