#!/usr/bin/env python3
"""Which of vLLM's model classes support LoRA, what their qkv module is made of, and whether the variants of configs/engines/vllm.json agree.

    pip download --no-deps vllm==0.33.0 transformers==5.24.0; unzip both
    tests/engines/vllm_classes.py --vllm UNPACKED --transformers UNPACKED

Only reads the sources: no class is imported. A class supports LoRA where SupportsLoRA is among its bases; else the engine refuses adapters
when it loads the model. packed_modules_mapping says of which modules qkv_proj is made: of three, adapters are separate; of one, fused. A
mapping made out of other classes' is followed where it names one; what a wrapper takes from its children is not known."""

import argparse
import ast
import json
import pathlib

from model_classes import ROOT, classes_of_types

THREE = ["q_proj", "k_proj", "v_proj"]


def base_name(node):
    node = node.value if isinstance(node, ast.Subscript) else node
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def mapping(node):
    """The text of packed_modules_mapping in a class, else None."""
    for item in node.body:
        target = item.targets[0] if isinstance(item, ast.Assign) else getattr(item, "target", None)
        if getattr(target, "id", "") == "packed_modules_mapping" and getattr(item, "value", None):
            return item.value
    return None


class Classes:
    def __init__(self, models):
        self.classes, self.registry = {}, {}
        for path in sorted(models.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    self.classes.setdefault(node.name, ([base_name(base) for base in node.bases], mapping(node)))
        for node in ast.parse((models / "registry.py").read_text()).body:
            if isinstance(getattr(node, "value", None), ast.Dict):
                for key, value in zip(node.value.keys, node.value.values):
                    if isinstance(key, ast.Constant) and isinstance(value, ast.Tuple) and len(value.elts) == 2:
                        self.registry[key.value] = value.elts[1].value

    def supports_lora(self, name):
        return name == "SupportsLoRA" or any(self.supports_lora(base) for base in self.classes.get(name, ([], None))[0])

    def packed(self, name):
        """Of which modules each packed one is made, as far as the sources say; None: nothing there."""
        bases, node = self.classes.get(name, ([], None))
        if node is None:
            return next((found for found in map(self.packed, bases) if found is not None), None)
        return self.value(node)

    def value(self, node):
        if isinstance(node, ast.BinOp):
            return (self.value(node.left) or {}) | (self.value(node.right) or {})
        if isinstance(node, ast.Attribute):
            return self.packed(base_name(node.value))
        try:
            return ast.literal_eval(node)
        except ValueError:
            return None

    def kind(self, name):
        """refused, three, one or unknown."""
        if not self.supports_lora(name):
            return "refused"
        packed = self.packed(name) or {}
        ones = [parts for module, parts in packed.items() if module in ("qkv_proj", "query_key_value", "wqkv")]
        return "three" if THREE in ones else "one" if ones and len(ones[0]) == 1 else "unknown"


def listed(variants):
    """What the contract's variants by model_type alone say."""
    kinds = {}
    for variant in variants:
        if "modules" not in variant:
            checks = variant.get("add", {})
            kind = "refused" if "/checks/-" in checks else "three" if not checks else "one"
            for model_type in variant["model_types"]:
                kinds.setdefault(model_type, kind)
    return kinds


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--vllm", type=pathlib.Path, required=True)
    arguments.add_argument("--transformers", type=pathlib.Path, required=True)
    options = arguments.parse_args()
    classes = Classes(options.vllm / "vllm/model_executor/models")
    said = listed(json.loads((ROOT / "configs/engines/vllm.json").read_text())["variants"])
    wrong = 0
    for model_type, names in sorted(classes_of_types(options.transformers).items()):
        served = sorted({classes.registry[name] for name in names if name in classes.registry})
        kinds = {classes.kind(name) for name in served}
        found = kinds.pop() if len(kinds) == 1 else "unknown"
        # To claim less than is known is no mistake.
        differs = said.get(model_type, "unknown") not in (found, "unknown")
        wrong += differs
        if served or differs:
            print(f"{model_type}: {said.get(model_type, 'unknown')}: {', '.join(served)} ({found})"
                  f"{'  <- differs' if differs else ''}")
    lora = sum(classes.supports_lora(name) for name in set(classes.registry.values()))
    print(f"{len(set(classes.registry.values()))} classes, {lora} support LoRA; {wrong} model types differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
