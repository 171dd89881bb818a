"""Which rows of q, k and v, and of an adapter's B and A, each device of tpu-inference (vLLM on TPUs) holds.

Needs, beside the tpu-inference wheel and vllm-tpu's source archive (fetched here): pip install torch numpy transformers pydantic
jax torchax flax qwix pathwaysutils torchvision compressed-tensors loguru and what dump_vllm.py needs.

Ran, on jax's CPU backend with as many host devices as the mesh has: a layer QKVParallelLinear is built, which the package replaces by
its VllmQKVParallelLinear, and is filled through its weight_loader; VllmUnquantizedLinearMethod puts its weight on the mesh;
load_lora_model and replace_set_lora put vLLM's LoRA wrapper around it, shard_model_to_tpu puts the buffers on the mesh, and
TPULRUCacheWorkerLoRAManager loads an adapter of q_proj, k_proj, v_proj from disk. Then every device's own shards are read.
Stubbed: the model around the layer, which has nothing but qkv_proj; the configs that hold numbers; tokamax (kernels of mixtures of
experts); entries of torchax's operator tables that the installed torch has no longer. Attention is not run: cases that only it
could refuse (KV not divisible by a smaller tp) are left out.
"""
import argparse
import importlib.abc
import importlib.machinery
import itertools
import logging
import os
import subprocess
import sys
import tarfile
import tempfile
import types
from pathlib import Path
from types import SimpleNamespace

from dump_vllm import HIDDEN, add, check_heads, save_adapter
from labels import part_rows, rows_of, runs, unpack, write

DEVICES = 16
BASE = 100


class Nothing(types.ModuleType):
    """A module of empty classes."""
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class NothingFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        stub = name.split(".")[0] == "tokamax"
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if stub else None

    def create_module(self, spec):
        return Nothing(spec.name)

    def exec_module(self, module):
        pass


def import_torchax():
    """torchax of this release lists operators that a newer torch dropped; while it is imported, such a name stands for itself."""
    from torch import _ops

    class Dropped:
        def __init__(self, name):
            self.name = name

        def __getattr__(self, overload):
            return self.name, overload

    originals = {cls: cls.__getattr__ for cls in (_ops.OpOverloadPacket, _ops._OpNamespace)}

    def lenient(self, name):
        try:
            return originals[type(self)](self, name)
        except AttributeError:
            if name.startswith("__"):
                raise
            return Dropped(name) if isinstance(self, _ops._OpNamespace) else (str(self), name)

    for cls in originals:
        cls.__getattr__ = lenient
    import torchax
    import torchax.decompositions  # noqa: F401
    torchax.default_env()
    for cls, original in originals.items():
        cls.__getattr__ = original


def unpack_vllm(release, source):
    """The folder of vllm-tpu's Python sources, put first on the import path."""
    if source is None:
        source = tempfile.mkdtemp()
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", source,
                        f"vllm-tpu=={release}"], check=True)
        with tarfile.open(next(Path(source).glob("*.tar.gz"))) as archive:
            archive.extractall(source, [member for member in archive if member.name.endswith(".py")])
        source = next(path for path in Path(source).iterdir() if path.is_dir())
    sys.path.insert(0, str(source))


def geometries():
    """(H, KV, D, Dv, gate, tp, r, R, targets), small ones first."""
    def settled(kv, tp):
        return kv % tp == 0 or tp >= kv
    for heads in [1, 2, 3, 4, 5, 6, 7, 8, 12, 16]:
        for kv in [n for n in range(1, heads + 1) if heads % n == 0]:
            for tp in [n for n in range(1, 9) if settled(kv, n)]:
                yield heads, kv, 4, 4, 1, tp, 2 if heads % 2 else 8, 8, "qkv"
    for kv in [1, 2, 4, 8, 16]:
        yield 16, kv, 4, 4, 1, 16, 2, 16, "qkv"
    for (heads, kv), tp in itertools.product([(8, 1), (8, 2), (8, 4), (4, 4)], [1, 2, 4, 8]):
        if settled(kv, tp):
            yield heads, kv, 2, 2, 1, tp, 4, 16, "qkv"
            yield heads, kv, 4, 4, 2, tp, 2, 8, "qkv"
            yield heads, kv, 4, 6, 1, tp, 2, 8, "qkv"
            yield heads, kv, 6, 4, 1, tp, 2, 8, "qkv"
    for tp in [1, 2, 4]:
        yield 8, 2, 4, 4, 1, tp, 16, 8, "qkv"
        for targets in ["q", "k", "v", "qv", "kv"]:
            yield 8, 2, 4, 4, 1, tp, 2, 8, targets
    real = [(16, 2, 256, 256, 2), (64, 8, 128, 128, 1), (28, 4, 128, 128, 1), (8, 1, 256, 256, 1), (14, 2, 64, 64, 1)]
    for shape, tp in itertools.product(real, [2, 4, 8]):
        yield *shape, tp, 8, 16, "qkv"


def mesh_of(tp):
    """As the package's tests make it: axes `data` and `model`."""
    import jax
    from tpu_inference.layers.common.sharding import MESH_AXIS_NAMES_2D
    return jax.make_mesh((1, tp), MESH_AXIS_NAMES_2D, (jax.sharding.AxisType.Auto,) * 2, devices=jax.devices()[:tp])


def shards(tensor, mesh):
    """Each device's own part, in the order of the mesh."""
    import numpy
    from torchax.interop import jax_view
    parts = {shard.device: numpy.asarray(shard.data) for shard in jax_view(tensor).addressable_shards}
    return [parts[device] for device in mesh.devices.flatten()]


def digits(weight):
    """Labels as digits, one a column: the package cannot put float32 weights on the mesh, and bfloat16 holds no more."""
    import torch
    return torch.stack([weight[:, 0] // BASE ** min(i, 6) % BASE for i in range(HIDDEN)], dim=1).to(torch.bfloat16)


def from_digits(weight):
    import numpy
    return (weight.astype(numpy.int64) * BASE ** numpy.arange(HIDDEN).clip(max=6)).sum(axis=1, keepdims=True)


def config_of(case):
    import torch
    from vllm.config.lora import LoRAConfig
    text_config = SimpleNamespace(max_position_embeddings=64)
    return SimpleNamespace(
        additional_config={}, scheduler_config=SimpleNamespace(max_num_seqs=1, max_num_batched_tokens=8),
        model_config=SimpleNamespace(model="", get_vocab_size=lambda: HIDDEN, is_encoder_decoder=False,
                                     hf_config=SimpleNamespace(get_text_config=lambda: text_config)),
        parallel_config=SimpleNamespace(tensor_parallel_size=case["tp"], enable_expert_parallel=False),
        lora_config=LoRAConfig(max_lora_rank=case["R"], lora_dtype=torch.float32))


def build(case, quant_config):
    import torch
    from vllm.model_executor.layers.linear import QKVParallelLinear
    from vllm.model_executor.models.interfaces import SupportsLoRA

    class Model(torch.nn.Module, SupportsLoRA):
        packed_modules_mapping = {"qkv_proj": ["q_proj", "k_proj", "v_proj"]}
        embedding_modules = {}
        config = None

        def __init__(self):
            super().__init__()
            self.attn = torch.nn.Module()
            self.attn.qkv_proj = QKVParallelLinear(HIDDEN, case["D"], case["H"] * case["gate"], case["KV"], bias=False,
                                                   params_dtype=torch.bfloat16, v_head_size=case["Dv"], prefix="attn.qkv_proj",
                                                   quant_config=quant_config)

    model = Model()
    layer = model.attn.qkv_proj
    assert type(layer).__name__ == "VllmQKVParallelLinear"
    for part, rows in part_rows(case).items():
        layer.weight.weight_loader(layer.weight, digits(rows_of(part, rows, 1)), part)
    layer.quant_method.process_weights_after_loading(layer)
    return model


def load(case, folder):
    """The state of every device."""
    import torchax
    from tpu_inference.layers.vllm.process_weights.cleanup_sharding import shard_model_to_tpu
    from tpu_inference.layers.vllm.quantization.unquantized import VllmUnquantizedConfig
    from tpu_inference.models.vllm.vllm_model_wrapper import load_lora_model, replace_set_lora
    from vllm.config import VllmConfig, set_current_vllm_config
    check_heads(case)
    mesh, config = mesh_of(case["tp"]), config_of(case)
    quant_config = VllmUnquantizedConfig()
    quant_config.set_configs(config, mesh)
    run_case.config.quant_config = quant_config
    with set_current_vllm_config(run_case.config):
        model = build(case, quant_config)
        with torchax.default_env():
            manager, model = load_lora_model(model, config, device="jax")
        replace_set_lora(model)
        shard_model_to_tpu(model, mesh)
        add(manager, 1, folder)
    wrapper = model.attn.qkv_proj
    assert type(wrapper).__name__ == "MergedQKVParallelLinearWithLoRA"
    weight = wrapper.base_layer.weight
    columns = [part.T for part in shards(weight, mesh)]
    b = [shards(buffer, mesh) for buffer in wrapper.lora_b_stacked]
    a = [shards(buffer, mesh) for buffer in wrapper.lora_a_stacked]
    assert not any(part[0, 0, :, case["r"]:].any() for buffer in b for part in buffer), "columns past lora_rank hold something"
    return [{"columns": runs(from_digits(columns[t])),
             "b": [{"rows": buffer[t].shape[2], "holds": runs(buffer[t][0, 0, :, :case["r"]])} for buffer in b],
             "a": [{"rows": buffer[t].shape[2], "holds": runs(buffer[t][0, 0])} for buffer in a]} for t in range(case["tp"])]


def run_case(geometry):
    from vllm.distributed import parallel_state
    case = dict(zip(["H", "KV", "D", "Dv", "gate", "tp", "r", "R", "targets"], geometry))
    case = {key: case[key] for key in ["H", "KV", "D", "Dv", "gate"]} | {"hidden": HIDDEN} | \
           {key: case[key] for key in ["tp", "r", "R", "targets"]}
    parallel_state._TP = SimpleNamespace(rank_in_group=0, world_size=1)  # what the package's worker sets up, too
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(Path(folder) / "1", case, case["r"], case["targets"])
        try:
            return {**case, "ends": "loaded", "ranks": load(case, Path(folder) / "1")}
        except (ValueError, AssertionError, RuntimeError, IndexError) as error:  # what the engine says is what is wanted
            refused = isinstance(error, (ValueError, AssertionError)) and "broadcasting" not in str(error)  # jax's shapes: a crash
            text = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            return {**case, "ends": "refused" if refused else "crash", "error": text}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", required=True, help="of tpu-inference")
    parser.add_argument("--source", help="unpacked wheel")
    parser.add_argument("--vllm", required=True, help="release of vllm-tpu")
    parser.add_argument("--vllm-source", help="its unpacked source archive")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    os.environ.update(XLA_FLAGS=f"--xla_force_host_platform_device_count={DEVICES}", JAX_PLATFORMS="cpu", HF_HUB_OFFLINE="1",
                      VLLM_LOGGING_LEVEL="ERROR", VLLM_NO_USAGE_STATS="1")
    unpack_vllm(args.vllm, args.vllm_source)
    unpack("tpu-inference", args.release, args.source)
    logging.disable(logging.ERROR)
    sys.meta_path.insert(0, NothingFinder())
    import_torchax()
    import vllm.platforms
    from vllm.platforms.cpu import CpuPlatform
    vllm.platforms._current_platform = CpuPlatform()  # an empty config: the TPU's wants a model
    from vllm.config import VllmConfig
    run_case.config = VllmConfig()
    from tpu_inference.platforms.tpu_platform import TpuPlatform
    vllm.platforms._current_platform = TpuPlatform()
    import tpu_inference.layers.vllm.custom_ops.linear  # noqa: F401  registers its layers

    cases = [run_case(geometry) for geometry in geometries()]
    ran = ["tpu_inference/layers/vllm/custom_ops/linear.py VllmQKVParallelLinear",
           "tpu_inference/layers/vllm/quantization/unquantized.py VllmUnquantizedLinearMethod.process_weights_after_loading",
           "tpu_inference/layers/vllm/process_weights/cleanup_sharding.py shard_model_to_tpu",
           "tpu_inference/models/vllm/vllm_model_wrapper.py load_lora_model, replace_set_lora",
           "tpu_inference/lora/lora_manager.py TPULRUCacheWorkerLoRAManager",
           f"vllm-tpu {args.vllm} vllm/lora/layers/column_parallel_linear.py MergedQKVParallelLinearWithLoRA",
           f"vllm-tpu {args.vllm} vllm/config/model.py ModelConfig.verify_with_parallel_config"]
    stubbed = ["the devices: jax's CPU backend", "the model around the layer", "the configs other than LoRAConfig", "tokamax",
               "operators in torchax's tables that the installed torch dropped"]
    write(args.out, "tpu_inference", "tpu-inference", args.release, ran, stubbed, cases)


if __name__ == "__main__":
    main()
