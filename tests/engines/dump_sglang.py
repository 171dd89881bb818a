"""Which rows of q, k and v, and of an adapter's B and A, each rank of SGLang holds.

Needs, beside the sglang wheel (fetched here): pip install torch numpy, transformers in the version that the release asks for, and
what sglang imports (orjson requests aiohttp fastapi uvloop pyzmq msgspec einops pillow cloudpickle setproctitle pybase64
prometheus-client uvicorn python-multipart partial_json_parser ipython compressed-tensors openai gguf sentencepiece interegular
xgrammar llguidance dill loguru traitlets apache-tvm-ffi watchfiles ..); none of its compiled kernels.

Ran, all of it sglang's own code: for every rank a QKVParallelLinear is built and filled through its weight_loader; LoRAManager puts
its wrapper around it and allocates the pool; load_lora_adapter_from_tensors checks, normalises and keeps the adapter;
fetch_new_loras slices it and copies it into a slot, the first that is not the base model's. Then the layer's forward runs with the
Triton kernels of the backend `triton` in Triton's interpreter, with the labels of B against one-hot rows of A: it is asserted that
output column c gets row c of B and the A row of its own part. Where the buffer is shorter than the output (before #24420), the
last columns get the first rows of the next slot, and that is asserted. Last, an adapter of a smaller lora_rank takes the slot over,
and it is asserted what stays.
Where q holds a gate, the attention layer of Qwen3.5 or of Qwen3-Next makes the QKVParallelLinear in its own constructor, which is left
after that. Qwen3.5's class has a get_hidden_dim, which is run; Qwen3-Next's has none, nor has Llama's, so that the pool runs its default:
also where the config says other numbers than the layer. `model_type` says of which class a case is, where that makes a difference.
Stubbed: the tensor-parallel group (rank and size are given); the model around the layer, which has nothing but qkv_proj; pinned memory;
the packages of STUBS, of which nothing runs. Whole model classes are run by dump_sglang_models.py.

--contract says which: `sglang-24420` before pull request #24420 (0.5.11 is the last such release), else `sglang`; `sglang_fused`
for adapters of a fused qkv_proj.
"""
import argparse
import contextlib
import importlib.machinery
import itertools
import logging
import os
import sys
import traceback
import types
from types import SimpleNamespace

from labels import GEOMETRY, part_rows, rows_of, runs, unpack, write

HIDDEN = 16
NAME = "model.layers.0.self_attn.qkv_proj"
STUBS = {"torchvision", "torchaudio", "torchao", "sgl_kernel", "flashinfer", "outlines", "outlines_core", "deep_gemm", "quack",
         "cutlass"}


# ---- the package ----

class Empty(type):
    """A class whose every attribute is another such class; as a decorator it does nothing."""
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Empty(name, (), {})

    def __call__(cls, *args, **kwargs):
        return args[0] if len(args) == 1 and callable(args[0]) and not kwargs else object.__new__(cls)


class EmptyModule(types.ModuleType):
    __version__ = "99.0"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Empty(name, (), {})


class EmptyFinder:
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in STUBS else None

    def create_module(self, spec):
        return EmptyModule(spec.name)

    def exec_module(self, module):
        pass


def without_pinned_memory():
    import torch
    for name in ("tensor", "zeros", "empty"):
        def unpinned(*args, _make=getattr(torch, name), pin_memory=None, **kwargs):
            return _make(*args, **kwargs)
        setattr(torch, name, unpinned)
    torch.Tensor.pin_memory = lambda self: self


def server_args():
    """The arguments that the LoRA code reads, as the server has them by default."""
    return dict(enable_lora_overlap_loading=False, lora_eviction_policy="lru", experts_shared_outer_loras=None,
                lora_use_virtual_experts=False, lora_strict_loading=False)


@contextlib.contextmanager
def tensor_parallel(rank, size):
    try:
        from sglang.srt import runtime_context
        context = runtime_context.get_context().override_server_args(**server_args())
    except (ImportError, AttributeError):  # older releases ask the group itself
        from sglang.srt import server_args as arguments
        from sglang.srt.distributed import parallel_state
        arguments._global_server_args = object.__new__(arguments.ServerArgs)  # the class's defaults; its checks want a GPU
        parallel_state._TP = parallel_state._ATTN_TP = SimpleNamespace(rank_in_group=rank, world_size=size)
        parallel_state._PP = SimpleNamespace(rank_in_group=0, world_size=1, is_last_rank=True)
        yield
        return
    with context, runtime_context.get_parallel().override(
            tp_size=size, tp_rank=rank, attn_tp_size=size, attn_tp_rank=rank, attn_dp_size=1, attn_dp_rank=0, attn_cp_size=1,
            attn_cp_rank=0, moe_tp_size=size, moe_tp_rank=rank, moe_ep_size=1, moe_ep_rank=0, attn_dp_enabled=False,
            attn_dcp_size=1, pp_rank=0, pp_size=1):
        yield


# ---- cases ----

QWEN35 = {"model_type": "qwen3_5"}


def fused_geometries():
    for (heads, kv), tp, gate in itertools.product([(8, 1), (8, 2), (8, 4), (4, 4), (6, 3), (16, 2)], [1, 2, 3, 4, 8], [1, 2]):
        yield heads, kv, 4, 4, gate, tp, 2, 4, "fused", QWEN35 if gate == 2 else {}


def geometries():
    """(H, KV, D, Dv, gate, tp, r, R, targets, what the config says instead and the class), small ones first."""
    for heads in [1, 2, 3, 4, 5, 6, 7, 8, 12, 16]:
        for kv in [n for n in range(1, heads + 1) if heads % n == 0]:
            for tp in range(1, 9):
                yield heads, kv, 4, 4, 1, tp, 2, 4 if heads % 2 else 2, "qkv", {}
    for kv in [1, 2, 4, 8, 16]:
        yield 16, kv, 2, 2, 1, 16, 2, 4, "qkv", {}
    for (heads, kv), tp in itertools.product([(8, 1), (8, 2), (8, 4), (4, 4), (6, 3)], [1, 2, 3, 4, 8]):
        yield heads, kv, 2, 2, 1, tp, 2, 2, "qkv", {}
        yield heads, kv, 4, 4, 2, tp, 2, 4, "qkv", QWEN35
        yield heads, kv, 4, 4, 2, tp, 2, 4, "qkv", {"model_type": "qwen3_next"}
    for (heads, kv), tp, v_dim in itertools.product([(8, 1), (8, 2), (4, 4), (6, 3)], [1, 2, 3, 4, 8], [2, 6]):
        yield heads, kv, 4, v_dim, 1, tp, 2, 2, "qkv", {}
    for tp in [1, 2, 4]:
        for targets in ["q", "k", "v", "qk", "qv", "kv"]:
            yield 8, 2, 4, 4, 1, tp, 2, 4, targets, {}
        yield 8, 2, 4, 4, 2, tp, 2, 4, "qv", QWEN35
        yield 8, 2, 4, 6, 1, tp, 2, 4, "qv", {}
        yield 8, 2, 4, 4, 1, tp, 4, 2, "qkv", {}
        yield 8, 2, 4, 4, 1, tp, 1, 1, "qkv", {}
    for tp in [1, 2, 4, 8]:
        for config in [{"config_KV": 0}, {"config_KV": 1}, {"config_KV": 8}, {"config_D": 0}, {"config_D": 2},
                       {"config_D": 0, "config_H": 4}]:
            yield 8, 2, 4, 4, 1, tp, 2, 4, "qkv", config | {"model_type": "llama"}
    real = [(16, 2, 256, 256, 2), (64, 8, 128, 128, 1), (28, 4, 128, 128, 1), (8, 1, 256, 256, 1), (32, 8, 128, 128, 1),
            (40, 8, 128, 128, 1), (14, 2, 64, 64, 1), (64, 4, 192, 128, 1), (24, 2, 256, 256, 2)]
    for shape, tp in itertools.product(real, [2, 4, 8, 16]):
        yield *shape, tp, 4, 8, "qkv", QWEN35 if shape[-1] == 2 else {}


def case_of(shape):
    heads, kv, dim, v_dim, gate, tp, r, max_r, targets, config = shape
    return dict(zip(GEOMETRY, (heads, kv, dim, v_dim, gate, HIDDEN))) | config | {"tp": tp, "r": r, "R": max_r, "targets": targets}


# ---- one case ----

def config_of(case):
    from transformers import PretrainedConfig
    config = PretrainedConfig()
    config.hidden_size, config.num_hidden_layers, config.vocab_size, config.intermediate_size = HIDDEN, 1, 16, 16
    config.num_attention_heads = case.get("config_H", case["H"])
    config.attn_output_gate, config.full_attention_interval = case["gate"] == 2, 1
    config.rope_parameters, config.partial_rotary_factor = {"rope_type": "default", "rope_theta": 1e4}, 1.0
    if case.get("config_KV", case["KV"]):
        config.num_key_value_heads = case.get("config_KV", case["KV"])
    if case.get("config_D", case["D"]):
        config.head_dim = case.get("config_D", case["D"])
    return config


class Enough(Exception):
    pass


def gated_layer(config, model_type, number=0, name=NAME):
    """The qkv_proj that the class's attention layer makes itself, after its own checks; its constructor ends there."""
    from sglang.srt.models import qwen3_5, qwen3_next
    module, name = ((qwen3_5, "Qwen3_5AttentionDecoderLayer") if model_type == "qwen3_5"
                    else (qwen3_next, "Qwen3HybridAttentionDecoderLayer"))

    def enough(*args, **kwargs):
        raise Enough
    module.get_rope, module.RowParallelLinear = (lambda **kwargs: None), enough
    cls = getattr(module, name)
    attention = cls.__new__(cls)
    with contextlib.suppress(Enough):
        attention.__init__(config, number, prefix=name.removesuffix(".qkv_proj"))
    return attention.qkv_proj


def model_around(layer, config, name=NAME, hook=None):
    """A model that has nothing but the layer. `hook`: its class's get_hidden_dim."""
    import torch

    class Model(torch.nn.Module):
        pass

    if hook:
        Model.get_hidden_dim = hook
    model = Model()
    model.config = config
    *outer, last = name.split(".")
    inner = model
    for part in outer:
        inner.add_module(part, torch.nn.Module())
        inner = getattr(inner, part)
    inner.add_module(last, layer)
    return model


def build(case):
    """The layer with its weight, inside a model that has nothing else."""
    import torch
    from sglang.srt.layers.linear import QKVParallelLinear
    from sglang.srt.models.qwen3_5 import Qwen3_5ForCausalLM
    config, hook = config_of(case), None
    if case["gate"] == 2:
        if case["model_type"] == "qwen3_5":
            hook = Qwen3_5ForCausalLM.get_hidden_dim
        layer = gated_layer(config, case["model_type"])
    else:
        layer = QKVParallelLinear(HIDDEN, case["D"], case["H"], case["KV"], bias=False, params_dtype=torch.float32,
                                  v_head_size=case["Dv"], prefix=NAME)
    model = model_around(layer, config, hook=hook)
    layer.weight.data.zero_()
    parts = {part: rows_of(part, rows, HIDDEN) for part, rows in part_rows(case).items()}
    if case["targets"] == "fused":
        layer.weight.weight_loader(layer.weight, torch.cat(list(parts.values())))
    else:
        for part, rows in parts.items():
            layer.weight.weight_loader(layer.weight, rows, part)
    return model, layer


def manager_of(model, tp, rank, max_rank, slots=3):
    import torch
    from sglang.srt.configs.load_config import LoadConfig
    from sglang.srt.lora.lora_manager import LoRAManager

    class Manager(LoRAManager):
        def create_lora_update_result(self, success, error_message=""):
            if not success:
                raise  # the exception that the message is made of
            return super().create_lora_update_result(success, error_message)

    where = {} if hasattr(sys.modules["sglang.srt.lora.mem_pool"], "get_parallel") else {"tp_size": tp, "tp_rank": rank}
    return Manager(base_model=model, base_hf_config=model.config, max_loras_per_batch=slots, load_config=LoadConfig(),
                   dtype=torch.float32, server_args=SimpleNamespace(**server_args()), lora_backend="triton",
                   max_lora_rank=max_rank, target_modules=["qkv_proj"], lora_paths=None, **where)


def adapter(case, lora_rank, targets):
    """Tensors by the names PEFT gives them, and the config; lora_alpha = lora_rank, so that the scaling is 1."""
    import torch
    b = {part: rows_of(part, rows, lora_rank) for part, rows in part_rows(case).items()}
    if targets == "fused":
        modules = {"qkv_proj": (rows_of("shared", lora_rank, HIDDEN), torch.cat(list(b.values())))}
    else:
        modules = {f"{part}_proj": (rows_of(part, lora_rank, HIDDEN), b[part]) for part in targets}
    prefix = "base_model.model." + NAME.removesuffix("qkv_proj")
    tensors = {f"{prefix}{name}.lora_{ab}.weight": weight for name, pair in modules.items() for ab, weight in zip("AB", pair)}
    return tensors, {"r": lora_rank, "lora_alpha": lora_rank, "target_modules": list(modules), "peft_type": "LORA"}


def keep(manager, name, tensors, config):
    from sglang.srt.lora.lora_registry import LoRARef
    manager.load_lora_adapter_from_tensors(LoRARef(lora_id=name, lora_name=name, lora_path=name, pinned=False), tensors, config)


def buffers(manager, layer=0):
    pool = manager.memory_pool
    return pool.A_buffer["qkv_proj"][layer], pool.B_buffer["qkv_proj"][layer]


def run_forward(manager, wrapper, names, x):
    """One token for each name."""
    import torch
    from sglang.srt.model_executor.forward_batch_info import ForwardMode
    tokens = len(names)
    manager.prepare_lora_batch(SimpleNamespace(
        batch_size=tokens, forward_mode=ForwardMode.EXTEND, lora_ids=names, extend_seq_lens_cpu=[1] * tokens,
        extend_seq_lens=torch.ones(tokens, dtype=torch.int32), extend_num_tokens=tokens, return_logprob=False,
        extend_logprob_start_lens_cpu=[0] * tokens, token_ids_logprobs=None, top_logprobs_nums=None, spec_info=None))
    output = wrapper(x)
    return output[0] if isinstance(output, tuple) else output


def check_forward(manager, wrapper, case):
    """Column c gets row c of B and, of A, row 0 or r - 1 of c's part; past the slot's end the next slot's rows."""
    import torch
    a, b = buffers(manager)
    saved = [weight.clone() for weight in (wrapper.base_layer.weight.data, a, b)]
    wrapper.base_layer.weight.data.zero_()
    n, m = wrapper.base_layer.q_proj_shard_size, wrapper.base_layer.kv_proj_shard_size
    slot = manager.memory_pool.get_buffer_id("a")
    for row in {0, case["r"] - 1}:
        a.zero_()
        b.zero_()
        b[slot:, :, row] = torch.arange(1.0, b[slot:, :, 0].numel() + 1).reshape(-1, b.shape[1])
        for i in range(3):
            a[slot, i * case["r"] + row, 5] = 2.0 ** i
        x = torch.zeros(1, HIDDEN)
        x[0, 5] = 1
        factor = torch.tensor([1.0] * n + [2.0] * m + [4.0] * m)
        expected = torch.arange(1.0, n + 2 * m + 1) * factor
        assert torch.equal(run_forward(manager, wrapper, ["a"], x)[0], expected), "forward puts out something else"
    for weight, old in zip((wrapper.base_layer.weight.data, a, b), saved):
        weight.copy_(old)


def check_second_load(manager, case):
    """The slot's next tenant has a smaller lora_rank: what lies past its rows of A and its columns of B stays."""
    pool = manager.memory_pool
    slot = pool.get_buffer_id("a")
    tensors, config = adapter(case, 1, "qv")
    keep(manager, "b", tensors, config)
    a, b = buffers(manager)
    a[slot], b[slot] = -1.0, -1.0
    pool.load_lora_weight_to_buffer("b", slot, manager.loras["b"], manager.lora_modules, None, None)
    assert bool((a[slot, :3] >= 0).all()) and bool((a[slot, 3:] == -1).all())
    assert bool((b[slot, :, :1] >= 0).all()) and bool((b[slot, :, 1:] == -1).all())
    assert not a[slot, 1].any()  # k_proj, which it leaves out, is zeros
    a[slot], b[slot] = -1.0, -1.0
    tensors, config = adapter(case, 1, "")
    keep(manager, "c", tensors, config)  # nothing of qkv_proj
    pool.load_lora_weight_to_buffer("c", slot, manager.loras["c"], manager.lora_modules, None, None)
    assert not a[slot, :3].any() and bool((a[slot, 3:] == -1).all())
    assert not b[slot, :, :1].any() and bool((b[slot, :, 1:] == -1).all())


def run_case(shape):
    import torch
    case = case_of(shape)
    ranks = []
    for rank in range(case["tp"]):
        with tensor_parallel(rank, case["tp"]), torch.no_grad():
            serving = False
            try:
                model, layer = build(case)
                weight = layer.weight.data.clone()
                manager = manager_of(model, case["tp"], rank, case["R"])
                keep(manager, "a", *adapter(case, case["r"], case["targets"]))
                serving = True  # the adapter is accepted; the first batch that wants it loads it into a slot
                manager.fetch_new_loras({"a"})
            except Exception as error:  # what the engine says is what is wanted
                frames = traceback.extract_tb(error.__traceback__)  # a config that is asked for what it has not raises in its own package
                where = [frame for frame in frames if "/transformers/" not in frame.filename][-1]
                assert "sglang/srt/" in where.filename, where
                ours = isinstance(error, AttributeError) and "num_key_value_heads" not in str(error)
                assert not ours, f"the config made here lacks something: {error}"
                in_pool = any("lora/mem_pool" in frame.filename for frame in traceback.extract_tb(error.__traceback__))
                refused = isinstance(error, (ValueError, AssertionError)) and not serving and not in_pool
                text = " ".join(f"{type(error).__name__}: {str(error) or where.line}".split())[:160]
                return {**case, "ends": "refused" if refused else "crash", "error": text}
            a, b = (buffer[manager.memory_pool.get_buffer_id("a")].clone() for buffer in buffers(manager))
            assert not a[3 * case["r"]:].any() and not b[:, case["r"]:].any()
            ranks.append({"columns": runs(weight), "b": [{"rows": b.shape[0], "holds": runs(b[:, :case["r"]])}],
                          "a": [{"rows": a.shape[0], "holds": runs(a)}]})
            if case["D"] <= 4 and case["Dv"] == case["D"] and rank in (0, case["tp"] - 1) and case["H"] in (4, 6, 8):
                wrapper = manager.lora_modules[0][NAME]
                check_forward(manager, wrapper, case)
                check_second_load(manager, case)
    return {**case, "ends": "loaded", "ranks": ranks}


def start(release, source):
    """Makes the release importable on a CPU."""
    os.environ.update(TRITON_INTERPRET="1", HF_HUB_OFFLINE="1")
    unpack("sglang", release, source)
    sys.meta_path.insert(0, EmptyFinder())
    import sglang.srt.lora.lora_manager  # noqa: F401
    logging.disable(logging.ERROR)
    without_pinned_memory()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", required=True, help="of sglang")
    parser.add_argument("--source", help="unpacked wheel")
    parser.add_argument("--contract", default="sglang", choices=["sglang", "sglang-24420", "sglang_fused"])
    parser.add_argument("out")
    args = parser.parse_args()
    start(args.release, args.source)
    cases = [run_case(shape) for shape in (fused_geometries() if args.contract == "sglang_fused" else geometries())]
    write(args.out, args.contract, "sglang", args.release,
          ["sglang/srt/layers/linear.py QKVParallelLinear, weight_loader",
           "sglang/srt/lora/lora_manager.py LoRAManager", "sglang/srt/lora/lora.py LoRAAdapter, normalize_qkv_proj",
           "sglang/srt/lora/mem_pool.py LoRAMemoryPool, get_lora_B_shape, load_lora_weight_to_buffer",
           "sglang/srt/lora/layers.py QKVParallelLinearWithLoRA, slice_lora_a_weights, slice_lora_b_weights",
           "sglang/srt/models/qwen3_5.py Qwen3_5AttentionDecoderLayer up to its qkv_proj, Qwen3_5ForCausalLM.get_hidden_dim, where "
           "model_type is qwen3_5",
           "sglang/srt/models/qwen3_next.py Qwen3HybridAttentionDecoderLayer up to its qkv_proj, where model_type is qwen3_next",
           "sglang/srt/lora/utils.py get_hidden_dim, get_default_hidden_dim elsewhere",
           "the Triton kernels of the backend triton, in Triton's interpreter, asserts only"],
          ["the tensor-parallel group: rank and size are given", "the model around the layer", "pinned memory"], cases)


if __name__ == "__main__":
    main()
