"""Which rows of q, k and v, and of an adapter's B and A, each rank holds under transformers' tensor parallelism with PEFT.

Needs, beside the two wheels that it fetches itself (transformers, peft): pip install torch numpy accelerate safetensors
tokenizers huggingface_hub regex pyyaml packaging psutil tqdm typer, in the versions that the transformers release asks for.

Ran, all of it the packages' own code: a one-layer checkpoint and an adapter are saved to disk, then for every rank
`from_pretrained(.., tensor parallel)` loads the one and `PeftModel.from_pretrained` the other; the shards are read from the
layer, and its attention runs forward on three tokens with every attention function of ATTENTION. The first that fails decides
`ends`. Each projection's output is held against `W x + B (A x)` of the dumped shards. Model classes: Mistral; Qwen3-Next where
q_proj also holds a gate; MiMo-V2-Flash where v_head_dim is not head_dim.
Stubbed: the process group, torch's own `fake` backend, with rank and size given; its collectives return at once.

PEFT has no pool: an adapter's tensors have its own lora_rank (so r and R are equal here), and a projection that it leaves out has
none at all. Such a projection is written as buffers of zeros, B as high as the rank's base weight.
"""
import argparse
import contextlib
import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

HIDDEN = 16
PARTS = "qkv"
WIDTH = 1680  # of everything around the attention: every tp divides it
STEP = 100_000  # a row's label: STEP times its part, plus the row, plus 1
# transformers' default, without a mask as for one prompt and with one as for padded prompts, and its plain one
ATTENTION = (("sdpa", False), ("sdpa", True), ("eager", False))


# An older release that fails where the current one does not has a contract of its own.
CONTRACTS = {"5.12.1": "tests/engines/contracts/transformers-5.12.1.json"}

def unpack(package, release, source):
    """The folder of the wheel's sources, put first on the import path."""
    if source is None:
        source = tempfile.mkdtemp()
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", source, f"{package}=={release}"],
                       check=True)
        with zipfile.ZipFile(next(Path(source).glob("*.whl"))) as wheel:
            wheel.extractall(source)
    sys.path.insert(0, str(source))


# ---- cases ----

def geometries():
    """(H, KV, D, Dv, gate, tp, targets), small ones first."""
    for heads in [1, 2, 3, 4, 5, 6, 7, 8, 12, 16]:
        for kv in [n for n in range(1, heads + 1) if heads % n == 0]:
            for tp in range(1, 9):
                yield heads, kv, 4, 4, 1, tp, "qkv"
            for tp in [3, 4, 5, 8]:
                yield heads, kv, 2, 2, 1, tp, "qkv"
    yield from [(15, 15, 4, 4, 1, 8, "qkv"), (15, 5, 4, 4, 1, 8, "qkv"), (7, 7, 2, 2, 1, 4, "qkv"), (10, 10, 2, 2, 1, 7, "qkv")]
    for kv in [1, 2, 4, 8, 16]:
        yield 16, kv, 4, 4, 1, 16, "qkv"
    for (heads, kv), tp in itertools.product([(4, 2), (8, 2), (8, 4), (6, 3), (3, 3)], [1, 2, 3, 4, 8]):
        yield heads, kv, 4, 6, 1, tp, "qkv"
        yield heads, kv, 4, 4, 2, tp, "qkv"
    for targets, tp in itertools.product(["q", "k", "v", "qv", "kv"], [1, 2, 4]):
        yield 8, 4, 4, 4, 1, tp, targets
    real = [(16, 2, 256, 256, 2), (64, 8, 128, 128, 1), (28, 4, 128, 128, 1), (8, 1, 256, 256, 1), (32, 8, 128, 128, 1),
            (40, 8, 128, 128, 1), (14, 2, 64, 64, 1), (64, 4, 192, 128, 1), (25, 5, 64, 64, 1)]
    for shape, tp in itertools.product(real, [2, 4, 8]):
        yield *shape, tp, "qkv"


def config_of(heads, kv, dim, v_dim, gate):
    import transformers
    rope = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 1.0}
    common = dict(hidden_size=HIDDEN, num_attention_heads=heads, num_key_value_heads=kv, head_dim=dim, num_hidden_layers=1,
                  intermediate_size=WIDTH, vocab_size=WIDTH, max_position_embeddings=64)
    if gate == 2:
        return transformers.Qwen3NextConfig(**common, rope_parameters=rope, mlp_only_layers=[0], layer_types=["full_attention"],
                                            num_experts=1, num_experts_per_tok=1)
    if v_dim != dim:
        return transformers.MiMoV2FlashConfig(**common, v_head_dim=v_dim, rope_parameters={"full_attention": rope,
                                              "sliding_attention": rope}, n_routed_experts=1, num_experts_per_tok=1,
                                              attention_value_scale=None)
    return transformers.MistralConfig(**common)


def model_class(config):
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM._model_mapping[type(config)]


# ---- labels ----

def label(weight, part, along=0):
    """Every element of row i of the weight says part and i."""
    import torch
    rows = torch.arange(weight.shape[along], dtype=torch.float32) + PARTS.index(part) * STEP + 1
    weight.data.copy_(rows[:, None].expand(weight.shape))


def runs(weight):
    """[at, rows, part, first_row] of a labelled weight, zero rows left out."""
    found = []
    for at, row in enumerate(weight.tolist()):
        assert len(set(row)) == 1, "the columns of a row disagree"
        if row[0] == 0:
            continue
        part, source_row = divmod(int(row[0]) - 1, STEP)
        last = found[-1] if found else None
        if last and last[2] == PARTS[part] and last[0] + last[1] == at and last[3] + last[1] == source_row:
            last[1] += 1
        else:
            found.append([at, 1, PARTS[part], source_row])
    return found


def local(parameter):
    return parameter.to_local().detach() if hasattr(parameter, "to_local") else parameter.detach()


# ---- one case ----

def save(folder, config, lora_rank, targets):
    """The model and one adapter, row labels in q, k, v, B and A."""
    import peft
    import torch
    model = model_class(config)(config)
    attention = model.model.layers[0].self_attn
    with torch.no_grad():
        for part in PARTS:
            label(getattr(attention, f"{part}_proj").weight, part)
    model.save_pretrained(folder)
    lora = peft.LoraConfig(r=lora_rank, lora_alpha=lora_rank, target_modules=[f"{part}_proj" for part in targets])
    adapted = peft.get_peft_model(model, lora)
    with torch.no_grad():
        for part in targets:
            projection = getattr(attention, f"{part}_proj")
            label(projection.lora_B["default"].weight, part)
            label(projection.lora_A["default"].weight, part)
    adapted.save_pretrained(folder / "adapter")


@contextlib.contextmanager
def fake_group(tp_rank, tp_size):
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore
    os.environ.update(RANK=str(tp_rank), LOCAL_RANK="0", WORLD_SIZE=str(tp_size))
    dist.init_process_group("fake", store=FakeStore(), rank=tp_rank, world_size=tp_size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def load(folder, config, tp_size):
    import peft
    cls = model_class(config)
    try:
        from transformers.distributed.tensor_parallel import apply_tensor_parallelism  # noqa: F401  since DTensor
        from transformers.distributed import DistributedConfig
        model = cls.from_pretrained(folder, distributed_config=DistributedConfig(tp_size=tp_size))
    except ImportError:
        model = cls.from_pretrained(folder, tp_plan="auto", tp_size=tp_size)
    return peft.PeftModel.from_pretrained(model, folder / "adapter")


def state(attention, lora_rank, targets):
    rank = {"columns": [], "b": [], "a": []}
    at = 0
    for part in PARTS:
        projection = getattr(attention, f"{part}_proj")
        base = local(projection.base_layer.weight if part in targets else projection.weight)
        rank["columns"] += [[at + run[0], *run[1:]] for run in runs(base)]
        at += base.shape[0]
        rows = {"b": base.shape[0], "a": lora_rank}
        for key, name in (("b", "lora_B"), ("a", "lora_A")):
            weight = local(getattr(projection, name)["default"].weight) if part in targets else None
            rank[key].append({"rows": rows[key], "holds": []} if weight is None else
                             {"rows": weight.shape[0], "holds": runs(weight)})
    return rank


def check_outputs(attention, targets):
    """What the projections put out is W x + B (A x) of the shards that were dumped, in that order of rows."""
    import torch
    x = torch.zeros(1, 3, HIDDEN)
    x[..., 0] = 1
    for part in targets:
        projection = getattr(attention, f"{part}_proj")
        u = local(projection.lora_A["default"].weight).double()[:, 0]
        expected = local(projection.base_layer.weight).double()[:, 0] + local(projection.lora_B["default"].weight).double() @ u
        found = projection(x)[0, 0].double()
        assert torch.allclose(found, expected, rtol=1e-6, atol=0), f"{part}_proj puts out something else"


def forward(model, attention):
    """Names what runs next, then runs it."""
    import torch
    x = torch.zeros(1, 3, HIDDEN)
    rotary = model.base_model.model.model.rotary_emb
    positions = torch.arange(3)[None]
    layered = getattr(model.config, "model_type", "") == "mimo_v2_flash"
    embedded = rotary(x, positions, "full_attention") if layered else rotary(x, positions)
    for implementation, masked in ATTENTION:
        yield f"{implementation}, {'a' if masked else 'no'} mask"
        attention.config._attn_implementation = implementation
        mask = torch.zeros(1, 1, 3, 3) if masked else None
        attention(hidden_states=x, position_embeddings=embedded, attention_mask=mask)


def run_case(geometry, lora_rank):
    import torch
    heads, kv, dim, v_dim, gate, tp, targets = geometry
    case = {"H": heads, "KV": kv, "D": dim, "Dv": v_dim, "gate": gate, "hidden": HIDDEN, "tp": tp, "r": lora_rank, "R": lora_rank,
            "targets": targets}
    ranks = []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        config = config_of(heads, kv, dim, v_dim, gate)
        save(Path(folder), config, lora_rank, targets)
        for tp_rank in range(tp):
            stage = "load"
            try:
                with fake_group(tp_rank, tp):
                    model = load(Path(folder), config, tp)
                    attention = model.base_model.model.model.layers[0].self_attn
                    ranks.append(state(attention, lora_rank, targets))
                    check_outputs(attention, targets)
                    for stage in forward(model, attention):
                        pass
            except Exception as error:  # what the engine says is what is wanted
                if isinstance(error, AssertionError) and "puts out" in str(error):
                    raise
                stated = stage == "load" and isinstance(error, (ValueError, AssertionError))
                text = " ".join(f"{type(error).__name__}: {error}".split())[:160]
                return {**case, "ends": "refused" if stated else "crash", "error": f"{text} ({stage}, tp_rank {tp_rank})"}
    return {**case, "ends": "loaded", "ranks": ranks}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", required=True, help="of transformers")
    parser.add_argument("--source", help="unpacked transformers wheel")
    parser.add_argument("--peft", required=True, help="release of peft")
    parser.add_argument("--peft-source", help="unpacked peft wheel")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    unpack("transformers", args.release, args.source)
    unpack("peft", args.peft, args.peft_source)
    warnings.simplefilter("ignore")
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    import peft
    import transformers
    assert (transformers.__version__, peft.__version__) == (args.release, args.peft)
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.WARNING)

    v_dims = hasattr(transformers, "MiMoV2FlashConfig")  # older releases have no such model
    cases = [run_case(geometry, 2) for geometry in geometries() if v_dims or geometry[2] == geometry[3]]
    dtensor = "transformers.distributed.tensor_parallel" in sys.modules
    shard = ("transformers/distributed/tensor_parallel.py ColwiseParallel.shard_param", "transformers/distributed/sharding_utils.py "
             "DtensorShardOperation.shard_tensor", "peft/tuners/lora/model.py add_lora_tp_hooks_dtensor",
             "peft/utils/save_and_load.py _reshard_dtensor_values_for_load") if dtensor else (
             "transformers/integrations/tensor_parallel.py ColwiseParallel.shard_tensor, get_tensor_shard",
             "peft/utils/save_and_load.py _maybe_shard_state_dict_for_tp")
    dump = {"format": "tplora-engine-dump/1", "contract": CONTRACTS.get(args.release, "hf_tp_peft"), "package": "transformers", "release": args.release,
            "ran": ["transformers PreTrainedModel.from_pretrained", *shard, f"peft {args.peft} PeftModel.from_pretrained",
                    "peft/tuners/lora/layer.py Linear.forward",
                    "MistralAttention, Qwen3NextAttention, MiMoV2FlashAttention forward"],
            "stubbed": ["the process group: torch's fake backend, rank and size are given"], "cases": cases}
    args.out.write_text(json.dumps(dump, separators=(",", ":")) + "\n")
    for ends in ("loaded", "refused", "crash"):
        print(ends, sum(case["ends"] == ends for case in cases))


if __name__ == "__main__":
    main()
