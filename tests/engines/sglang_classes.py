#!/usr/bin/env python3
"""Which hook sizes LoRA's qkv buffer in each of SGLang's model classes, and whether the variants of configs/engines/sglang.json agree.

    pip download --no-deps sglang==0.5.23 transformers==5.19.0; unzip both
    tests/engines/sglang_classes.py --sglang UNPACKED --transformers UNPACKED

Only reads the sources: no class is imported. A class of the registry is one that a file of sglang/srt/models names in EntryClass. Its hook
is the nearest get_hidden_dim of its bases, else none, which means get_default_hidden_dim. The classes of a model_type are those that the
auto classes of transformers, and the configs of this repository, name for it."""

import argparse
import ast
import json
import pathlib

from model_classes import ROOT, Sources, classes_of_types, compare

MODELS = "sglang.srt.models."
# Hooks that were read and compute get_default_hidden_dim's head_dim*(heads + 2*KV heads).
LIKE_DEFAULT = {(MODELS + "gemma3n_mm", "Gemma3nForConditionalGeneration"), (MODELS + "mllama4", "Llama4ForConditionalGeneration"),
                (MODELS + "nemotron_h", "NemotronHForCausalLM")}
GATED = {(MODELS + "qwen3_5", "Qwen3_5ForConditionalGeneration"), (MODELS + "qwen3_5", "Qwen3_5MoeForConditionalGeneration")}


def registry(sources):
    """The classes that files name in EntryClass, by name."""
    names = {}
    for module, tree in sources.trees.items():
        for node in tree.body:
            if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "EntryClass" for t in node.targets):
                for name in ast.walk(node.value):
                    if isinstance(name, ast.Name):
                        names[name.id] = sources.named(module, name.id)
    return names


def hook(sources, one):
    """The class whose get_hidden_dim it uses; None: none of its bases has one."""
    return sources.nearest(one, lambda base: any(isinstance(item, ast.FunctionDef) and item.name == "get_hidden_dim"
                                                 for item in sources.nodes[base].body))


def kind(sources, one):
    found = hook(sources, one)
    return "default" if found is None or found in LIKE_DEFAULT else "gate" if found in GATED else "unknown"


def listed(variants):
    """What the contract's variants by model_type alone say: model_type -> default, gate or unknown."""
    kinds = {}
    for variant in variants:
        if set(variant) & {"modules", "architectures"} == set():
            changes = variant.get("replace", {})
            told = "default" if "/let/width" in changes else "unknown" if "add" in variant else "gate"
            for model_type in variant["model_types"]:
                kinds.setdefault(model_type, told)
    return kinds


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--sglang", type=pathlib.Path, required=True)
    arguments.add_argument("--transformers", type=pathlib.Path, required=True)
    options = arguments.parse_args()
    sources = Sources(options.sglang, [MODELS.rstrip(".")])
    served = registry(sources)
    said = listed(json.loads((ROOT / "configs/engines/sglang.json").read_text())["variants"])
    differ = compare(classes_of_types(options.transformers), served, lambda one: kind(sources, one), said)
    hooks = sum(one is not None and hook(sources, one) is not None for one in served.values())
    print(f"{len(served)} classes, {hooks} with a hook; {differ} model types differ")
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main())
