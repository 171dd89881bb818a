#!/usr/bin/env python3
"""docs/formats/contract.schema.json against the contracts of the repository, and against mistakes.

Knows just the keywords that schema uses, so that the tests need no package."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMA = json.loads((ROOT / "docs" / "formats" / "contract.schema.json").read_text())
KNOWN = {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "properties", "required",
         "additionalProperties", "propertyNames", "pattern", "items", "minItems", "maxItems", "minProperties",
         "minimum", "enum", "const", "if", "then", "not"}
TYPES = {"object": dict, "array": list, "string": str, "integer": int}


def resolve(reference):
    node = SCHEMA
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def errors(value, schema, place=""):
    unknown = set(schema) - KNOWN
    if unknown:
        raise SystemExit(f"the schema uses {unknown}, which this test does not know")
    if "$ref" in schema:
        yield from errors(value, resolve(schema["$ref"]), place)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(isinstance(value, TYPES[t]) and not isinstance(value, bool) for t in types):
        yield f"{place}: not of type {types}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{place}: not {schema['const']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: not one of {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{place}: does not match {schema['pattern']}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{place}: too small"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{place}: wrong length"
        for i, item in enumerate(value):
            yield from errors(item, schema.get("items", {}), f"{place}/{i}")
    if isinstance(value, dict):
        yield from object_errors(value, schema, place)
    if "if" in schema and not list(errors(value, schema["if"], place)):
        yield from errors(value, schema.get("then", {}), place)
    if "not" in schema and not list(errors(value, schema["not"], place)):
        yield f"{place}: must not fit"


def object_errors(value, schema, place):
    for key in schema.get("required", []):
        if key not in value:
            yield f"{place}: {key} is missing"
    if len(value) < schema.get("minProperties", 0):
        yield f"{place}: empty"
    for key, item in value.items():
        yield from errors(key, schema.get("propertyNames", {}), f"{place}/{key}")
        if key in schema.get("properties", {}):
            yield from errors(item, schema["properties"][key], f"{place}/{key}")
        elif schema.get("additionalProperties") is False:
            yield f"{place}: unknown key {key}"
        elif isinstance(schema.get("additionalProperties"), dict):
            yield from errors(item, schema["additionalProperties"], f"{place}/{key}")


def changed(contract, *steps):
    """A copy with the value at steps[:-1] replaced by steps[-1]."""
    copy = json.loads(json.dumps(contract))
    node = copy
    for step in steps[:-2]:
        node = node[step]
    node[steps[-2]] = steps[-1]
    return copy


def main():
    problems = []
    files = [f for kind in ("engines", "bugs") for f in sorted((ROOT / "configs" / kind).glob("*.json"))]
    for file in files:
        problems += [f"{file.name}{e}" for e in errors(json.loads(file.read_text()), SCHEMA)]
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
    for i, mistake in enumerate(mistakes):
        if not list(errors(mistake, SCHEMA)):
            problems.append(f"mistake {i} is accepted")
    print("\n".join(problems))
    print(f"{len(files)} contracts, {len(mistakes)} mistakes, {len(problems)} problems")
    return 1 if problems or len(files) < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
