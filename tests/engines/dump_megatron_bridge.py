"""Which rows of q, k and v, and of an adapter's B and A, each rank holds in Megatron-Core with a LoRA of Megatron-Bridge.

Needs Python 3.12 and, beside the two wheels that it fetches itself (megatron-core, megatron-bridge): pip install torch numpy
einops omegaconf rich pyyaml regex tqdm packaging transformers peft accelerate six hydra-core, transformers in the version that the
bridge release asks for.

Ran, in real processes with real collectives (gloo): TransformerConfig, SelfAttention of the local (not Transformer Engine) layer
spec, QKVMapping.hf_to_megatron to fill linear_qkv from q, k and v, and LoRA.transform or CanonicalLoRA.transform to put adapters on
it. The adapter's rows are put where its `sharded_state_dict` says that a distributed checkpoint's rows go. Which part a row of the
one fused B belongs to is what the bridge's export, `_split_qkv_linear_out_weight`, says. Then SelfAttention's
get_query_key_value_tensors runs on tp_size tokens; where it fails, the case is a crash. What it gives for the first token is counted as
right or wrong by the rule that all engines share; the counts are printed, they are no part of a dump.
Stubbed: the package transformer_engine, of which nothing runs; torch.cuda.current_device says "cpu"; the __init__ files of
megatron.bridge, .models, .models.conversion, .peft and .utils, which import every model there is.
"""
import argparse
import collections
import importlib
import importlib.machinery
import itertools
import json
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import types
import warnings
import zipfile
from datetime import timedelta
from pathlib import Path

HIDDEN = 16
PARTS = "qkv"
STEP = 100_000  # a row's label: STEP times its part, plus the row, plus 1


# ---- the packages ----

class Empty(type):
    """A class whose every attribute is another such class."""
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Empty(name, (), {})


class EmptyModule(types.ModuleType):
    __path__, __version__ = [], "2.10.0"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Empty(name, (), {})


class EmptyFinder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "transformer_engine":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return EmptyModule(spec.name)

    def exec_module(self, module):
        pass


def unpack(folder, package, release):
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"{package}=={release}"], check=True)
    with zipfile.ZipFile(next(Path(folder).glob(f"{package.replace('-', '_')}-*.whl"))) as wheel:
        wheel.extractall(folder)


def import_packages(source):
    """megatron.core first, without Transformer Engine; then the bridge's own files."""
    import torch
    sys.path.insert(0, str(source))
    torch.cuda.current_device = lambda: torch.device("cpu")
    import megatron.core
    import megatron.core.extensions.transformer_engine
    import megatron.core.models.gpt.gpt_layer_specs  # noqa: F401
    sys.meta_path.append(EmptyFinder())
    for name in ["megatron.bridge" + tail for tail in ("", ".models", ".models.conversion", ".peft", ".utils")]:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(Path(source, *name.split(".")))]
    importlib.import_module("megatron.bridge.models.conversion.peft_bridge")
    importlib.import_module("megatron.bridge.peft.utils").HAVE_TE = False


# ---- cases ----

def geometries(canonical):
    """(H, KV, D, gate, tp, lora_rank, targets)"""
    targets = "qkv" if canonical else "fused"
    for heads in [1, 2, 3, 4, 5, 6, 7, 8, 12, 16]:
        for kv, tp in itertools.product([n for n in range(1, heads + 1) if heads % n == 0], range(1, 9)):
            if heads % tp == 0 or heads in (4, 6):
                yield heads, kv, 4, 1, tp, 2 * tp if heads < 8 else max(tp, 2), targets
    for heads, kv in [(8, 1), (8, 2), (6, 1), (4, 1), (16, 2)]:
        for tp in [2, 3, 4, 6, 8]:
            yield heads, kv, 2, 1, tp, 24, targets
    for tp, lora_rank in itertools.product([1, 2, 4, 8], [1, 2, 4]):
        yield 8, 2, 4, 1, tp, lora_rank, targets
    for (heads, kv), tp in itertools.product([(4, 2), (8, 2), (8, 4), (8, 1)], [1, 2, 4, 8]):
        yield heads, kv, 4, 2, tp, 8, targets
    for kv in [1, 2, 4, 8, 16]:
        yield 16, kv, 4, 1, 16, 16, targets
    real = [(64, 8, 128, 1), (32, 8, 128, 1), (28, 4, 128, 1), (8, 1, 256, 1), (40, 8, 128, 1), (14, 2, 64, 1), (16, 2, 256, 2)]
    for shape, tp in itertools.product(real, [2, 4, 8]):
        yield *shape, tp, 8, targets
    if canonical:
        for some, tp in itertools.product(["q", "k", "v", "qv", "kv"], [1, 2]):
            yield 8, 4, 4, 1, tp, 2, some


# ---- labels ----

def labels(rows, part):
    import torch
    return torch.arange(rows, dtype=torch.float32) + PARTS.index(part) * STEP + 1


def runs(column, names=PARTS):
    """[at, rows, part, first_row] of a column of labels."""
    found = []
    for at, value in enumerate(column.tolist()):
        part, row = divmod(int(value) - 1, STEP)
        last = found[-1] if found else None
        if last and last[2] == names[part] and last[3] + last[1] == row:
            last[1] += 1
        else:
            found.append([at, 1, names[part], row])
    return found


def one_label(weight):
    assert (weight == weight[:, :1]).all(), "the columns of a row disagree"
    return weight[:, 0]


# ---- one case on one rank ----

def run_rank(geometry, canonical, tp_rank):
    """This rank's part of a case: its state, or at which stage it failed and how."""
    import torch
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
    from megatron.core.process_groups_config import ProcessGroupCollection
    from megatron.core.transformer.spec_utils import build_module
    from megatron.core.transformer.transformer_config import TransformerConfig
    heads, kv, dim, gate, tp, lora_rank, targets = geometry
    stage = "build"
    try:
        config = TransformerConfig(num_layers=1, hidden_size=HIDDEN, num_attention_heads=heads, num_query_groups=kv, kv_channels=dim,
                                   attention_output_gate=gate == 2, tensor_model_parallel_size=tp, use_cpu_initialization=True,
                                   add_bias_linear=False, params_dtype=torch.float32)
        attention = build_module(get_gpt_layer_local_spec().submodules.self_attention, config=config, layer_number=1,
                                 pg_collection=ProcessGroupCollection.use_mpu_process_groups())
        stage = "load"
        base = attention.linear_qkv
        columns = load_base(base, heads, kv, dim, gate)
        stage = "adapter"
        wrap(attention, config, canonical, lora_rank, targets)
        stage = "load"
        state = {"columns": runs(columns), **load_adapter(attention, config, canonical)}
        stage = "forward"
        seen = forward(attention, base, gate, tp)
    except Exception as error:  # what the engine says is what is wanted
        text = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        stated = stage in ("build", "adapter") and isinstance(error, (ValueError, AssertionError))
        return {"ends": "refused" if stated else "crash", "error": f"{text} ({stage})"}, None
    return state, shared_rule(seen, heads, kv, dim, gate, tp, tp_rank, targets)


def load_base(linear_qkv, heads, kv, dim, gate):
    """q, k and v with row labels through the bridge's loader; the labels of the rows that this rank got."""
    from megatron.bridge.models.conversion.param_mapping import QKVMapping
    rows = {"q": heads * gate * dim, "k": kv * dim, "v": kv * dim}
    full = {part: labels(rows[part], part)[:, None].repeat(1, HIDDEN) for part in PARTS}
    mapping = QKVMapping("weight", *[f"{part}_proj.weight" for part in PARTS])
    linear_qkv.weight.data.copy_(mapping.hf_to_megatron(full, linear_qkv))
    return one_label(linear_qkv.weight.data)


def wrap(attention, config, canonical, lora_rank, targets):
    if canonical:
        from megatron.bridge.peft.canonical_lora import CanonicalLoRA
        lora = CanonicalLoRA(target_modules=[f"linear_{part}" for part in targets], dim=lora_rank, alpha=lora_rank)
    else:
        from megatron.bridge.peft.lora import LoRA
        lora = LoRA(target_modules=["linear_qkv"], dim=lora_rank, alpha=lora_rank)
    lora._init_target_match_state()
    attention.linear_qkv = lora.transform(attention.linear_qkv, name="linear_qkv", prefix="decoder.layers.0.self_attention")


def place(linear, rows):
    """Writes the labels of the whole tensor's rows into this rank's shard of it; returns what the shard got."""
    from megatron.core import parallel_state
    metadata = {"dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True)}
    shard = linear.sharded_state_dict(prefix="", sharded_offsets=(), metadata=metadata)["weight"]
    assert shard.global_shape[0] == len(rows), (shard.global_shape, len(rows))
    first = shard.global_offset[0]
    local = rows[first:first + shard.local_shape[0]]
    linear.weight.data.copy_(local[:, None].expand(linear.weight.shape))
    return {"rows": len(local), "holds": runs(local)}


def fused_rows(config, rows):
    """The label of every row of a fused B, by the bridge's export of it to q, k and v."""
    import torch
    from megatron.bridge.models.conversion.peft_bridge import MegatronPeftBridge
    numbered = torch.arange(rows, dtype=torch.float32)[:, None].repeat(1, 2)
    split = MegatronPeftBridge._split_qkv_linear_out_weight(None, types.SimpleNamespace(config=config), numbered)
    whole = torch.zeros(rows)
    for part in PARTS:
        of_part = split[f"{part}_proj"][:, 0].long()
        whole[of_part] = labels(len(of_part), part)
    assert (whole > 0).all()
    return whole


def load_adapter(attention, config, canonical):
    adapter = attention.linear_qkv.adapter
    state = {"b": [], "a": []}
    for part in (PARTS if canonical else ["fused"]):
        one = adapter[f"adapter_{part}"] if canonical else adapter
        if one is None:
            state["b"].append({"rows": 0, "holds": []})
            state["a"].append({"rows": 0, "holds": []})
            continue
        rows = one.linear_out.output_size
        state["b"].append(place(one.linear_out, labels(rows, part) if canonical else fused_rows(config, rows)))
        held = place(one.linear_in, labels(one.linear_in.output_size, part if canonical else "q"))
        if not canonical:
            held["holds"] = [[at, count, "shared", row] for at, count, _, row in held["holds"]]
        state["a"].append(held)
    return state


def forward(attention, base, gate, tokens):
    """Labels of the rows behind the first token's query, key, value (and gate): the base is zero and A picks B's first column."""
    import torch
    from megatron.core import parallel_state
    base.weight.data.zero_()
    adapter = attention.linear_qkv.adapter
    for one in adapter.values() if hasattr(adapter, "values") else [adapter]:
        if one is not None:
            one.linear_in.weight.data.zero_()
            if parallel_state.get_tensor_model_parallel_rank() == 0:
                one.linear_in.weight.data[0, 0] = 1
    x = torch.zeros(tokens, 1, HIDDEN)
    x[..., 0] = 1
    with torch.no_grad():
        return [part[0, 0].flatten() for part in attention.get_query_key_value_tensors(x, output_gate=gate == 2)]


def shared_rule(seen, heads, kv, dim, gate, tp, tp_rank, targets):
    """Whether the rank's heads are those of the rule of all engines: its H/T query heads, KV head t // rep."""
    import torch
    count = heads // tp
    q = labels(heads * gate * dim, "q").view(heads, gate, dim)[tp_rank * count:(tp_rank + 1) * count]
    first, kv_count = (tp_rank // (tp // kv), 1) if tp >= kv else (tp_rank * (kv // tp), kv // tp)
    wanted = [q[:, 0]] + [labels(kv * dim, part).view(kv, dim)[first:first + kv_count] for part in "kv"] + \
        [q[:, 1:].squeeze(1)] * (gate == 2)
    wanted = [rows * (targets == "fused" or part in targets) for part, rows in zip("qkvq", wanted)]
    return all(torch.equal(found, rows.flatten()) for found, rows in zip(seen, wanted))


# ---- all ranks ----

def worker(tp_rank, tp, cases, canonical, folder):
    import torch
    from megatron.core import parallel_state
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", store=torch.distributed.FileStore(f"{folder}/store{tp}", tp), rank=tp_rank, world_size=tp,
                                         timeout=timedelta(seconds=60))
    parallel_state.initialize_model_parallel(tensor_model_parallel_size=tp)
    results = [run_rank(geometry, canonical, tp_rank) for geometry in cases]
    Path(folder, f"{tp}_{tp_rank}").write_bytes(pickle.dumps(results))


def run_group(tp, cases, canonical, folder):
    """What each rank made of each case; the ranks are forked, so that the packages are imported once."""
    children = []
    for tp_rank in range(tp):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                worker(tp_rank, tp, cases, canonical, folder)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(pid)
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    assert not any(codes), f"a rank of tp {tp} died"
    return list(zip(*[pickle.loads(Path(folder, f"{tp}_{tp_rank}").read_bytes()) for tp_rank in range(tp)]))


def case_of(geometry, ranks):
    heads, kv, dim, gate, tp, lora_rank, targets = geometry
    case = {"H": heads, "KV": kv, "D": dim, "Dv": dim, "gate": gate, "hidden": HIDDEN, "tp": tp, "r": lora_rank, "R": lora_rank,
            "targets": targets}
    failed = next((state for state, _ in ranks if "ends" in state), None)
    return {**case, **failed} if failed else {**case, "ends": "loaded", "ranks": [state for state, _ in ranks]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", required=True, help="of megatron-bridge")
    parser.add_argument("--core", required=True, help="release of megatron-core")
    parser.add_argument("--source", help="folder with both wheels unpacked into it")
    parser.add_argument("--canonical", action="store_true", help="canonical LoRA instead of LoRA on linear_qkv")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        if args.source is None:
            unpack(folder, "megatron-core", args.core)
            unpack(folder, "megatron-bridge", args.release)
        import_packages(args.source or folder)
        wanted = list(dict.fromkeys(geometries(args.canonical)))
        done = {}
        for tp in sorted({geometry[4] for geometry in wanted}):
            cases = [geometry for geometry in wanted if geometry[4] == tp]
            done.update(zip(cases, run_group(tp, cases, args.canonical, folder)))
    lora = "canonical_lora.py CanonicalLoRA.transform, LoRALinearSplitQKV.forward" if args.canonical else \
        "lora.py LoRA.transform, lora_layers.py LoRALinear.forward"
    dump = {"format": "tplora-engine-dump/1", "contract": "megatron_bridge" + "_canonical" * args.canonical,
            "package": "megatron-bridge", "release": args.release,
            "ran": [f"megatron/bridge/peft/{lora}", "megatron/bridge/peft/utils.py ParallelLinearAdapter",
                    "megatron/bridge/models/conversion/param_mapping.py QKVMapping.hf_to_megatron",
                    "megatron/bridge/models/conversion/peft_bridge.py _split_qkv_linear_out_weight",
                    f"megatron-core {args.core} TransformerConfig, SelfAttention.get_query_key_value_tensors, ColumnParallelLinear",
                    "real processes, gloo"],
            "stubbed": ["transformer_engine, of which nothing runs", "torch.cuda.current_device",
                        "the __init__ files of the bridge's packages"],
            "cases": [case_of(geometry, done[geometry]) for geometry in wanted]}
    args.out.write_text(json.dumps(dump, separators=(",", ":")) + "\n")
    print(dict(collections.Counter(case["ends"] for case in dump["cases"])))
    wrong = [geometry for geometry in wanted if any(right is False for _, right in done[geometry])]
    print(f"forward gives other rows than the shared rule in {len(wrong)} cases:", *wrong, sep="\n  ")


if __name__ == "__main__":
    main()
