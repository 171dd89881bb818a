#!/usr/bin/env python3
"""What a published release of SGLang holds on each rank, from a golden folder, without a GPU and without a contract.

    tplora golden "CASE engine=sglang" --data labels --out golden
    python3 examples/engine_ci/sglang.py --release 0.5.23 golden candidate && tplora check golden candidate

Needs what tests/engines/dump_sglang.py needs; the release itself is fetched from PyPI, or taken from --source.

Ran, all of it sglang's own code: transformers' class reads checkpoint/config.json; QKVParallelLinear's weight_loader gets q_proj,
k_proj and v_proj of checkpoint/model.safetensors (where q holds a gate, in the layer that Qwen3.5's or Qwen3-Next's attention makes
itself); LoRAManager wraps the layer and makes the pool; load_lora_adapter reads each adapter from its folder; the pool's
load_lora_weight_to_buffer slices it into its slot; the layer's forward with the Triton kernels of the backend `triton`, in Triton's
interpreter. Saved: weight, lora_a, lora_b, y.
Stubbed: the tensor-parallel group; the model around the layer; pinned memory; the choice of slots, which the case's steps make: an
adapter that is evicted leaves its slot as the pool's own eviction does, with what the slot holds. The pool has two slots more: the
base model's before the others, and an empty one behind them, so that who reads past the last slot reads zeros. Computed in fp32,
which is exact for labels; saved as bf16.
"""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE] + [str(HERE)]  # this file has the package's name
import folder  # noqa: E402
import dump_sglang as engine  # noqa: E402

BASE = 1  # slots before the case's: the base model's


def layer_of(golden, config):
    """The qkv_proj as the class makes it, and the class's get_hidden_dim where it has one of its own."""
    import torch
    from sglang.srt.layers.linear import QKVParallelLinear
    model_type = golden.config["model_type"]
    for family in ("qwen3_5", "qwen3_next"):
        if model_type.startswith(family):
            from sglang.srt.models.qwen3_5 import Qwen3_5ForCausalLM
            torch.set_default_dtype(torch.float32)
            return engine.gated_layer(config, family, golden.number, golden.module), \
                Qwen3_5ForCausalLM.get_hidden_dim if family == "qwen3_5" else None
    heads, kv, head_dim, v_head_dim = golden.heads
    return QKVParallelLinear(config.hidden_size, head_dim, heads, kv, bias=bool(golden.bias), params_dtype=torch.float32,
                             v_head_size=v_head_dim, prefix=golden.module), None


def hold(golden, tp_rank, forward):
    import torch
    from sglang.srt.lora.lora_registry import LoRARef
    from transformers import AutoConfig
    with engine.tensor_parallel(tp_rank, golden.tp_size), torch.no_grad():
        config = AutoConfig.from_pretrained(golden.path / "checkpoint").get_text_config()
        layer, hook = layer_of(golden, config)
        golden.fill(layer)
        model = engine.model_around(layer, config, golden.module, hook)
        manager = engine.manager_of(model, golden.tp_size, tp_rank, golden.max_lora_rank, BASE + golden.slots + 1)
        pool = manager.memory_pool

        def load(name, slot):
            if name in manager.loras:
                manager.unload_lora_adapter(manager.lora_refs[name])
            manager.load_lora_adapter(LoRARef(lora_id=name, lora_name=name, lora_path=golden.adapter(name), pinned=False))
            pool.load_lora_weight_to_buffer(name, BASE + slot, manager.loras[name], manager.lora_modules, None, None)
            pool.uid_to_buffer_id[name], pool.buffer_id_to_uid[BASE + slot] = BASE + slot, name

        def evict(name):
            pool.buffer_id_to_uid[pool.uid_to_buffer_id.pop(name)] = sys.modules[type(pool).__module__].EMPTY_SLOT

        golden.play(load, evict)
        a, b = (buffer[BASE:BASE + golden.slots] for buffer in engine.buffers(manager, golden.number))
        held = {"weight": layer.weight, "lora_a": a, "lora_b": b}
        if forward:
            wrapper = model.get_submodule(golden.module)
            held["y"] = engine.run_forward(manager, wrapper, golden.users, torch.tensor(golden.x))
        return held


if __name__ == "__main__":
    folder.main(__doc__, "sglang", engine.start, hold)
