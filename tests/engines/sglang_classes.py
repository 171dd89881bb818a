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

from model_classes import ROOT, classes_of_types

# Hooks that were read and compute get_default_hidden_dim's head_dim*(heads + 2*KV heads).
LIKE_DEFAULT = {"Gemma3nForConditionalGeneration", "Llama4ForConditionalGeneration", "NemotronHForCausalLM"}
GATED = {"Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration"}


def read_classes(models):
    """Of each class its bases and whether it has the hook; and the registry."""
    classes, registry = {}, set()
    for path in sorted(models.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                classes.setdefault(node.name, (bases, "get_hidden_dim" in methods))
        for node in tree.body:
            if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "EntryClass" for t in node.targets):
                registry |= {name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)}
    return classes, registry


def hook(classes, name):
    """The class whose get_hidden_dim `name` uses; None: none of its bases has one."""
    bases, own = classes.get(name, ([], False))
    return name if own else next((found for found in (hook(classes, base) for base in bases) if found), None)


def listed(variants):
    """What the contract's variants by model_type alone say: model_type -> default, gate or unknown."""
    kinds = {}
    for variant in variants:
        if "modules" not in variant:
            changes = variant.get("replace", {})
            kind = "default" if "/let/width" in changes else "unknown" if "add" in variant else "gate"
            for model_type in variant["model_types"]:
                kinds.setdefault(model_type, kind)
    return kinds


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--sglang", type=pathlib.Path, required=True)
    arguments.add_argument("--transformers", type=pathlib.Path, required=True)
    options = arguments.parse_args()
    classes, registry = read_classes(options.sglang / "sglang/srt/models")
    kinds = listed(json.loads((ROOT / "configs/engines/sglang.json").read_text())["variants"])
    wrong = 0
    for model_type, names in sorted(classes_of_types(options.transformers).items()):
        served = sorted(names & registry)
        hooks = {hook(classes, name) for name in served}
        found = ("unknown" if not served else "default" if hooks <= LIKE_DEFAULT | {None}
                 else "gate" if hooks <= GATED else "unknown")
        said = kinds.get(model_type, "unknown")
        # To claim less than is known is no mistake.
        verdict = "" if said in (found, "unknown") else "  <- the contract says " + said
        wrong += bool(verdict)
        if served or verdict:
            shown = ", ".join(f"{name} ({hook(classes, name) or 'none'})" for name in served)
            print(f"{model_type}: {said}: {shown}{verdict}")
    print(f"{len(registry)} classes, {sum(bool(hook(classes, name)) for name in registry)} with a hook; {wrong} model types differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
