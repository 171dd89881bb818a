#include "sim/numerics/program.hpp"

#include <algorithm>
#include <array>

namespace tplora::core {
namespace {

constexpr std::array kRound = {Step::round};
constexpr std::array kScaleRound = {Step::scale, Step::round};
constexpr std::array kRoundScaleRound = {Step::round, Step::scale, Step::round};
constexpr std::span<const Step> kNone;

constexpr std::array kScale = {Step::scale};

// name, source, then the steps of: load_b, base, shrink, expand_input, delta, sum.
constexpr std::array<RoundingProgram, 11> kPrograms = {{
    {"llama_cpp", "ggml-org/llama.cpp: base + scale * (B * (A * x)), activations in fp32", kNone,
     kNone, kNone, kNone, kScale, kNone},
    {"peft_bf16", "peft tuners/lora/layer.py with adapters kept in the model's dtype", kNone,
     kRound, kRound, kNone, kRoundScaleRound, kRound},
    {"peft_default", "peft tuners/lora/layer.py with autocast_adapter_dtype, its default", kNone,
     kRound, kNone, kNone, kScale, kRound},
    {"peft_mixed", "peft tuners/lora/layer.py with adapter_names: a batch of several adapters",
     kNone, kRound, kNone, kNone, kScaleRound, kRound},
    {"punica", "punica sgmv: the expand's epilogue adds the base output in fp32", kScaleRound,
     kRound, kRound, kNone, kNone, kRound},
    {"sglang_jax", "sgl-project/sglang-jax srt/lora, commit cddbf6f1", kNone, kRound, kRound,
     kScaleRound, kRound, kRound},
    {"sglang_torch_native",
     "sgl-project/sglang lora/backend torch_native, on CUDA: scaling in fp32", kNone, kRound,
     kRound, kScaleRound, kRound, kRound},
    {"sglang_triton", "sgl-project/sglang python/sglang/srt/lora/triton_ops", kNone, kRound, kRound,
     kNone, kScaleRound, kRound},
    {"tpu_inference", "vllm-project/tpu-inference lora: the shrink buffer has x's dtype",
     kScaleRound, kRound, kRound, kNone, kRound, kRound},
    {"trtllm", "TensorRT-LLM lora_manager.py, kernels/lora/lora.cpp", kScaleRound, kRound, kRound,
     kNone, kRound, kRound},
    {"vllm", "vllm-project/vllm lora/ops/triton_ops lora_shrink_op.py, lora_expand_op.py",
     kScaleRound, kRound, kNone, kRound, kRound, kRound},
}};

}  // namespace

std::span<const RoundingProgram> programs() {
  return kPrograms;
}

const RoundingProgram* find_program(std::string_view name) {
  const auto* const found =
      std::find_if(kPrograms.begin(), kPrograms.end(),
                   [&](const RoundingProgram& program) { return program.name == name; });
  return found == kPrograms.end() ? nullptr : found;
}

}  // namespace tplora::core
