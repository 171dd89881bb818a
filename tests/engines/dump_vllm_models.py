#!/usr/bin/env python3
"""What vLLM's own model classes do with a LoRA adapter of qkv, for every config of configs/models and every tp_size from 1 to 32.

    tests/engines/dump_vllm_models.py --release 0.33.0 tests/engines/models/vllm-0.33.0.json

Needs what dump_vllm.py needs, and torchvision, timm, soundfile and what else a model class imports. Of each config the release's own code is
run, on the meta device, so that no weight takes memory: ModelConfig reads the file (with transformers' class, or its own), asks the registry
which class serves it and counts the heads, VllmConfig checks them against tp_size, initialize_model builds the class with its attention and
QKVParallelLinear, load_lora_model of the model runner asks whether the class supports LoRA and has LRUCacheWorkerLoRAManager put wrappers with
their buffers around the layers, and an adapter of lora_rank 1, in PEFT's form on disk, with the module names that the published checkpoint
has, is checked, renamed by the class's mapper, packed, cut and copied into a slot. Recorded: how that ends, rows of each buffer of B and of
what was copied into it, on the first and the last rank. STUBBED lists what was replaced; a config whose class cannot be built here says why
under "left_out".
"""
import argparse
import contextlib
import gc
import itertools
import json
import logging
import os
import pathlib
import sys
import tempfile
import traceback
import warnings

from labels import unpack
from meta_models import (NotBuilt, Unread, architectures, b_rows, complete, in_attention, is_tower, kinds_of, modules_of, part_rows, qkv_layers,
                         read_config, record, said, tower_class, walk, write, written)

STUBBED = [
    "the tensor-parallel group: rank and size are given",
    "weights: everything is built on the meta device; of the layers, the first of each kind where the class makes them by make_layers",
    "vision and audio towers and their projectors",
    "the LoRA wrapper of experts, which wants a GPU's kernels: experts stay without one",
    "what says which kernel computes experts: the first on the list does, none runs",
    "sizes of the vocabulary, of MLPs and of experts: multiples of tp_size, so that only attention says which tp_size fits",
    "keys that the published config has and the copy in configs/models leaves out, none of them about heads: see FILL of meta_models.py",
    "configs of classes that are remote code: transformers' PretrainedConfig with the keys of the file, and what the class works out of them",
    "numbers that a constructor looks at (alibi slopes): made on the CPU",
    "the registry's subprocess, which looks at a class: it is imported here",
    "the platform: vLLM's own for CPUs; of its compiled kernels nothing runs, and three of gelu are declared",
]
# Where transformers' classes have their layers, and what in a layer holds q, k and v.
LAYERS = ("model.layers", "model.language_model.layers", "language_model.model.layers", "model.decoder.layers", "model.text_model.layers",
          "thinker.model.layers", "transformer.h", "transformer.blocks", "model.transformer.blocks", "transformer.encoder.layers",
          "gpt_neox.layers", "backbone.layers")
IN_LAYER = ("self_attn", "attn", "attention", "self_attention", "mixer", "")


# ---- what is stubbed ----

class Few:
    """make_layers with the wanted layers only; what stands for the others is what pipeline parallelism has there."""
    wanted = None  # None: all

    def __init__(self, whole):
        self.whole = whole

    def __call__(self, num_hidden_layers, layer_fn, prefix):
        from vllm.model_executor.models.utils import PPMissingLayer

        def one(prefix):
            return layer_fn(prefix=prefix) if self.wanted is None or int(prefix.split(".")[-1]) in self.wanted else PPMissingLayer()
        return self.whole(num_hidden_layers, one, prefix)


few = LIBRARY = None


def stub_around_models():
    """Before the models are imported."""
    global few, LIBRARY
    import torch
    LIBRARY = torch.library.Library("_C", "FRAGMENT")  # goes with the object
    import vllm.platforms
    from vllm.platforms.cpu import CpuPlatform
    vllm.platforms._current_platform = CpuPlatform()
    from vllm.lora import utils as lora_utils
    from vllm.lora.layers import FusedMoE3DWithLoRA, FusedMoEWithLoRA
    from vllm.model_executor.layers.fused_moe import config
    from vllm.model_executor.layers.fused_moe.modular_kernel import FusedMoEExperts
    from vllm.model_executor.models import registry, utils
    registry._LazyRegisteredModel.inspect_model_cls = lambda self: registry._ModelInfo.from_model_cls(self.load_model_cls())
    few = utils.make_layers = Few(utils.make_layers)
    FusedMoEExperts.is_supported_config = staticmethod(lambda *args: (True, None))

    class AsIfGpu:
        """The platform, for what says that experts without a gate want a GPU."""
        def __getattr__(self, name):
            return (lambda: True) if name == "is_xpu" else getattr(vllm.platforms.current_platform, name)
    config.current_platform = AsIfGpu()
    for name in ("gelu_new", "gelu_fast", "gelu_quick"):
        LIBRARY.define(f"{name}(Tensor! out, Tensor input) -> ()")
    lora_utils._all_lora_classes = tuple(cls for cls in lora_utils._all_lora_classes if cls not in (FusedMoEWithLoRA, FusedMoE3DWithLoRA))


def on_cpu(function):
    """Numbers that are looked at while a model is made."""
    def there(*args):
        import torch
        with torch.device("cpu"):
            return function(*args)
    return there


def stub_in_models(seen=set()):
    """In the modules that were imported since the last call."""
    for name, module in list(sys.modules.items()):
        if name in seen or not name.startswith(("vllm.model_executor.models.", "vllm.models.")):
            continue
        seen.add(name)
        for key, value in list(vars(module).items()):
            if is_tower(key, value):
                tower = tower_class(key)
                tower.packed_modules_mapping = getattr(value, "packed_modules_mapping", None)  # which its parent may take over
                tower.embedding_modules = tower.get_expert_mapping = None
                setattr(module, key, tower)
            elif key == "_get_alibi_slopes":
                setattr(module, key, on_cpu(value))


class Group:
    """Stands for a group of ranks."""
    def __init__(self, rank, size):
        self.rank_in_group = self.rank = self.local_rank = rank
        self.world_size, self.ranks, self.first_rank = size, list(range(size)), 0
        self.is_first_rank, self.is_last_rank = rank == 0, rank == size - 1
        self.device_group = self.cpu_group = self
        self.device_communicator = self.mq_broadcaster = None

    def size(self):
        return self.world_size


def set_groups(rank, size):
    from vllm.distributed import parallel_state
    one, whole = Group(0, 1), Group(rank, size)
    for name in ("_PP", "_DP", "_DCP", "_PCP", "_EPLB", "_INNER_DP_WORLD", "_ENGRAM_DP"):
        setattr(parallel_state, name, one)
    for name in ("_TP", "_WORLD", "_EP", "_ETP"):
        setattr(parallel_state, name, whole)


# ---- one config ----

class Model:
    """A config, as vLLM reads it, and adapters of it."""
    def __init__(self, keys, named, folder):
        from vllm.transformers_utils.config import get_config
        self.folder = folder
        self.keys = written(keys, named)
        self.read = lambda _: get_config(str(folder), trust_remote_code=False)  # which must stay: classes look for more files
        self.by_class = None
        (folder / "config.json").write_text(json.dumps(self.keys))

    def config(self, tp_size):
        """ModelConfig of the file, with what the copy leaves out."""
        import transformers
        import vllm.config.model
        from vllm.config import ModelConfig

        def get_config(*args, **kwargs):
            if self.by_class is False:  # known: the reader tries for seconds
                config = transformers.PretrainedConfig.from_dict(self.keys)
            else:
                config, self.by_class = read_config(self.keys, self.read)
            complete(config, tp_size)
            parts = getattr(config, "sub_configs", {})
            if "vision_config" in parts and config.vision_config is None:  # asked before the tower is made
                config.vision_config = parts["vision_config"]()
            return config
        vllm.config.model.get_config = get_config
        return ModelConfig(model=str(self.folder), skip_tokenizer_init=True, dtype="bfloat16", enforce_eager=True, max_model_len=64)

    def engine_config(self, tp_size, lora):
        """VllmConfig; raises Refused where its own checks, of the heads and of the class, say no."""
        from vllm.config import DeviceConfig, LoRAConfig, ParallelConfig, SchedulerConfig, VllmConfig
        model_config = self.config(tp_size)
        parallel = ParallelConfig(tensor_parallel_size=tp_size, distributed_executor_backend="mp")
        lora_config = LoRAConfig(max_lora_rank=1, max_loras=2) if lora else None
        try:  # VllmConfig does the same, and hides where it came from
            model_config.verify_with_parallel_config(parallel)
            if lora:
                lora_config.verify_with_model_config(model_config)
        except ValueError as error:
            raise Refused(said(error).replace(str(self.folder), "..")) from error
        return VllmConfig(
            model_config=model_config, parallel_config=parallel, device_config=DeviceConfig("cpu"), lora_config=lora_config,
            scheduler_config=SchedulerConfig.default_factory(max_num_seqs=1, max_num_batched_tokens=64, max_model_len=64))


class Refused(Exception):
    """The engine says that it does not serve the model at this tp_size, or does not take the adapter."""


def build(model, tp_size, lora=True):
    """The model on the meta device. Some classes look at layers that are not there: then all are."""
    try:
        return build_wanted(model, tp_size, lora)
    except (AttributeError, AssertionError, RuntimeError) as error:
        if few.wanted is None or in_attention(error):
            raise
    few.wanted = None
    return build_wanted(model, tp_size, lora)


def build_wanted(model, tp_size, lora):
    import torch
    from vllm.model_executor.model_loader.utils import initialize_model
    config = model.engine_config(tp_size, lora)
    stub_in_models()
    with torch.device("meta"), torch.no_grad():
        return initialize_model(config), config


def tensor_names(model, layer, index, modules):
    """Where in an adapter the modules of a layer are: the first way of writing them that the class's own mapper leads to the layer."""
    from vllm.lora.utils import parse_fine_tuned_lora_name
    mapper = getattr(model, "hf_to_vllm_mapper", None)
    mapper = mapper.get_rename_mapper() if mapper is not None else None
    parent = layer.rpartition(".")[0]
    heads, in_layer = parent.split(f".{index}.", 1) if f".{index}." in parent else (parent, "")
    path, names = modules
    for head, inside in itertools.product((*LAYERS, heads), (path, *IN_LAYER, in_layer)):
        prefix = f"base_model.model.{head}.{index}.{inside}".rstrip(".")
        try:
            found = [parse_fine_tuned_lora_name(f"{prefix}.{name}.lora_A.weight", mapper)[0] for name in names]
        except ValueError:
            continue
        if all(name.rpartition(".")[0] == parent for name in found):
            return prefix
    raise NotBuilt(f"no name of a tensor leads to {layer}")


def save_adapter(folder, tensors, names):
    from safetensors.torch import save_file
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"r": 1, "lora_alpha": 1, "target_modules": names, "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def about_qkv(error):
    """Whether a part of LoRA that failed worked on the layer for q, k and v."""
    from vllm.model_executor.layers.linear import QKVParallelLinear
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for name in ("self", "layer", "module", "source_layer"):
            one = frame.f_locals.get(name)
            if isinstance(getattr(one, "base_layer", one), QKVParallelLinear):
                return True
    return False


@contextlib.contextmanager
def copied_rows():
    """Rows that were copied into a tensor, by its id."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Copies(TorchFunctionMode):
        rows = {}

        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is torch.Tensor.copy_ and args[0]._base is not None:
                self.rows[id(args[0]._base)] = args[1].shape[0]
            return function(*args, **(kwargs or {}))
    with Copies() as copies:
        copies.rows = {}
        yield copies.rows


def load(model, config, folder):
    """The model wrapped, and the adapter in a slot: the wrappers by name, and what was copied. Raises Refused where the engine says no."""
    import torch
    from vllm.config import set_current_vllm_config
    from vllm.lora.request import LoRARequest
    from vllm.v1.worker.lora_model_runner_mixin import LoRAModelRunnerMixin
    runner = LoRAModelRunnerMixin()
    with torch.no_grad(), set_current_vllm_config(config), copied_rows() as rows:
        try:
            runner.load_lora_model(model, config, torch.device("meta"))
        except Exception as error:
            if traceback.extract_tb(error.__traceback__)[-1].name == "load_lora_model":
                raise Refused(said(error)) from error
            raise
        request = LoRARequest(lora_name="a", lora_int_id=1, lora_path=str(folder()))
        try:
            runner.lora_manager.add_adapter(request)
        except ValueError as error:
            if any(frame.name == "_load_adapter" for frame in traceback.extract_tb(error.__traceback__)):
                raise Refused(said(error)) from error
            raise
    return runner.lora_manager._adapter_manager.modules, rows


def one_rank(model, tp_size, rank, wanted, modules, reference):
    """{layer index: outcome} of one rank. `reference`: rows and widths at tp_size 1, None while they are looked for."""
    from vllm.model_executor.layers.linear import QKVParallelLinear
    set_groups(rank, tp_size)
    few.wanted = set(wanted)
    try:
        built, config = build(model, tp_size, lora=reference is not None)
        found = qkv_layers(built, wanted, QKVParallelLinear)
        if reference is None:
            reference = ({index: part_rows(layer) for index, (_, layer) in found.items()},
                         {index: layer.input_size for index, (_, layer) in found.items()})
            if not found:
                return {}, reference
            built, config = build(model, tp_size)
            found = qkv_layers(built, wanted, QKVParallelLinear)
    except Refused as error:
        return {index: ["refused", str(error)] for index in wanted}, reference
    except Unread:
        raise
    except Exception as error:
        if tp_size == 1 or not in_attention(error):
            raise NotBuilt(said(error)) from error
        return {index: ["refused", said(error)] for index in wanted}, reference

    def folder():
        """The adapter, on disk."""
        import torch
        place = model.folder / "adapter"
        if not place.exists():
            tensors = {}
            for index, (name, _) in found.items():
                prefix = tensor_names(built, name, index, modules)
                model.prefix = model.prefix or prefix
                for module, rows in zip(modules[1], b_rows(reference[0][index], modules[1])):
                    tensors[f"{prefix}.{module}.lora_A.weight"] = torch.ones(1, reference[1][index])
                    tensors[f"{prefix}.{module}.lora_B.weight"] = torch.ones(rows, 1)
            save_adapter(place, tensors, modules[1])
        return place
    try:
        wrappers, copied = load(built, config, folder)
    except Refused as error:
        return {index: ["refused", str(error)] for index in found}, reference
    except NotBuilt:
        raise
    except Exception as error:
        if not about_qkv(error):
            raise NotBuilt(said(error)) from error
        return {index: ["crash", said(error)] for index in found}, reference
    outcomes = {}
    for index, (name, _) in found.items():
        wrapper = wrappers.get(name)
        buffers = getattr(wrapper, "lora_b_stacked", ())
        rows = [copied.get(id(buffer), 0) for buffer in buffers]
        if not any(rows):
            outcomes[index] = ["not wrapped", name]
            continue
        model.wrapper = type(wrapper).__name__
        outcomes[index] = ["loaded", "", [buffer.shape[2] for buffer in buffers], rows]
    return outcomes, reference


def one_model(keys, entry, named):
    """What the dump says of one config."""
    from vllm.model_executor.models import ModelRegistry
    with tempfile.TemporaryDirectory() as folder:
        model = Model(keys, named, pathlib.Path(folder))
        model.prefix = model.wrapper = ""
        set_groups(0, 1)
        try:
            config = model.config(1)
        except Unread:
            raise
        except Exception as error:
            if not set(model.keys["architectures"]) & set(ModelRegistry.get_supported_archs()):
                raise Unread("the release has no class of that name") from error
            raise Unread(f"not built: {said(error)}".replace(folder, "..")) from error
        cls, resolved = config.registry.resolve_model_cls(config.architectures, config)
        if cls.__name__.startswith("Transformers"):
            raise Unread("no class of its own: the Transformers backend")

        def first_built():
            from vllm.model_executor.layers.linear import QKVParallelLinear
            few.wanted = None
            try:
                found = qkv_layers(build(model, 1)[0], range(1000), QKVParallelLinear)
            except Exception as error:
                raise Unread(f"not built: {said(error)}") from error
            if not found:
                raise Unread("the class has no QKVParallelLinear in these layers")
            return min(found)
        kinds = kinds_of(entry, first_built)
        modules = modules_of(next(iter(kinds.values()))["checkpoint"]["tensors"])
        walked = walk(kinds, lambda tp_size, rank, reference: one_rank(model, tp_size, rank, kinds, modules, reference))
    gc.collect()
    return {"architecture": resolved, "named": bool(keys.get("architectures")), "config": "class" if model.by_class else "keys",
            "wrapper": model.wrapper, "prefix": model.prefix, "modules": ",".join(modules[1]), **walked}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", required=True, help="of vllm")
    parser.add_argument("--source", help="unpacked wheel")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="configs whose name has one of these words")
    parser.add_argument("out")
    args = parser.parse_args()
    os.environ.update(VLLM_LOGGING_LEVEL="ERROR", HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1")
    unpack("vllm", args.release, args.source, lambda name: name.endswith((".py", "METADATA")))
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    stub_around_models()
    named = architectures()
    models, left_out = record(lambda keys, entry: one_model(keys, entry, named), args.only)
    head = {"contract": "vllm", "fused": "vllm_single_slice", "package": "vllm", "release": args.release}
    write(args.out, head, STUBBED, models, left_out)


if __name__ == "__main__":
    main()
