#!/usr/bin/env python3
"""`golden --base --adapter` held against the model's own class: tiny models of transformers with adapters of peft, saved in shards; y of every
rank against the class's own forward in fp64. By hand, since it needs torch, transformers and peft (by pip):

    python3 tests/adapters/compare_golden.py build/tplora
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import peft
import torch
import transformers
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "examples" / "engine_ci"))
import tensors  # noqa: E402

SMALL = {"num_hidden_layers": 2, "vocab_size": 32, "bos_token_id": 0, "eos_token_id": 1}
ATTENTION = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 16}
GPT = {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 32, "vocab_size": 32, "bos_token_id": 0, "eos_token_id": 1}


def separate(names):
    return lambda model, layer: [getattr(model.model.layers[layer].self_attn, name) for name in names]


def of_heads(kv_heads, q_heads):
    """Rows in groups: the query heads of a KV head, its k, its v; head_dim 8."""
    def split(outputs):
        groups = outputs[0].reshape(len(outputs[0]), kv_heads, q_heads + 2, 8)
        return [groups[:, :, :q_heads].flatten(1), groups[:, :, q_heads].flatten(1), groups[:, :, q_heads + 1].flatten(1)]
    return split


# name: config, PEFT's options, the case's engine, tp and dtype, modules of a layer, q, k and v of their outputs
MODELS = {
    "Qwen2, biases and patterns": (
        transformers.Qwen2Config(num_key_value_heads=2, **ATTENTION, **SMALL),
        {"target_modules": ["q_proj", "v_proj", "gate_proj"], "rank_pattern": {"v_proj": 2}, "alpha_pattern": {"v_proj": 7}},
        "engine=vllm tp=2 dtype=fp32", separate(["q_proj", "k_proj", "v_proj"]), lambda outputs: outputs),
    "Qwen2, fp16, replicated KV heads": (
        transformers.Qwen2Config(num_key_value_heads=2, **ATTENTION, **SMALL), {"target_modules": ["q_proj", "k_proj", "v_proj"]},
        "engine=sglang tp=4 dtype=fp16", separate(["q_proj", "k_proj", "v_proj"]), lambda outputs: outputs),
    "GPT-2, transposed": (
        transformers.GPT2Config(**GPT), {"target_modules": ["c_attn"], "fan_in_fan_out": True}, "engine=trtllm_fused tp=2 dtype=fp32",
        lambda model, layer: [model.transformer.h[layer].attn.c_attn], lambda outputs: outputs[0].split(32, -1)),
    "GPT-NeoX, by head": (
        transformers.GPTNeoXConfig(**ATTENTION, **SMALL), {"target_modules": ["query_key_value"]}, "engine=trtllm_fused tp=2 dtype=fp32",
        lambda model, layer: [model.gpt_neox.layers[layer].attention.query_key_value], of_heads(4, 1)),
    "Falcon, by group": (
        transformers.FalconConfig(hidden_size=32, num_attention_heads=4, num_kv_heads=2, new_decoder_architecture=True, **SMALL),
        {"target_modules": ["query_key_value"]}, "engine=trtllm_fused tp=2 dtype=fp32",
        lambda model, layer: [model.transformer.h[layer].self_attention.query_key_value], of_heads(2, 2)),
    "GPT-BigCode, one KV head": (
        transformers.GPTBigCodeConfig(**GPT), {"target_modules": ["c_attn"]}, "engine=trtllm_fused tp=2 dtype=fp32",
        lambda model, layer: [model.transformer.h[layer].attn.c_attn], lambda outputs: outputs[0].split([32, 8, 8], -1)),
}
# Of the largest output: what sums in fp32 differ from sums in fp64, and what rounding to fp16 leaves.
BOUND = {"fp32": 1e-6, "fp16": 2e-3}


def difference(program, folder, config, options, line, modules, split):
    """The greatest difference of y over all ranks, and how many outputs there are."""
    torch.manual_seed(0)
    dtype = line.rsplit("=", 1)[1]
    model = AutoModelForCausalLM.from_config(config).to({"fp32": torch.float32, "fp16": torch.float16}[dtype])
    for name, parameter in model.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(folder / "base", max_shard_size="20KB")
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=12, use_rslora=True, **options))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder / "adapter")
    subprocess.run([program, "golden", f"model={folder / 'base/config.json'} {line} R=8 tokens=a,-,a", "--base", folder / "base", "--adapter",
                    folder / "adapter", "--layer-index", "1", "--out", folder / "golden"], check=True, stdout=subprocess.DEVNULL)
    inputs = tensors.load(folder / "golden/inputs.safetensors")
    x = torch.tensor(np.array(inputs["x"]), dtype=torch.float64)
    adapted = adapted.double()
    with torch.no_grad():
        layer = modules(adapted.base_model.model, 1)
        whole = split([module(x) for module in layer])
        base = split([getattr(module, "base_layer", module)(x) for module in layer])
    users = np.array(inputs["adapter_of_token"])[:, None] >= 0
    due = {part: np.where(users, a.numpy(), b.numpy()) for part, a, b in zip("qkv", whole, base)}
    worst, count = 0, 0
    for rank in json.loads((folder / "golden/manifest.json").read_text())["ranks"]:
        y = tensors.load(folder / "golden" / rank["file"])["y"]
        cut = np.hstack([due[one["part"]][:, one["first_row"]:one["first_row"] + one["rows"]] for one in rank["columns"]])
        worst, count = max(worst, np.max(np.abs(y - cut)) / np.max(np.abs(cut))), count + y.size
    return worst, count


def main():
    wrong = 0
    for name, (config, options, line, modules, split) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            worst, count = difference(sys.argv[1], pathlib.Path(folder), config, options, line, modules, split)
        wrong += not worst <= BOUND[line.rsplit("=", 1)[1]]
        print(f"{name}: {count} outputs, greatest difference {worst:.1e} of the largest")
    print(f"{wrong} of {len(MODELS)} models differ (transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__})")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
