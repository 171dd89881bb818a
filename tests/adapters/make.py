#!/usr/bin/env python3
"""Makes the adapters that tests/golden_test.py reads, with the real `peft` library (pip install torch transformers peft; peft 0.21.2, by hand):

    python3 tests/adapters/make.py tests/adapters

Small models of two layers with random weights; B is not zero, so that nothing is empty that should not be.
"""
import copy
import json
import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

LLAMA = LlamaConfig(hidden_size=32, num_attention_heads=4, num_key_value_heads=2, head_dim=8, num_hidden_layers=2, intermediate_size=16,
                    vocab_size=16, architectures=["LlamaForCausalLM"])
GPT2 = GPT2Config(n_embd=32, n_head=4, n_layer=2, vocab_size=16, n_positions=16, architectures=["GPT2LMHeadModel"])
QKV = ["q_proj", "k_proj", "v_proj"]
ADAPTERS = {
    "plain": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": QKV}),
    "qv_and_mlp": (LLAMA, {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "o_proj", "down_proj"]}),
    "rslora": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": QKV, "use_rslora": True}),
    "patterns": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": QKV, "rank_pattern": {"k_proj": 2}, "alpha_pattern": {"v_proj": 16}}),
    "first_layer": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": QKV, "layers_to_transform": [0]}),
    "dora": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": QKV, "use_dora": True}),
    "layers_differ": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": QKV, "rank_pattern": {r".*\.1\.self_attn\.q_proj": 2}}),
    "saved_modules": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": QKV, "modules_to_save": ["lm_head"]}),
    "replicated": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": QKV, "layer_replication": [[0, 2], [1, 2]]}),
    "fused": (GPT2, {"r": 4, "lora_alpha": 8, "target_modules": ["c_attn"], "fan_in_fan_out": True}),
}


def main():
    out = pathlib.Path(sys.argv[1])
    for name, (config, lora) in ADAPTERS.items():
        torch.manual_seed(1)
        model = get_peft_model(AutoModelForCausalLM.from_config(copy.deepcopy(config)), LoraConfig(task_type="CAUSAL_LM", **lora))
        for key, weight in model.named_parameters():
            if "lora_" in key:
                torch.nn.init.normal_(weight)
        model.save_pretrained(out / name)
        (out / name / "README.md").unlink(missing_ok=True)
    for config in (LLAMA, GPT2):
        text = json.dumps({key: value for key, value in config.to_dict().items() if not isinstance(value, dict)}, indent=1, sort_keys=True)
        (out / f"{config.model_type}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
