#!/usr/bin/env python3
"""What SGLang's own model classes do with a LoRA adapter of qkv, for every config of configs/models and every tp_size from 1 to 32.

    tests/engines/dump_sglang_models.py --release 0.5.23 tests/engines/models/sglang-0.5.23.json

Needs what dump_sglang.py needs. Of each config the release's own code is run, on the meta device, so that no weight takes memory: its
get_config reads the file (with transformers' class, or its own), ModelConfig derives the head's width, its registry says which class serves it, that class's constructor builds
the model with its attention and QKVParallelLinear, LoRAManager wraps the layers that the class lets it (should_apply_lora), LoRAMemoryPool
sizes the buffers by the class's get_hidden_dim or by the default where it has none, and an adapter of lora_rank 1 with the module names that
the published checkpoint has is checked, normalised, sliced and copied into a slot. Recorded: how that ends, rows of the buffer and of the
slice, on the first and the last rank. STUBBED lists what was replaced; a config whose class cannot be built here says why under "left_out".
"""
import argparse
import contextlib
import gc
import logging
import os
import sys
import traceback
import warnings
from types import SimpleNamespace

import dump_sglang
from labels import unpack
from meta_models import (NotBuilt, Unread, architectures, b_rows, complete, in_attention, is_tower, kinds_of, modules_of, part_rows, qkv_layers,
                         read_config, record, said, tower_class, walk, write, written)

STUBBED = [
    "the tensor-parallel group: rank and size are given",
    "weights: everything is built on the meta device; of the layers, the first of each kind where the class makes them by make_layers",
    "rotary embeddings",
    "vision and audio towers and their projectors",
    "sizes of the vocabulary, of MLPs and of experts: multiples of tp_size, so that only attention says which tp_size fits",
    "keys that the published config has and the copy in configs/models leaves out, none of them about heads: see FILL of meta_models.py",
    "configs of classes that are remote code: transformers' PretrainedConfig with the keys of the file",
    "pinned memory, CUDA streams and compiled kernels, of which nothing runs",
]


# ---- what is stubbed ----

class Few:
    """make_layers with the wanted layers only; what stands for the others is what pipeline parallelism has there."""
    wanted = None  # None: all

    def __init__(self, whole):
        self.whole = whole

    def __call__(self, count, layer_fn, *args, **kwargs):
        from sglang.srt.layers.utils import PPMissingLayer

        class Absent(PPMissingLayer):
            mlp = None  # Qwen3-Next looks at every layer's

        def one(idx, prefix):
            return layer_fn(idx=idx, prefix=prefix) if self.wanted is None or idx in self.wanted else Absent()
        return self.whole(count, one, *args, **kwargs)


few = None


def stub_around_attention():
    """Before the models are imported."""
    global few
    import torch
    torch.jit.script = lambda function=None, *args, **kwargs: function
    for name in ("Stream", "Event"):
        setattr(torch.cuda, name, lambda *args, **kwargs: None)
    torch.cuda.current_device = lambda: 0
    for name in ("tensor", "zeros", "ones", "empty", "full", "arange"):
        def here(*args, _make=getattr(torch, name), device=None, **kwargs):
            return _make(*args, **kwargs, **({"device": device} if "cuda" not in str(device or "cuda") else {}))
        setattr(torch, name, here)
    from sglang.srt.utils import common
    few = Few(common.make_layers)
    for module in list(sys.modules.values()):
        if getattr(module, "make_layers", None) is few.whole:
            module.make_layers = few


def stub_towers():
    import torch
    for name, module in list(sys.modules.items()):
        if not name.startswith("sglang.srt.models."):
            continue
        for key, value in list(vars(module).items()):
            if key == "get_rope" or key == "get_rope_wrapper":
                setattr(module, key, lambda *args, **kwargs: torch.nn.Identity())
            elif is_tower(key, value):
                setattr(module, key, tower_class(key))


class Group:
    is_first_rank = is_last_rank = True
    cpu_group = device_group = ca_comm = pynccl_comm = None
    unique_name = "group"

    def __init__(self, rank, size):
        self.rank_in_group = self.rank = self.local_rank = rank
        self.world_size, self.ranks = size, list(range(size))


@contextlib.contextmanager
def deployment(rank, size):
    import torch
    from sglang.srt import runtime_context
    whole, one = Group(rank, size), Group(0, 1)
    with dump_sglang.tensor_parallel(rank, size), runtime_context.get_parallel().override(
            pp_group=one, tp_group=whole, attn_tp_group=whole, moe_tp_group=whole, moe_ep_group=one, attn_cp_group=one,
            world_group=whole), torch.device("meta"), torch.no_grad():
        yield


# ---- the config and the class ----

def get_config(folder):
    from sglang.srt.utils.hf_transformers.config import get_config
    return get_config(folder, trust_remote_code=False)


def derive_shapes(config):
    """What ModelConfig then writes into the config: head_dim and v_head_dim where there are none."""
    from sglang.srt.configs import model_config
    shapes = model_config.ModelConfig.__new__(model_config.ModelConfig)
    shapes.hf_config, shapes.hf_text_config = config, model_config.get_hf_text_config(config)
    shapes._derive_model_shapes()


# ---- one model at one tp_size ----

def adapter(layers, rows, hidden, modules):
    """An adapter of lora_rank 1 for the layers given."""
    import torch
    path, names = modules
    tensors = {}
    for index in layers:
        for name, count in zip(names, b_rows(rows[index], names)):
            prefix = f"base_model.model.model.layers.{index}.{path}.{name}"
            tensors[f"{prefix}.lora_A.weight"] = torch.ones(1, hidden[index], device="cpu")
            tensors[f"{prefix}.lora_B.weight"] = torch.ones(count, 1, device="cpu")
    return tensors, {"r": 1, "lora_alpha": 1, "target_modules": names, "peft_type": "LORA"}


def manager_of(model, config, names):
    import torch
    from sglang.srt.configs.load_config import LoadConfig
    from sglang.srt.lora.lora_manager import LoRAManager

    class Manager(LoRAManager):
        def create_lora_update_result(self, success, error_message=""):
            if not success:
                raise
            return super().create_lora_update_result(success, error_message)
    return Manager(base_model=model, base_hf_config=config, max_loras_per_batch=2, load_config=LoadConfig(), dtype=torch.float32,
                   server_args=SimpleNamespace(**dump_sglang.server_args()), lora_backend="triton", max_lora_rank=1,
                   target_modules=list(names), lora_paths=None)


def build(make, tp_size):
    cls, config = make(tp_size)
    return cls(config=config, quant_config=None), config


def one_rank(make, tp_size, rank, wanted, modules, reference):
    """{layer index: outcome} of one rank. `reference`: rows and widths at tp_size 1, None while they are looked for."""
    from sglang.srt.layers.linear import QKVParallelLinear
    with deployment(rank, tp_size):
        try:
            try:
                model, config = build(make, tp_size)
            except AttributeError:  # some classes look at layers that are not there
                few.wanted = None
                model, config = build(make, tp_size)
        except Exception as error:
            if tp_size == 1 or not in_attention(error):
                raise NotBuilt(said(error)) from error
            return {index: ["refused", said(error)] for index in wanted}, reference
        found = qkv_layers(model, wanted, QKVParallelLinear)
        if reference is None:
            reference = ({index: part_rows(layer) for index, (_, layer) in found.items()},
                         {index: layer.hidden_size for index, (_, layer) in found.items()})
        if not found:
            return {}, reference
        outcomes = {}
        try:
            serving = False
            manager = manager_of(model, config, modules[1])
            dump_sglang.keep(manager, "a", *adapter(list(found), *reference, modules))
            serving = True
            pool = manager.memory_pool
            kept = manager.loras["a"]
        except Exception as error:
            in_pool = any("lora/mem_pool" in frame.filename for frame in traceback.extract_tb(error.__traceback__))
            refused = isinstance(error, (ValueError, AssertionError)) and not serving and not in_pool
            return {index: ["refused" if refused else "crash", said(error)] for index in found}, reference
        try:
            manager.fetch_new_loras({"a"})
            failed = None
        except Exception as error:
            failed = said(error)
        for index, (name, _) in found.items():
            wrapper = manager.lora_modules[index].get(name)
            if wrapper is None:
                outcomes[index] = ["not wrapped", name]
                continue
            weights = {key: value for key, value in kept.layers[index].weights.items() if "lora_B" in key}
            buffer = pool.B_buffer["qkv_proj"][index].shape[1] if "qkv_proj" in pool.B_buffer else 0
            cut = wrapper.slice_lora_b_weights(next(iter(weights.values()))).shape[0] if len(weights) == 1 else 0
            if failed and cut != buffer or failed and len(found) == 1:
                outcomes[index] = ["crash", failed, buffer, cut]
            else:
                outcomes[index] = ["loaded", "", buffer, cut]
        if failed and all(outcome[0] == "loaded" for outcome in outcomes.values()):
            raise NotBuilt(failed)
        return outcomes, reference


def first_built(make):
    from sglang.srt.layers.linear import QKVParallelLinear
    few.wanted = None
    with deployment(0, 1):
        try:
            found = qkv_layers(build(make, 1)[0], range(1000), QKVParallelLinear)
        except Exception as error:
            raise Unread(f"not built: {said(error)}") from error
    if not found:
        raise Unread("the class has no QKVParallelLinear in these layers")
    return min(found)


def hook_of(cls):
    for base in cls.__mro__:
        if "get_hidden_dim" in vars(base):
            return f"{base.__module__.removeprefix('sglang.srt.models.')}.{base.__qualname__}"
    return "default"


def one_model(keys, entry, named):
    """What the dump says of one config."""
    from sglang.srt.models.registry import ModelRegistry
    keys_written = written(keys, named)
    config, by_class = read_config(keys_written, get_config)
    cls, resolved = ModelRegistry.resolve_model_cls(config.architectures)
    if resolved.startswith("Transformers"):
        raise Unread("no class of its own: the Transformers backend")

    def make(tp_size):
        made, _ = read_config(keys_written, get_config)
        complete(made, tp_size)
        if isinstance(getattr(made, "vision_config", None), dict):
            made.vision_config = SimpleNamespace(**{"torch_dtype": None, "image_size": 224, "patch_size": 14} | made.vision_config)
        derive_shapes(made)
        return cls, made

    kinds = kinds_of(entry, lambda: first_built(make))
    few.wanted = set(kinds)
    modules = modules_of(next(iter(kinds.values()))["checkpoint"]["tensors"])
    walked = walk(kinds, lambda tp_size, rank, reference: one_rank(make, tp_size, rank, set(kinds), modules, reference))
    gc.collect()
    return {"architecture": resolved, "named": bool(keys.get("architectures")), "config": "class" if by_class else "keys",
            "hook": hook_of(cls), "modules": ",".join(modules[1]), **walked}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", required=True, help="of sglang")
    parser.add_argument("--source", help="unpacked wheel")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="configs whose name has one of these words")
    parser.add_argument("out")
    args = parser.parse_args()
    os.environ.update(TRITON_INTERPRET="1", HF_HUB_OFFLINE="1")
    unpack("sglang", args.release, args.source)
    dump_sglang.STUBS.add("vllm")
    sys.meta_path.insert(0, dump_sglang.EmptyFinder())
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    import sglang.srt.lora.lora_manager  # noqa: F401
    from torch.utils import _device
    _device._device_constructors()  # keeps the functions that the meta device answers for, before they are replaced
    dump_sglang.without_pinned_memory()
    stub_around_attention()
    import sglang.srt.models.registry  # noqa: F401
    stub_towers()
    named = architectures()
    models, left_out = record(lambda keys, entry: one_model(keys, entry, named), args.only)
    head = {"contract": "sglang", "fused": "sglang_fused", "package": "sglang", "release": args.release}
    write(args.out, head, STUBBED, models, left_out)


if __name__ == "__main__":
    main()
