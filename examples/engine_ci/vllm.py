#!/usr/bin/env python3
"""What a published release of vLLM holds on each rank, from a golden folder, without a GPU and without a contract.

    tplora golden "CASE engine=vllm" --data labels --out golden
    python3 examples/engine_ci/vllm.py --release 0.33.0 golden candidate && tplora check golden candidate

Needs what tests/engines/dump_vllm.py needs; the release itself is fetched from PyPI, or taken from --source.

Ran, all of it vllm's own code: QKVParallelLinear's weight_loader gets q_proj, k_proj and v_proj of checkpoint/model.safetensors;
LRUCacheWorkerLoRAManager wraps the layer, makes its slots, reads each adapter from its folder and puts it into the first slot that
is free; the layer's forward with PunicaWrapperCPU. Saved: weight, lora_a.q/.k/.v, lora_b.q/.k/.v, y.
Stubbed: the tensor-parallel group; the model around the layer, with the module names of the checkpoint; the CPU's base GEMM; the
configs other than LoRAConfig. Computed in fp32, which is exact for labels; saved as bf16. The engine chooses the slots; a slot is
saved where the case's steps put its tenant.
"""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE] + [str(HERE)]  # this file has the package's name
import folder  # noqa: E402
import dump_vllm as engine  # noqa: E402


def start(release, source):
    hold.config = engine.start(release, source)


def hold(golden, tp_rank, forward):
    import torch
    from vllm.config import set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.model_executor.layers.linear import QKVParallelLinear
    parallel_state._TP = engine.Group(tp_rank, golden.tp_size)
    with torch.no_grad(), set_current_vllm_config(hold.config):
        heads, kv, head_dim, v_head_dim = golden.heads
        engine.check_heads({"H": golden.config["num_attention_heads"], "tp": golden.tp_size})
        layer = QKVParallelLinear(golden.config["hidden_size"], head_dim, heads, kv, bias=bool(golden.bias),
                                  params_dtype=torch.float32, v_head_size=v_head_dim, prefix=golden.module)
        golden.fill(layer)
        model = engine.model_around(layer, golden.module)
        manager = engine.manager_of(model, golden.max_lora_rank, slots=golden.slots, tokens=len(golden.users))
        numbers = {None: 0}

        def load(name, slot):
            numbers[name] = max(numbers.values()) + 1
            engine.add(manager, numbers[name], golden.adapter(name))

        tenants = golden.play(load, lambda name: manager.remove_adapter(numbers[name]))
        held_by = manager._adapter_manager.lora_index_to_id
        places = {slot: held_by.index(numbers[name]) for slot, name in tenants.items()}
        free = iter(sorted(set(range(golden.slots)) - set(places.values())))
        order = [places[slot] if slot in places else next(free) for slot in range(golden.slots)]
        wrapper = model.get_submodule(golden.module)
        held = {"weight": layer.weight}
        for part, a, b in zip("qkv", wrapper.lora_a_stacked, wrapper.lora_b_stacked):
            held |= {f"lora_a.{part}": a[order, 0], f"lora_b.{part}": b[order, 0]}
        if forward:
            held["y"] = engine.run_forward(manager, wrapper, [numbers[name] for name in golden.users], torch.tensor(golden.x))
        return held


if __name__ == "__main__":
    folder.main(__doc__, "vllm", start, hold)
