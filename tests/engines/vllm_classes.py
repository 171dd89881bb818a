#!/usr/bin/env python3
"""Which of vLLM's model classes support LoRA, what their qkv module is made of, and whether the variants of configs/engines/vllm.json agree.

    pip download --no-deps vllm==0.33.0 transformers==5.24.0; unzip both
    tests/engines/vllm_classes.py --vllm UNPACKED --transformers UNPACKED

Only reads the sources: no class is imported. A class supports LoRA where SupportsLoRA is among its bases; else the engine refuses adapters
when it loads the model. packed_modules_mapping says of which modules qkv_proj is made: of three, adapters are separate; of one, fused. A
mapping made out of other classes' is followed where it names one; what a wrapper takes from its children, or a class sets when it is made, is
known where dump_vllm_models.py ran the class."""

import argparse
import ast
import json
import pathlib

from model_classes import ROOT, Sources, classes_of_types, compare

MODELS = "vllm.model_executor.models."
THREE = ["q_proj", "k_proj", "v_proj"]
ONE = ("qkv_proj", "query_key_value", "wqkv")  # what a class calls its one module for q, k and v


def registry(sources):
    """The classes of registry.py, by the architecture that names them."""
    names = {}
    for node in sources.trees[MODELS + "registry"].body:
        if isinstance(getattr(node, "value", None), ast.Dict):
            for key, value in zip(node.value.keys, node.value.values):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Tuple) and len(value.elts) == 2:
                    module, name = (element.value for element in value.elts)
                    names[key.value] = sources.named(module if "." in module else MODELS + module, name)
    return names


def mapping(node):
    """The value of packed_modules_mapping in a class, else None."""
    for item in node.body:
        target = item.targets[0] if isinstance(item, ast.Assign) else getattr(item, "target", None)
        if getattr(target, "id", "") == "packed_modules_mapping" and getattr(item, "value", None):
            return item.value
    return None


def packed(sources, one):
    """Of which modules each packed one is made, as far as the sources say."""
    holder = one and sources.nearest(one, lambda base: mapping(sources.nodes[base]) is not None)
    return value(sources, holder[0], mapping(sources.nodes[holder])) if holder else {}


def value(sources, module, node):
    if isinstance(node, ast.BinOp):
        return value(sources, module, node.left) | value(sources, module, node.right)
    if isinstance(node, ast.Attribute):  # Class.packed_modules_mapping
        return packed(sources, sources.find(module, node.value))
    try:
        return ast.literal_eval(node)
    except ValueError:
        return {}


def supports_lora(sources, one):
    return sources.nearest(one, lambda base: base == (MODELS + "interfaces", "SupportsLoRA")) is not None


def wrapped():
    """What the LoRA layer around qkv is for, of every class that was run."""
    kinds = {"MergedQKVParallelLinearWithLoRA": "three", "QKVParallelLinearWithLoRA": "one"}
    models = [model for path in (ROOT / "tests/engines/models").glob("vllm-*.json") for model in json.loads(path.read_text())["models"].values()]
    return {model["architecture"]: kinds[model["wrapper"]] for model in models if model["wrapper"] in kinds}


def kind(sources, one, ran):
    """refused, three, one or unknown."""
    if not supports_lora(sources, one):
        return "refused"
    parts = packed(sources, one)
    qkv = [parts[name] for name in ONE if name in parts]
    return "three" if THREE in qkv else "one" if any(len(names) == 1 for names in qkv) else ran.get(one[1], "unknown")


def listed(variants):
    """What the contract's variants by model_type alone say."""
    kinds = {}
    for variant in variants:
        if set(variant) & {"modules", "architectures"} == set():
            changes = variant.get("add", {})
            never = changes.get("/checks/-", {}).get("that") == "0 == 1"
            told = "refused" if never else "one" if "/claims/-" in changes else "three"
            for model_type in variant["model_types"]:
                kinds.setdefault(model_type, told)
    return kinds


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--vllm", type=pathlib.Path, required=True)
    arguments.add_argument("--transformers", type=pathlib.Path, required=True)
    options = arguments.parse_args()
    sources = Sources(options.vllm, [MODELS.rstrip("."), "vllm.models"])
    served, ran = registry(sources), wrapped()
    said = listed(json.loads((ROOT / "configs/engines/vllm.json").read_text())["variants"])
    differ = compare(classes_of_types(options.transformers), served, lambda one: kind(sources, one, ran), said)
    classes = set(served.values()) - {None}
    lora = sum(supports_lora(sources, one) for one in classes)
    print(f"{len(classes)} classes, {lora} support LoRA; {differ} model types differ")
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main())
