#!/usr/bin/env python3
"""The architecture as a test: who may include whom, where third-party headers may stand, and that
no engine, bug or model name occurs in the sources of the simulator or the verifier."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# folder -> folders it may include (itself always).
ALLOWED = {
    "sim/base": [],
    "sim/model": ["sim/base"],
    "sim/contract": ["sim/base"],
    "sim/layout": ["sim/base", "sim/model", "sim/contract"],
    "sim/numerics": ["sim/base"],
    "sim/adapter": ["sim/base", "sim/model", "sim/numerics"],
    "sim/data": ["sim/base", "sim/model", "sim/numerics", "sim/adapter"],
    "sim/pool": ["sim/base", "sim/model", "sim/contract", "sim/layout", "sim/numerics", "sim/adapter"],
    "sim/ranks": ["sim/*"],
    "verify/reference": ["sim/base", "sim/model", "sim/numerics", "sim/adapter", "sim/data"],
    "verify/case": ["sim/base", "sim/model", "sim/contract", "sim/layout", "sim/numerics", "sim/adapter", "sim/data"],
    "verify/compare": ["sim/base", "sim/numerics"],
    "verify/explain": ["sim/base", "sim/model", "sim/contract", "sim/layout", "sim/data", "sim/pool", "sim/ranks", "verify/compare"],
    "verify/bugs": ["sim/base", "sim/model", "sim/contract", "sim/layout", "verify/case"],
    "verify/mutants": ["sim/base", "sim/model", "sim/contract", "sim/layout", "verify/explain"],
    "verify/run": ["sim/*", "verify/reference", "verify/case", "verify/compare", "verify/explain", "verify/bugs"],
    "verify/report": ["sim/*", "verify/case", "verify/compare", "verify/explain", "verify/bugs", "verify/mutants", "verify/run", "verify/check", "verify/golden", "verify/peft", "verify/safetensors"],
    "verify/safetensors": ["sim/base", "sim/numerics"],
    "verify/golden": ["sim/*", "verify/case", "verify/peft", "verify/reference", "verify/run", "verify/safetensors"],
    "verify/peft": ["sim/base", "sim/model", "sim/contract", "sim/adapter", "verify/case", "verify/safetensors"],
    "verify/check": ["sim/*", "verify/bugs", "verify/case", "verify/reference", "verify/run", "verify/safetensors", "verify/golden"],
    "verify/cli": ["sim/*", "verify/*"],
    "tplora": ["sim/*", "verify/*"],
}
# No room of the house may use the interface, and the interface no arguments and no output.
ALLOWED["tplora"].remove("verify/*")
ALLOWED["tplora"] += [f for f in ALLOWED if f.startswith("verify/") and f != "verify/cli"]

# The public headers: namespace tplora; they include each other and nothing else of ours. All other
# code is in namespaces below.
PUBLIC = {
    "tplora/tplora.hpp",
    "sim/base/range.hpp",
    "sim/base/result.hpp",
    "sim/layout/proof_range.hpp",
    "sim/layout/verdict.hpp",
    "sim/model/geometry.hpp",
}
PUBLIC_SOURCES = {header.replace(".hpp", ".cpp") for header in PUBLIC} | {"tplora/golden.cpp"}

# third-party header -> files in which it may stand
THIRD_PARTY = {
    "nlohmann": {"sim/base/json.hpp"},
    "CLI/": {"verify/cli/main.cpp", "verify/cli/suite_options.hpp"},
    "tbb": {"sim/base/parallel_for.cpp"},
    "catch2": {"tests/catch.hpp"},
    "tl/": {"sim/base/result.hpp"},
    "openssl": {"sim/base/sha256.cpp"},
    "Eigen": {"sim/numerics/matrix.hpp"},
}

# A room that a reader can take in: lines of a file of sim and verify.
MAX_LINES = 400

INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)


def folder_of(path):
    return "tplora" if path.startswith("tplora/") else "/".join(path.split("/")[:2])


def problems_of_interface(path, text):
    """What is wrong with the namespaces of a file, and with what a public header includes."""
    opened = re.findall(r"^namespace (tplora[\w:]*) {", text, re.M)
    if path in PUBLIC:
        for header in INCLUDE.findall(text):
            if header.startswith(("sim/", "verify/", "tplora/")) and header not in PUBLIC:
                yield f"{path}: is public and may not include {header}"
    if path in PUBLIC | PUBLIC_SOURCES:
        wrong = [name for name in opened if name not in ("tplora", "tplora::core")]
    else:
        wrong = [name for name in opened if not name.startswith("tplora::core")]
    for name in wrong:
        yield f"{path}: namespace {name} is not where {'public' if path in PUBLIC else 'inner'} code lives"


def allowed(folder, target):
    return target == folder or any(
        target == rule or (rule.endswith("/*") and target.startswith(rule[:-1]))
        for rule in ALLOWED[folder]
    )


def names_of_engines_bugs_models():
    names = set()
    for kind in ("engines", "bugs"):
        for file in (ROOT / "configs" / kind).glob("*.json"):
            names.add(file.stem.lower())
            names.add(json.loads(file.read_text()).get("engine", file.stem).lower())
    for file in (ROOT / "configs" / "models").rglob("*.json"):
        if file.name != "index.json":
            names.add(file.stem.lower())
    return names


def main():
    problems = []
    sources = [p for top in ("sim", "verify", "tplora") for p in sorted((ROOT / top).rglob("*.[ch]pp"))]
    names = "|".join(re.escape(name) for name in sorted(names_of_engines_bugs_models()))
    named = re.compile(rf"(?<![\w-])({names})(?![\w-])")
    # Three tables are made of names: rounding programs are called after the engines they describe,
    # and config.json files say their family in model_type, which some models share as a name.
    may_name = {"sim/numerics/program.cpp", "sim/model/family_rules.cpp", "sim/model/layer_prefix.cpp"}
    for file in sources:
        path = file.relative_to(ROOT).as_posix()
        text = file.read_text()
        folder = folder_of(path)
        if folder != "tplora" and text.count("\n") > MAX_LINES:
            problems.append(f"{path}: {text.count(chr(10))} lines, expected at most {MAX_LINES}")
        if folder not in ALLOWED:
            problems.append(f"{path}: folder {folder} is not part of the architecture")
            continue
        for header in INCLUDE.findall(text):
            if header.startswith(("sim/", "verify/", "tplora/")) and not allowed(folder, folder_of(header)):
                problems.append(f"{path}: may not include {header}")
            for library, files in THIRD_PARTY.items():
                if header.startswith(library) and path not in files:
                    problems.append(f"{path}: {header} belongs in {', '.join(sorted(files))}")
        problems.extend(problems_of_interface(path, text))
        if path in may_name or path in ("verify/cli/main.cpp", "verify/cli/suite_options.cpp", "tplora/tplora.hpp"):
            continue  # these teach with an example
        for name in sorted(set(named.findall(text.lower()))):
            problems.append(f"{path}: names the engine, bug or model \"{name}\"")
    print("\n".join(problems))
    print(f"{len(sources)} files, {len(problems)} problems")
    return 1 if problems or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
