#!/usr/bin/env python3
"""The schemas in docs/formats against the contracts and suites of the repository, and against mistakes.

Knows just the keywords that they use, so that the tests need no package."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTRACT, SUITE = (json.loads((ROOT / "docs" / "formats" / f"{kind}.schema.json").read_text())
                   for kind in ("contract", "suite"))
KNOWN = {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "properties", "required",
         "additionalProperties", "propertyNames", "pattern", "items", "minItems", "maxItems", "minProperties",
         "minimum", "maximum", "enum", "const", "if", "then", "else", "not"}
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def resolve(reference, root):
    node = root
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def errors(value, schema, root, place=""):
    unknown = set(schema) - KNOWN
    if unknown:
        raise SystemExit(f"the schema uses {unknown}, which this test does not know")
    if "$ref" in schema:
        yield from errors(value, resolve(schema["$ref"], root), root, place)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(isinstance(value, TYPES[t]) and isinstance(value, bool) == (t == "boolean") for t in types):
        yield f"{place}: not of type {types}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{place}: not {schema['const']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: not one of {schema['enum']}"
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        yield f"{place}: does not match {schema['pattern']}"
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{place}: too small or too large"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{place}: wrong length"
        for i, item in enumerate(value):
            yield from errors(item, schema.get("items", {}), root, f"{place}/{i}")
    if isinstance(value, dict):
        yield from object_errors(value, schema, root, place)
    if "if" in schema:
        holds = not list(errors(value, schema["if"], root, place))
        yield from errors(value, schema.get("then" if holds else "else", {}), root, place)
    if "not" in schema and not list(errors(value, schema["not"], root, place)):
        yield f"{place}: must not fit"


def object_errors(value, schema, root, place):
    for key in schema.get("required", []):
        if key not in value:
            yield f"{place}: {key} is missing"
    if len(value) < schema.get("minProperties", 0):
        yield f"{place}: empty"
    for key, item in value.items():
        yield from errors(key, schema.get("propertyNames", {}), root, f"{place}/{key}")
        if key in schema.get("properties", {}):
            yield from errors(item, schema["properties"][key], root, f"{place}/{key}")
        elif schema.get("additionalProperties") is False:
            yield f"{place}: unknown key {key}"
        elif isinstance(schema.get("additionalProperties"), dict):
            yield from errors(item, schema["additionalProperties"], root, f"{place}/{key}")


def changed(contract, *steps):
    """A copy with the value at steps[:-1] replaced by steps[-1]."""
    copy = json.loads(json.dumps(contract))
    node = copy
    for step in steps[:-2]:
        node = node[step]
    node[steps[-2]] = steps[-1]
    return copy


def suite_mistakes():
    grid = {"models": ["*"], "engines": ["*"], "tp": "1-8", "case": "R={r}", "vary": {"r": [8, 16]}, "fit": True,
            "numbers": {"every": 5}, "exclude": [{"when": "T > 4"}]}
    good = {"format": "tplora-suite/1", "name": "mine", "mode": "report", "explain": False, "cases": [grid]}
    assert not list(errors(good, SUITE, SUITE))
    return [
        changed(good, "surprise", 1),
        changed(good, "format", "tplora-suite/2"),
        changed(good, "mode", "tell"),
        changed(good, "explain", 1),
        changed(good, "digest", "12"),
        changed(good, "cases", 0, "tp", "1-"),
        changed(good, "cases", 0, "tp", [0]),
        changed(good, "cases", 0, "tp", [1.5]),
        changed(good, "cases", 0, "vary", {"r": []}),
        changed(good, "cases", 0, "vary", ["r"]),
        changed(good, "cases", 0, "numbers", {"each": 5}),
        changed(good, "cases", 0, "numbers", 5),
        changed(good, "cases", 0, "exclude", [{}]),
        changed(good, "cases", 0, "exclude", [{"model": "a"}]),
        changed(good, "cases", 0, "bugs", ["*"]),
        changed(good, "cases", 0, {"models": ["*"], "engines": ["*"], "case": "R=16"}),
        changed(good, "pins", [{"models": ["a"], "engine": "b", "verdict": "wrong", "reason": "", "link": ""}]),
        changed(good, "pins", [{"models": ["a"], "engine": "b", "verdict": "crash", "reason": ""}]),
    ]


def main():
    problems = []
    files = [f for kind in ("engines", "bugs", "suites") for f in sorted((ROOT / "configs" / kind).glob("*.json"))]
    for file in files:
        schema = SUITE if file.parent.name == "suites" else CONTRACT
        problems += [f"{file.name}{e}" for e in errors(json.loads(file.read_text()), schema, schema)]
    good = json.loads((ROOT / "configs" / "engines" / "vllm.json").read_text())
    mistakes = [
        changed(good, "surprise", 1),
        changed(good, "variants", [{"model_types": ["llama"]}]),
        changed(good, "format", "tplora-contract/9"),
        changed(good, "lora_b", "fit", "loose"),
        changed(good, "lora_b", "buffers", {}),
        changed(good, "weight", "copies", 0, "to", "B"),
        changed(good, "lora_a", "copies", 0, "src", "fused"),
        changed(good, "kernel", 0, {"a": "A"}),
        changed(good, "owns", "q_heads", ["t"]),
        changed(good, "let", {"1h": "H"}),
        changed(good, "let", {"h": 1.5}),
        {key: value for key, value in good.items() if key != "view"},
        {"extends": "vllm", "replace": {"let/h": "1"}},
    ]
    for schema, wrong in ((CONTRACT, mistakes), (SUITE, suite_mistakes())):
        for i, mistake in enumerate(wrong):
            if not list(errors(mistake, schema, schema)):
                problems.append(f"{schema['title']}: mistake {i} is accepted")
    print("\n".join(problems))
    print(f"{len(files)} contracts and suites, {len(problems)} problems")
    return 1 if problems or len(files) < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
