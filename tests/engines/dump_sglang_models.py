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
import json
import logging
import os
import pathlib
import sys
import tempfile
import time
import traceback
import warnings
from types import SimpleNamespace

import dump_sglang
from labels import unpack
from model_classes import AUTO, REMOTE, ROOT

TP_SIZES = range(1, 33)
STUBBED = [
    "the tensor-parallel group: rank and size are given",
    "weights: everything is built on the meta device; of the layers, the first of each kind where the class makes them by make_layers",
    "rotary embeddings",
    "vision and audio towers and their projectors",
    "sizes of the vocabulary, of MLPs and of experts: multiples of tp_size, so that only attention says which tp_size fits",
    "keys that the published config has and the copy in configs/models leaves out, none of them about heads: see FILL",
    "configs of classes that are remote code: transformers' PretrainedConfig with the keys of the file",
    "pinned memory, CUDA streams and compiled kernels, of which nothing runs",
]
# Not about heads. A class that reads one of them, and a copy that leaves it out, get this.
FILL = {
    "vocab_size": 256, "pad_token_id": None, "intermediate_size": 512, "rms_norm_eps": 1e-6, "layer_norm_epsilon": 1e-6,
    "layer_norm_eps": 1e-6, "hidden_act": "silu", "max_position_embeddings": 2048, "tie_word_embeddings": False, "rope_theta": 1e4,
    "rope_scaling": None, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}, "attention_bias": False, "seq_length": 2048,
    "moe_layer_freq": 1, "scoring_func": "sigmoid", "topk_method": "noaux_tc", "encoder_only": False, "language_only": False, "language_model_only": False,
    "full_attention_interval": 4, "use_qk_norm": False, "bos_token_id": 0, "eos_token_id": 0, "norm_topk_prob": True,
    "residual_multiplier": 1.0, "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0, "first_k_dense_replace": 0,
    "partial_rotary_factor": 1.0, "rope_local_base_freq": 1e4, "image_token_id": 0, "vision_start_token_id": 0, "n_shared_experts": 1,
    "initializer_range": 0.02, "attention_dropout": 0.0, "sliding_window": None, "qk_layernorm": False, "use_sliding_window": False,
    "mlp_bias": False, "no_bias": True, "model_max_length": 2048, "scale_emb": 1, "scale_depth": 1.0, "dim_model_base": 256,
    "decoder_sparse_step": 1, "mlp_only_layers": [], "num_experts_per_tok": 2, "moe_intermediate_size": 512, "use_dual_chunk": False,
    "shared_expert_intermediate_size": 512, "linear_conv_kernel_dim": 4, "bias": False, "embedding_multiplier": 1.0,
    "logits_scaling": 1.0, "embedding_dropout": 0.0, "layernorm_epsilon": 1e-6, "output_dropout": 0.0, "use_qkv_bias": False, "use_bias": False, "spatial_merge_size": 2,
    "sliding_window_size": 128, "swa_rope_theta": 1e4, "attention_multiplier": 1.0, "seq_len": 2048, "rotary_dim": 32, "rotary_pct": 1.0,
}
SCALED = ("vocab_size", "intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size", "ffn_hidden_size", "n_inner",
          "moe_shared_expert_intermediate_size", "intermediate_size_mlp", "ffn_dim", "dense_intermediate_size", "vocab_size_per_layer_input",
          "shared_intermediate_size", "padded_vocab_size", "n_groups", "mamba_num_heads", "moe_ffn_hidden_size", "moe_latent_size")
# Configs of classes that configs/models has no model of: shapes of a published one.
MORE = {"tests/engines/configs/dbrx.json": {"expect": [{"kind": "all", "layers": "0-39", "checkpoint": {"tensors": "attn.Wqkv"}}]}}
# Classes that published configs name where transformers' maps have none.
PUBLISHED = {"bailing_moe_v2": ["BailingMoeV2ForCausalLM"], "qwen3_omni_moe": ["Qwen3OmniMoeForConditionalGeneration"]}
TOWERS = ("Vision", "Visual", "Audio", "Projector", "PatchMerger", "Siglip", "Clip", "CLIP", "Pixtral", "Whisper", "ConformerEncoder",
          "MoonViT", "Gemma3nMultimodalEmbedder", "Gemma4Multimodal")


# ---- what is stubbed ----

def tower_class(name):
    import torch

    class Tower(torch.nn.Module):
        """In the place of a tower: takes anything, answers an empty list."""
        def __init__(self, *args, **kwargs):
            super().__init__()

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                if name.startswith("__"):
                    raise
                return []
    Tower.__name__ = Tower.__qualname__ = name
    return Tower


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
            elif (isinstance(value, type) and issubclass(value, torch.nn.Module) and any(word in key for word in TOWERS)
                  and not key.endswith(("ForConditionalGeneration", "ForCausalLM", "Attention", "DecoderLayer"))):
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

def architectures():
    """The class that transformers, or else another config of this repository, has for a model_type, for files that name none."""
    from transformers.models.auto import modeling_auto
    named = {model_type: list(names) for model_type, names in REMOTE.items()} | PUBLISHED
    for path in sorted((ROOT / "configs/models").glob("*/*.json")):
        keys = json.loads(path.read_text())
        if keys.get("architectures"):
            named.setdefault(keys.get("model_type"), keys["architectures"])
    for name in AUTO:
        named |= {key: [value] if isinstance(value, str) else list(value)[:1] for key, value in getattr(modeling_auto, name).items()}
    return named


class Unread(Exception):
    """A config that is not compared, and why."""


def read_config(keys, named):
    """The config as the release reads the file, and whether a class did that."""
    import transformers
    from sglang.srt.utils.hf_transformers.config import get_config
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    model_type = keys.get("model_type")
    classes = keys.get("architectures") or named.get(model_type)
    if not classes:
        raise Unread("the file names no class, and transformers has none for its model_type")
    written = {**keys, "architectures": classes}
    parts = getattr(CONFIG_MAPPING[model_type], "sub_configs", {}) if model_type in CONFIG_MAPPING else {}
    wrapper = "text_config" in parts or "thinker_config" in parts
    if wrapper and not any(isinstance(keys.get(key), dict) for key in ("text_config", "llm_config")):
        # A copy reduced to the decoder's keys under the wrapper's model_type.
        inner = {key: value for key, value in keys.items() if key not in ("model_type", "architectures")}
        inner = {"text_config": inner}
        if "thinker_config" in parts:
            inner = {"thinker_config": inner}
        written = {"model_type": model_type, "architectures": classes, **inner}
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(written))
        try:
            return get_config(folder, trust_remote_code=False), True
        except Exception as error:
            if model_type in CONFIG_MAPPING:
                raise Unread(f"config: {said(error)}") from error
    return transformers.PretrainedConfig.from_dict(written), False


def configs_in(config):
    """The config and, where it is another one, the decoder's."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    return [config] if text is config or isinstance(text, dict) else [config, text]


# FILL for some classes only.
FILL_OF = {
    "nemotron_h": {"n_groups": 32, "mamba_num_heads": 128, "mamba_head_dim": 64, "ssm_state_size": 128, "conv_kernel": 4, "chunk_size": 128,
                   "mamba_hidden_act": "silu", "use_conv_bias": True, "use_mamba_bias": False, "mlp_hidden_act": "relu2",
                   "layer_norm_epsilon": 1e-5, "rms_norm": True, "n_routed_experts": 8, "moe_shared_expert_intermediate_size": 512},
    "bailing_moe_v2": {"num_experts": 64, "num_shared_experts": 1, "use_qk_norm": True, "score_function": "sigmoid", "rotary_dim": 64,
                       "moe_router_enable_expert_bias": True, "moe_shared_expert_intermediate_size": 512},
}


def of_class(config):
    """What a copy leaves out and no one value fills for all classes."""
    model_type = getattr(config, "model_type", "")
    for key, value in FILL_OF.get(model_type, {}).items():
        if not has(config, key):
            setattr(config, key, value)
    if "gemma2" in model_type:
        config.hidden_act = "gelu_pytorch_tanh"
    if model_type == "exaone4" and isinstance(getattr(config, "sliding_window_pattern", None), int):
        config.sliding_window_pattern = "LLLG"
    if model_type == "mimo_v2_flash":
        config.moe_layer_freq = [0] + [1] * (config.num_hidden_layers - 1)
    if model_type == "deepseek":
        config.n_routed_experts = 64
    if model_type == "nemotron-nas":  # its remote class makes objects of the blocks
        config.block_configs = [SimpleNamespace(attention=SimpleNamespace(**block["attention"]),
                                                ffn=SimpleNamespace(no_op=False, ffn_mult=1.0)) for block in config.block_configs]
    if isinstance(getattr(config, "vision_config", None), dict):
        config.vision_config = SimpleNamespace(**{"torch_dtype": None, "image_size": 224, "patch_size": 14} | config.vision_config)


def has(config, key):
    try:
        getattr(config, key)
        return True
    except (AttributeError, RuntimeError):
        return False


def derive_shapes(config):
    """What ModelConfig then writes into the config: head_dim and v_head_dim where there are none."""
    from sglang.srt.configs import model_config
    shapes = model_config.ModelConfig.__new__(model_config.ModelConfig)
    shapes.hf_config, shapes.hf_text_config = config, model_config.get_hf_text_config(config)
    shapes._derive_model_shapes()


def complete(config, tp_size):
    for one in configs_in(config):
        of_class(one)
        for key, value in FILL.items():
            if not has(one, key) or key == "rope_parameters" and not getattr(one, key):
                setattr(one, key, value)
        for key in SCALED:
            old = getattr(one, key, None)
            if isinstance(old, list):
                setattr(one, key, [256 * tp_size] * len(old))
            elif old:
                setattr(one, key, 256 * tp_size)
    derive_shapes(config)


# ---- one model at one tp_size ----

def said(error):
    where = traceback.extract_tb(error.__traceback__)[-1]
    return " ".join(f"{type(error).__name__}: {str(error) or where.line}".split())[:160]


def in_attention(error):
    """Whether the constructor that failed is that of an attention or of what it makes."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name = type(frame.f_locals.get("self")).__name__
        if name == "QKVParallelLinear" or "Attention" in name or "Attn" in name:
            return True
    return False


def qkv_layers(model, wanted):
    """The QKVParallelLinear of each wanted layer of the decoder, by index."""
    from sglang.srt.layers.linear import QKVParallelLinear
    from sglang.srt.layers.utils.common import get_layer_id
    found = {}
    for name, module in model.named_modules():
        module = getattr(module, "base_layer", module)
        if isinstance(module, QKVParallelLinear):
            index = get_layer_id(name)
            if index is None:  # transformer.h.0.attn.c_attn
                index = next((int(word) for word in name.split(".") if word.isdigit()), None)
            if index in wanted:
                found.setdefault(index, (name.removesuffix(".base_layer"), module))
    return found


def part_rows(layer):
    return [layer.total_num_heads * layer.head_size, layer.total_num_kv_heads * layer.head_size, layer.total_num_kv_heads * layer.v_head_size]


def modules_of(tensors):
    """What the published checkpoint calls the modules: where they stand in a layer, and their names."""
    path, _, names = tensors.split(" ")[0].rpartition(".")
    return path or "self_attn", names.split(",")


def adapter(layers, rows, hidden, modules):
    """An adapter of lora_rank 1 for the layers given."""
    import torch
    path, names = modules
    tensors = {}
    for index in layers:
        parts = rows[index]
        if len(names) == 1:
            parts = [sum(parts)]
        elif len(names) == 2:
            parts = [parts[0], parts[1] + parts[2]]
        for name, count in zip(names, parts):
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


class NotBuilt(Exception):
    pass


def build(make, tp_size):
    cls, config = make(tp_size)
    return cls(config=config, quant_config=None), config


def one_rank(make, tp_size, rank, wanted, modules, reference):
    """{layer index: outcome} of one rank. `reference`: rows and widths at tp_size 1, None while they are looked for."""
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
            return {index: ["refused", said(error)] for index in wanted}, None
        found = qkv_layers(model, wanted)
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


def first_layer(text):
    return int("".join(c if c.isdigit() else " " for c in text).split()[0])


def first_built(make):
    few.wanted = None
    with deployment(0, 1):
        try:
            found = qkv_layers(build(make, 1)[0], range(1000))
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
    config, by_class = read_config(keys, named)
    cls, resolved = ModelRegistry.resolve_model_cls(config.architectures)
    if resolved.startswith("Transformers"):
        raise Unread("no class of its own: the Transformers backend")
    listed = [kind for kind in entry.get("expect", []) if kind.get("checkpoint")]
    if not listed:
        raise Unread("no layer with a qkv projection")

    def make(tp_size):
        made, _ = read_config(keys, named)
        complete(made, tp_size)
        return cls, made

    if listed[0]["layers"] is None:  # the copy does not say which: the first that has one
        kinds = {first_built(make): listed[0]}
    else:
        kinds = {first_layer(kind["layers"]): kind for kind in listed}
    few.wanted = set(kinds)
    modules = modules_of(next(iter(kinds.values()))["checkpoint"]["tensors"])
    reference, layers = None, {}
    elsewhere = {}
    for tp_size in TP_SIZES:
        for rank in sorted({0, tp_size - 1}):
            try:
                outcomes, reference = one_rank_or(make, tp_size, rank, kinds, modules, reference)
            except NotBuilt as error:
                if tp_size == 1:
                    raise Unread(f"not built: {error}") from error
                elsewhere[tp_size] = str(error)
                break
            if tp_size == 1 and not outcomes:
                raise Unread("the class has no QKVParallelLinear in these layers")
            for index, outcome in outcomes.items():
                per_tp = layers.setdefault(index, {})
                if tp_size in per_tp and per_tp[tp_size][0] == outcome[0] and len(outcome) == 4:
                    if per_tp[tp_size][3] != outcome[3]:
                        per_tp[tp_size].append(outcome[3])
                elif tp_size not in per_tp or per_tp[tp_size][0] == "loaded":
                    per_tp[tp_size] = outcome
            if any(outcome[0] == "refused" for outcome in outcomes.values()):
                break
    gc.collect()
    return {"architecture": resolved, "named": bool(keys.get("architectures")), "config": "class" if by_class else "keys",
            "hook": hook_of(cls), "modules": ",".join(modules[1]), "elsewhere": elsewhere,
            "layers": {index: {"kind": kinds[index]["kind"], "rows": reference[0].get(index), "tp": per_tp}
                       for index, per_tp in layers.items()}}


def one_rank_or(make, tp_size, rank, kinds, modules, reference):
    outcomes, found = one_rank(make, tp_size, rank, set(kinds), modules, reference)
    return outcomes, reference if found is None else found


# ---- the file ----

def compact(models):
    """Texts of errors once each; of a layer, [tp_size, ends, error or -1, buffer rows, slice rows ..]."""
    errors = {}
    for model in models.values():
        model["elsewhere"] = [[tp, errors.setdefault(text, len(errors))] for tp, text in model["elsewhere"].items()]
        for layer in model["layers"].values():
            layer["tp"] = [[tp, ends, errors.setdefault(text, len(errors)) if text else -1, *rest]
                           for tp, (ends, text, *rest) in layer["tp"].items()]
        model["layers"] = [{"layer": index, **layer} for index, layer in model["layers"].items()]
    return models, list(errors)


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
    import transformers
    from torch.utils import _device
    _device._device_constructors()  # keeps the functions that the meta device answers for, before they are replaced
    dump_sglang.without_pinned_memory()
    stub_around_attention()
    import sglang.srt.models.registry  # noqa: F401
    stub_towers()
    named = architectures()
    index = json.loads((ROOT / "configs/models/index.json").read_text())["models"] | MORE
    models, left_out = {}, {}
    for name, entry in sorted(index.items()):
        if args.only and not any(word in name for word in args.only):
            continue
        keys = json.loads((ROOT / (name if name in MORE else f"configs/models/{name}.json")).read_text())
        began = time.time()
        try:
            models[name] = one_model(keys, entry, named)
        except Unread as error:
            left_out[name] = str(error)
        print(f"{name}: {left_out.get(name, 'recorded')} {time.time() - began:.1f} s", flush=True)
    models, errors = compact(models)
    dump = {"format": "tplora-engine-models/1", "contract": "sglang", "package": "sglang", "release": args.release,
            "transformers": transformers.__version__, "stubbed": STUBBED, "left_out": left_out, "errors": errors}
    lines = [f"{json.dumps(name)}: {json.dumps(model, separators=(',', ':'))}" for name, model in models.items()]
    pathlib.Path(args.out).write_text(json.dumps(dump, indent=1)[:-2] + ',\n "models": {\n' + ",\n".join(lines) + "\n}}\n")
    print(f"{len(models)} recorded, {len(left_out)} left out")


if __name__ == "__main__":
    main()
