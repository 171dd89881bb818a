"""Which rows of q, k and v, and of an adapter's B and A, each rank of vLLM holds.

Needs, beside the vllm wheel (fetched here, only its Python files are unpacked): pip install torch numpy transformers pydantic and
the small packages that vllm imports (cachetools blake3 py-cpuinfo msgspec pyzmq cloudpickle pybase64 cbor2 einops requests aiohttp
openai openai_harmony uvloop xgrammar fastapi llguidance ..); none of its compiled kernels.

Ran, all of it vllm's own code: an adapter is saved to disk in PEFT's form; then for every rank a layer QKVParallelLinear is built
and filled through its weight_loader, LRUCacheWorkerLoRAManager puts its LoRA wrapper around it and loads the adapter, and the
buffers of slot 0 are read. The layer then runs forward on the CPU with other labels in the buffers: it is asserted that each row of
B, and the first and the last row of A, act on the output column that the order of the buffers says. Last, a second adapter with
fewer projections and a smaller lora_rank takes over the slot, and nothing of the first may be left.
Stubbed: the tensor-parallel group (rank and size are given; its all-gather fills the other ranks' part with zeros); the model around
the layer, which has nothing but qkv_proj; the CPU's base GEMM; ModelConfig, of which only the check of the heads runs, and the
configs that hold numbers.

--contract says which wrapper: `vllm` (an adapter of q_proj, k_proj, v_proj), `vllm_fully_sharded` (the same with
fully_sharded_loras), `vllm_single_slice` (an adapter of a fused qkv_proj).
"""
import argparse
import itertools
import json
import logging
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

from labels import part_rows, rows_of, runs, unpack, write

HIDDEN = 16
RAN = {"vllm": "MergedQKVParallelLinearWithLoRA", "vllm_single_slice": "QKVParallelLinearWithLoRA",
       "vllm_fully_sharded": "MergedQKVParallelLinearWithShardedLoRA"}


# ---- cases ----

def geometries(contract):
    """(H, KV, D, Dv, gate, tp, r, R, targets), small ones first."""
    every = "fused" if contract == "vllm_single_slice" else "qkv"
    for heads in [1, 2, 3, 4, 5, 6, 7, 8, 12, 16]:
        for kv in [n for n in range(1, heads + 1) if heads % n == 0]:
            for tp in range(1, 9):
                yield heads, kv, 4, 4, 1, tp, 2 if heads % 2 else 8, 8, every
    for kv in [1, 2, 4, 8, 16]:
        yield 16, kv, 4, 4, 1, 16, 2, 16, every
    for (heads, kv), tp in itertools.product([(8, 2), (6, 3), (4, 4), (5, 1)], [1, 2, 3, 4, 5]):
        yield heads, kv, 2, 2, 1, tp, 4, 16, every
    for (heads, kv), tp in itertools.product([(8, 1), (8, 2), (8, 4), (4, 4), (6, 3)], [1, 2, 3, 4, 8]):
        yield heads, kv, 4, 4, 2, tp, 2, 8, every
        yield heads, kv, 4, 6, 1, tp, 2, 8, every
        yield heads, kv, 6, 4, 1, tp, 2, 8, every
    yield from [(5, 5, 4, 4, 1, 5, 2, 320, every), (10, 2, 4, 4, 1, 5, 8, 320, every), (4, 2, 4, 4, 1, 4, 1, 1, every)]
    for tp in [1, 2, 4]:
        yield 8, 2, 4, 4, 1, tp, 16, 8, every
        for targets in ["q", "k", "v", "qv", "kv", "qk"] if every == "qkv" else []:
            yield 8, 2, 4, 4, 1, tp, 2, 8, targets
    real = [(16, 2, 256, 256, 2), (64, 8, 128, 128, 1), (28, 4, 128, 128, 1), (8, 1, 256, 256, 1),
            (40, 8, 128, 128, 1), (14, 2, 64, 64, 1), (64, 4, 192, 128, 1)]
    for shape, tp in itertools.product(real, [2, 4, 8]):
        yield *shape, tp, 8, 16, every


# ---- one case ----

def save_adapter(folder, case, lora_rank, targets):
    """One adapter in PEFT's form, with lora_alpha = lora_rank, so that its scaling is 1."""
    import torch
    from safetensors.torch import save_file
    b = {part: rows_of(part, rows, lora_rank) for part, rows in part_rows(case).items()}
    if targets == "fused":
        modules = {"qkv_proj": (rows_of("shared", lora_rank, HIDDEN), torch.cat(list(b.values())))}
    else:
        modules = {f"{part}_proj": (rows_of(part, lora_rank, HIDDEN), b[part]) for part in targets}
    folder.mkdir(parents=True)
    tensors = {f"base_model.model.attn.{name}.lora_{ab}.weight": weight for name, pair in modules.items()
               for ab, weight in zip("AB", pair)}
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"r": lora_rank, "lora_alpha": lora_rank, "target_modules": list(modules), "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(config))


class Group:
    """Stands for the tensor-parallel group."""
    def __init__(self, rank, size):
        self.rank_in_group, self.world_size = rank, size

    def all_gather(self, local, dim):
        import torch
        parts = [torch.zeros_like(local) for _ in range(self.world_size)]
        parts[self.rank_in_group] = local
        return torch.cat(parts, dim=dim)


def check_heads(case):
    from vllm.config import ModelConfig
    ModelConfig.verify_with_parallel_config(
        SimpleNamespace(model_arch_config=SimpleNamespace(total_num_attention_heads=case["H"]), multimodal_config=None),
        SimpleNamespace(tensor_parallel_size=case["tp"], enable_hc_sp=False, enable_expert_parallel=False, pipeline_parallel_size=1,
                        decode_context_parallel_size=1))


def model_around(layer, name, made_of=("q_proj", "k_proj", "v_proj")):
    """A model that has nothing but the layer, made of these modules."""
    import torch
    from vllm.model_executor.models.interfaces import SupportsLoRA

    class Model(torch.nn.Module, SupportsLoRA):
        packed_modules_mapping = {"qkv_proj": list(made_of)}
        embedding_modules = {}
        config = None

    model = inner = Model()
    *outer, last = name.split(".")
    for part in outer:
        inner.add_module(part, torch.nn.Module())
        inner = getattr(inner, part)
    inner.add_module(last, layer)
    return model


def build(case, contract):
    """The layer with its weight, inside a model that has nothing else."""
    import torch
    from vllm.model_executor.layers.linear import QKVParallelLinear
    layer = QKVParallelLinear(HIDDEN, case["D"], case["H"] * case["gate"], case["KV"], bias=False, params_dtype=torch.float32,
                              v_head_size=case["Dv"], prefix="attn.qkv_proj")
    model = model_around(layer, "attn.qkv_proj", *([["qkv_proj"]] if contract == "vllm_single_slice" else []))
    weight = layer.weight
    weight.data.zero_()
    parts = {part: rows_of(part, rows, HIDDEN) for part, rows in part_rows(case).items()}
    if case["targets"] == "fused":
        weight.weight_loader(weight, torch.cat(list(parts.values())))
    else:
        for part, rows in parts.items():
            weight.weight_loader(weight, rows, part)
    return model


def manager_of(model, max_rank, contract="vllm", slots=1, tokens=8):
    import torch
    from vllm.config.lora import LoRAConfig
    from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
    text_config = SimpleNamespace(max_position_embeddings=64)
    config = SimpleNamespace(
        scheduler_config=SimpleNamespace(max_num_seqs=tokens, max_num_batched_tokens=tokens),
        model_config=SimpleNamespace(get_vocab_size=lambda: HIDDEN, is_encoder_decoder=False,
                                     hf_config=SimpleNamespace(get_text_config=lambda: text_config)),
        parallel_config=SimpleNamespace(enable_expert_parallel=False),
        lora_config=LoRAConfig(max_lora_rank=max_rank, max_loras=slots, lora_dtype=torch.float32,
                               fully_sharded_loras=contract == "vllm_fully_sharded"))
    manager = LRUCacheWorkerLoRAManager(config, torch.device("cpu"), {})
    manager.create_lora_manager(model, config)
    return manager


def add(manager, number, folder):
    from vllm.lora.request import LoRARequest
    manager.add_adapter(LoRARequest(lora_name=str(number), lora_int_id=number, lora_path=str(folder)))


def state(wrapper, case, weight):
    assert not any(b[0, 0, :, case["r"]:].any() for b in wrapper.lora_b_stacked), "columns past lora_rank hold something"
    return {"columns": runs(weight),
            "b": [{"rows": b.shape[2], "holds": runs(b[0, 0, :, :case["r"]])} for b in wrapper.lora_b_stacked],
            "a": [{"rows": a.shape[2], "holds": runs(a[0, 0])} for a in wrapper.lora_a_stacked]}


def run_forward(manager, wrapper, numbers, x):
    """One token for each number of an adapter, 0 for none."""
    import torch
    from vllm.lora.layers import LoRAMapping
    manager._adapter_manager.set_adapter_mapping(LoRAMapping(index_mapping=tuple(numbers), prompt_mapping=tuple(numbers)))
    wrapper.base_layer.cpu_linear = torch.nn.functional.linear
    output = wrapper(x)
    return output[0] if isinstance(output, tuple) else output


def check_forward(manager, wrapper):
    """Column c of the output gets row c of all the B buffers one after the other, B's column j times A's row j."""
    import torch
    saved = [weight.clone() for weight in (wrapper.base_layer.weight.data, *wrapper.lora_a_stacked, *wrapper.lora_b_stacked)]
    wrapper.base_layer.weight.data.zero_()
    x = torch.zeros(1, HIDDEN)
    x[0, 3] = 1
    local = wrapper.lora_a_stacked[0].shape[2]
    for row in {0, local - 1}:
        column = row + (wrapper.tp_rank * local if local < wrapper.lora_b_stacked[0].shape[3] else 0)
        expected, first = [], 1
        for i, (a, b) in enumerate(zip(wrapper.lora_a_stacked, wrapper.lora_b_stacked)):
            a.zero_()
            b.zero_()
            a[0, 0, row, 3] = 2 ** i
            b[0, 0, :, column] = torch.arange(first, first + b.shape[2])
            first += b.shape[2]
            expected.append(b[0, 0, :, column] * 2 ** i)
        output = run_forward(manager, wrapper, [1], x)
        assert torch.equal(output[0], torch.cat(expected)), "forward puts out something else"
    for weight, old in zip((wrapper.base_layer.weight.data, *wrapper.lora_a_stacked, *wrapper.lora_b_stacked), saved):
        weight.copy_(old)


def check_second_load(manager, wrapper, case, folder):
    """After a smaller adapter took the slot over, the buffers hold what they hold after loading it into an empty pool."""
    import torch
    targets = "fused" if case["targets"] == "fused" else "v"
    save_adapter(folder, case, 1, targets) if not folder.exists() else None
    add(manager, 2, folder)
    after = [weight.clone() for weight in (*wrapper.lora_a_stacked, *wrapper.lora_b_stacked)]
    assert sum(weight.count_nonzero() for weight in after) > 0 or wrapper.tp_rank > 0
    manager.remove_all_adapters()
    for weight in (*wrapper.lora_a_stacked, *wrapper.lora_b_stacked):
        weight.zero_()
    add(manager, 2, folder)
    for weight, old in zip((*wrapper.lora_a_stacked, *wrapper.lora_b_stacked), after):
        assert torch.equal(weight, old), "the second load leaves rows of the first"


def run_case(geometry, contract):
    import torch
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.distributed import parallel_state
    case = dict(zip(["H", "KV", "D", "Dv", "gate", "tp", "r", "R", "targets"], geometry))
    case = {key: case[key] for key in ["H", "KV", "D", "Dv", "gate"]} | {"hidden": HIDDEN} | \
           {key: case[key] for key in ["tp", "r", "R", "targets"]}
    ranks = []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), set_current_vllm_config(run_case.config):
        folder = Path(folder)
        save_adapter(folder / "1", case, case["r"], case["targets"])
        for rank in range(case["tp"]):
            parallel_state._TP = Group(rank, case["tp"])
            try:
                check_heads(case)
                model = build(case, contract)
                weight = model.attn.qkv_proj.weight.data.clone()
                manager = manager_of(model, case["R"], contract)
                wrapper = model.attn.qkv_proj
                assert type(wrapper).__name__ == RAN[contract], type(wrapper)
                add(manager, 1, folder / "1")
            except (ValueError, AssertionError, RuntimeError, IndexError) as error:  # what the engine says is what is wanted
                refused = isinstance(error, (ValueError, AssertionError)) and str(error)
                text = " ".join(f"{type(error).__name__}: {error}".split())[:160]
                return {**case, "ends": "refused" if refused else "crash", "error": text}
            ranks.append(state(wrapper, case, weight))
            if case["Dv"] == case["D"]:
                check_forward(manager, wrapper)
                check_second_load(manager, wrapper, case, folder / "2")
    return {**case, "ends": "loaded", "ranks": ranks}


def start(release, source):
    """Makes the release importable on a CPU; gives back its default config."""
    os.environ.update(VLLM_LOGGING_LEVEL="ERROR", HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1")
    unpack("vllm", release, source, lambda name: name.endswith((".py", "METADATA")))
    logging.disable(logging.ERROR)
    import vllm.platforms
    from vllm.platforms.cpu import CpuPlatform
    vllm.platforms._current_platform = CpuPlatform()
    from vllm.config import VllmConfig
    return VllmConfig()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", required=True, help="of vllm")
    parser.add_argument("--source", help="unpacked wheel")
    parser.add_argument("--contract", required=True, choices=RAN)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    run_case.config = start(args.release, args.source)
    cases = [run_case(geometry, args.contract) for geometry in geometries(args.contract)]
    ran = ["vllm/config/model.py ModelConfig.verify_with_parallel_config",
           "vllm/model_executor/layers/linear.py QKVParallelLinear, weight_loader_v2",
           "vllm/lora/worker_manager.py LRUCacheWorkerLoRAManager", "vllm/lora/model_manager.py LRUCacheLoRAModelManager",
           "vllm/lora/peft_helper.py PEFTHelper.validate_legal", "vllm/lora/lora_model.py LoRAModel.from_local_checkpoint",
           f"vllm/lora/layers/column_parallel_linear.py {RAN[args.contract]}",
           "vllm/lora/punica_wrapper/punica_cpu.py PunicaWrapperCPU, asserts only"]
    stubbed = ["the tensor-parallel group: rank and size are given", "the model around the layer", "the configs other than LoRAConfig"]
    write(args.out, args.contract, "vllm", args.release, ran, stubbed, cases)


if __name__ == "__main__":
    main()
