"""What the scripts that run engines' whole model classes share: the configs as an engine's reader gets them, what stands in the place of towers
and of layers that are not wanted, the walk over tp_size and ranks, and the file (README.md has the format)."""
import collections
import json
import pathlib
import re
import time
import traceback
from types import SimpleNamespace

from model_classes import AUTO, PUBLISHED, ROOT

TP_SIZES = range(1, 33)
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
# FILL for some classes only.
FILL_OF = {
    "chatglm": {"original_rope": True},
    "molmo": {"embedding_size": 256, "norm_after": False, "attention_layer_norm": False, "layer_norm_type": "rms", "weight_tying": False},
    "phi3_v": {"img_processor": {"image_dim_out": 1024, "num_img_tokens": 144}, "embd_layer": {"use_hd_transform": True, "with_learnable_separator": True}},
    "exaone": {"activation_function": "silu"},
    "nemotron_h": {"n_groups": 32, "mamba_num_heads": 128, "mamba_head_dim": 64, "ssm_state_size": 128, "conv_kernel": 4, "chunk_size": 128,
                   "mamba_hidden_act": "silu", "use_conv_bias": True, "use_mamba_bias": False, "mlp_hidden_act": "relu2",
                   "layer_norm_epsilon": 1e-5, "rms_norm": True, "n_routed_experts": 8, "moe_shared_expert_intermediate_size": 512},
    "bailing_moe_v2": {"num_experts": 64, "num_shared_experts": 1, "use_qk_norm": True, "score_function": "sigmoid", "rotary_dim": 64,
                       "moe_router_enable_expert_bias": True, "moe_shared_expert_intermediate_size": 512},
}
SCALED = ("vocab_size", "intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size", "ffn_hidden_size", "n_inner",
          "moe_shared_expert_intermediate_size", "intermediate_size_mlp", "ffn_dim", "dense_intermediate_size", "vocab_size_per_layer_input",
          "shared_intermediate_size", "padded_vocab_size", "n_groups", "mamba_num_heads", "moe_ffn_hidden_size", "moe_latent_size",
          "embedding_size")
# Configs of classes that configs/models has no model of: shapes of a published one.
MORE = {"tests/engines/configs/dbrx.json": {"expect": [{"kind": "all", "layers": "0-39", "checkpoint": {"tensors": "attn.Wqkv"}}]}}
TOWERS = ("Vision", "Visual", "Audio", "Projector", "PatchMerger", "Siglip", "Clip", "CLIP", "Pixtral", "Whisper", "ConformerEncoder",
          "MoonViT", "Gemma3nMultimodalEmbedder", "Gemma4Multimodal")
APART = ("vision", "visual", "audio")  # in names of modules that are no part of the decoder
NOT_TOWERS = ("ForConditionalGeneration", "ForCausalLM", "Attention", "DecoderLayer")


class Unread(Exception):
    """A config that is not compared, and why."""


class NotBuilt(Exception):
    """A part of the model that is not about qkv refuses this tp_size."""


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


def is_tower(key, value):
    """Whether a name of a module of models is that of a tower's class."""
    import torch
    return (isinstance(value, type) and issubclass(value, torch.nn.Module) and any(word in key for word in TOWERS)
            and not key.endswith(NOT_TOWERS))


# ---- the config and the class ----

def architectures():
    """The class that transformers, or else another config of this repository, has for a model_type, for files that name none."""
    from transformers.models.auto import modeling_auto
    named = {model_type: list(names) for model_type, names in PUBLISHED.items()}
    for path in sorted((ROOT / "configs/models").glob("*/*.json")):
        keys = json.loads(path.read_text())
        if keys.get("architectures"):
            named.setdefault(keys.get("model_type"), keys["architectures"])
    for name in AUTO:
        named |= {key: [value] if isinstance(value, str) else list(value)[:1] for key, value in getattr(modeling_auto, name).items()}
    return named


def written(keys, named):
    """What config.json says: the keys of the file, with the class; below a wrapper's key where the copy is reduced to the decoder's keys, or of
    the decoder's own type where it names the decoder's class."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    model_type = keys.get("model_type")
    classes = keys.get("architectures") or named.get(model_type)
    if not classes:
        raise Unread("the file names no class, and transformers has none for its model_type")
    parts = getattr(CONFIG_MAPPING[model_type], "sub_configs", {}) if model_type in CONFIG_MAPPING else {}
    wrapper = "text_config" in parts or "thinker_config" in parts
    if not wrapper or any(isinstance(keys.get(key), dict) for key in ("text_config", "llm_config")):
        return {**keys, "architectures": classes}
    decoder = getattr(parts.get("text_config"), "model_type", None)
    if MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(decoder) == classes[0]:
        return {**keys, "model_type": decoder, "architectures": classes}
    inner = {key: value for key, value in keys.items() if key not in ("model_type", "architectures")}
    inner = {"text_config": inner}
    if "thinker_config" in parts:
        inner = {"thinker_config": inner}
    return {"model_type": model_type, "architectures": classes, **inner}


def read_config(keys, read):
    """The config as `read` reads a folder with the file that `written` made, and whether a class did that."""
    import tempfile

    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(keys))
        try:
            return read(folder), True
        except Exception as error:
            if keys.get("model_type") in CONFIG_MAPPING:
                raise Unread(f"config: {said(error)}") from error
    return transformers.PretrainedConfig.from_dict(keys), False


def configs_in(config):
    """The config and, where it is another one, the decoder's."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    return [config] if text is config or isinstance(text, dict) else [config, text]


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
    if model_type == "bailing_moe_v2" and not has(config, "head_dim"):  # as its remote class does
        config.head_dim = config.hidden_size // config.num_attention_heads
    if model_type == "exaone" and not has(config, "num_hidden_layers"):  # its remote class has both names
        config.num_hidden_layers = config.num_layers
    if model_type == "nemotron-nas":  # its remote class makes objects of the blocks
        config.block_configs = [SimpleNamespace(attention=SimpleNamespace(**block["attention"]),
                                                ffn=SimpleNamespace(no_op=False, ffn_mult=1.0)) for block in config.block_configs]


def has(config, key):
    try:
        getattr(config, key)
        return True
    except (AttributeError, RuntimeError):
        return False


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
            elif old and not isinstance(getattr(type(one), key, None), property):
                setattr(one, key, 256 * tp_size)


# ---- one model ----

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


def layer_index(name):
    """Of a module's name: model.layers.3.self_attn.qkv_proj, transformer.h.3.attn.c_attn."""
    found = re.search(r"layers\.(\d+)\.", name) or re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else None


def qkv_layers(model, wanted, of_type):
    """The layer for q, k and v of each wanted layer of the decoder, by index."""
    found = {}
    for name, module in sorted(model.named_modules(), key=lambda item: (any(word in item[0] for word in APART), "decoder" not in item[0])):
        module = getattr(module, "base_layer", module)
        if isinstance(module, of_type):
            index = layer_index(name)
            if index in wanted:
                found.setdefault(index, (name.removesuffix(".base_layer"), module))
    return found


def part_rows(layer):
    return [layer.total_num_heads * layer.head_size, layer.total_num_kv_heads * layer.head_size, layer.total_num_kv_heads * layer.v_head_size]


def modules_of(tensors):
    """What the published checkpoint calls the modules: where they stand in a layer, and their names."""
    path, _, names = tensors.split(" ")[0].rpartition(".")
    return path or "self_attn", names.split(",")


def b_rows(parts, names):
    """The rows of B of each module, of which one holds all of q, k and v, or one q and one k and v."""
    if len(names) == 1:
        return [sum(parts)]
    return [parts[0], parts[1] + parts[2]] if len(names) == 2 else parts


def first_layer(text):
    return int("".join(c if c.isdigit() else " " for c in text).split()[0])


def kinds_of(entry, first_built):
    """The kinds of layers with a qkv projection, by the index of a layer of that kind."""
    listed = [kind for kind in entry.get("expect", []) if kind.get("checkpoint")]
    if not listed:
        raise Unread("no layer with a qkv projection")
    if listed[0]["layers"] is None:  # the copy does not say which: the first that has one
        return {first_built(): listed[0]}
    return {first_layer(kind["layers"]): kind for kind in listed}


def walk(kinds, one_rank):
    """What the dump says of the layers, and the tp_size that another part refuses. one_rank(tp_size, rank, reference) answers the outcome of
    each layer and the rows and widths at tp_size 1; an outcome is [how it ends, error, rows of the buffers, rows of the slices]."""
    reference, layers, elsewhere = None, {}, {}
    for tp_size in TP_SIZES:
        for rank in sorted({0, tp_size - 1}):
            try:
                outcomes, found = one_rank(tp_size, rank, reference)
            except NotBuilt as error:
                if tp_size == 1:
                    raise Unread(f"not built: {error}") from error
                elsewhere[tp_size] = str(error)
                break
            reference = reference or found
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
    return {"elsewhere": elsewhere,
            "layers": {index: {"kind": kinds[index]["kind"], "rows": reference[0].get(index), "tp": per_tp}
                       for index, per_tp in layers.items()}}


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


def record(one_model, only=()):
    """one_model(keys, entry of the index) for every config: what was recorded, and what was left out and why."""
    index = json.loads((ROOT / "configs/models/index.json").read_text())["models"] | MORE
    models, left_out = {}, {}
    for name, entry in sorted(index.items()):
        if only and not any(word in name for word in only):
            continue
        keys = json.loads((ROOT / (name if name in MORE else f"configs/models/{name}.json")).read_text())
        began = time.time()
        try:
            models[name] = one_model(keys, entry)
        except Unread as error:
            left_out[name] = str(error)
        print(f"{name}: {left_out.get(name, 'recorded')} {time.time() - began:.1f} s", flush=True)
    return models, left_out


def write(out, head, stubbed, models, left_out):
    import transformers
    models, errors = compact(models)
    dump = {"format": "tplora-engine-models/1", **head, "transformers": transformers.__version__, "stubbed": stubbed, "left_out": left_out,
            "errors": errors}
    lines = [f"{json.dumps(name)}: {json.dumps(model, separators=(',', ':'))}" for name, model in models.items()]
    pathlib.Path(out).write_text(json.dumps(dump, indent=1)[:-2] + ',\n "models": {\n' + ",\n".join(lines) + "\n}}\n")
    ends = collections.Counter(row[1] for model in models.values() for layer in model["layers"] for row in layer["tp"])
    print(f"{len(models)} recorded, {len(left_out)} left out; {dict(ends)}")
