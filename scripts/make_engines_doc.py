#!/usr/bin/env python3
"""Writes docs/engines.md: what each engine's contract does, measured and not remembered.

    scripts/make_engines_doc.py [--program build/tplora] [--check] [--tp 1,2,4,8,16,32]

Proves every contract of configs/engines, then plans every model of configs/models under every engine at each
tp_size (skipped, and said so, when there are no models). --check writes nothing and fails where the page is out of date."""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "engines.md"
NAMED = 6  # models named for each tp_size; the rest are counted


def call(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 2:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def place_free(text):
    """Findings name files by absolute path; the page must not."""
    return text.replace(str(ROOT) + "/", "")


def readable(program, engine, model):
    done = subprocess.run([program, "layout", "--model", model, "--engine", engine, "--tp", "1", "--json"],
                          capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 2:
        print(f"left out: {done.stderr.strip()}", file=sys.stderr)
    return done.returncode != 2


def sweep(program, engines, sizes):
    """The models, and (engine, tp_size, verdict) -> names of models with a layer kind of that verdict. A layer kind
    outside the contract's claims counts as "unclaimed", whatever its verdict."""
    models = [name for name in call(program, "list", "models").split("\n") if name]
    models = [name for name in models if readable(program, engines[0], name)]
    jobs = [(m, e, t) for e in engines for m in models for t in sizes]

    def one(job):
        model, engine, tp_size = job
        report = json.loads(call(program, "layout", "--model", model, "--engine", engine, "--tp", str(tp_size), "--json"))
        verdicts = {layer["verdict"] if layer["claimed"] or layer["verdict"] == "refused" else "unclaimed"
                    for layer in report["layers"] if layer["verdict"] != "not_applicable"}
        return job, verdicts

    found = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (model, engine, tp_size), verdicts in pool.map(one, jobs):
            for verdict in verdicts:
                found.setdefault((engine, tp_size, verdict), []).append(model)
    return models, found


def geometry(point):
    text = f"H={point['H']}, KV={point['KV']}, D={point['D']}"
    text += f", Dv={point['Dv']}" if point["Dv"] != point["D"] else ""
    text += ", gated q" if point["gate"] == 2 else ""
    return f"{text}, tp_size {point['tp_size']}"


def names(models):
    listed = ", ".join(f"`{m}`" for m in sorted(models)[:NAMED])
    more = len(models) - NAMED
    return listed + (f" and {more} more" if more > 0 else "")


def row(proof):
    inside = proof["inside"]
    smallest = proof["counterexample"] or proof["smallest_crash"]
    word = "silently wrong" if inside["silent"] else "holds" if proof["holds"] else "consistent nowhere"
    return (f"| [{proof['engine']}](#{proof['engine']}) | {word} | {inside['consistent']} | {inside['refused']} | "
            f"{inside['crash']} | {inside['silent']} | {geometry(smallest) if smallest else '-'} |")


def point_text(title, point):
    message = place_free(point["findings"][0]["message"]) if point["findings"] else ""
    return [f"**{title}**: {geometry(point)}. {message}", "", f"    tplora replay \"{point['case']}\"", ""]


def confirmation(proof, contract):
    point = proof["counterexample"]
    if any(json.loads(path.read_text())["contract"] == proof["engine"] for path in (ROOT / "tests/engines/dumps").glob("*.json")):
        return ["The rows of a release that was run stand where this contract says, see above; what its attention then makes of them was "
                "not run.", ""]
    lines = ["This is so *by our transcription* of the sources below. To confirm it, serve a model with "
             f"{geometry(point)} and an adapter whose rows differ from head to head, and compare what the finding above names, on that "
             "tp_rank, with the unsharded delta.", ""]
    return lines if contract.get("notes", "") else []


def merged(name):
    """The keys a reader of the page wants, with `extends` followed."""
    contract = json.loads((ROOT / "configs" / "engines" / f"{name}.json").read_text())
    if "extends" in contract:
        below = merged(contract["extends"])
        if "/variants" in contract.get("remove", []):
            below.pop("variants", None)
        contract = {**below, **contract}
    return contract


def condition(variant):
    """For which models a variant is, in words."""
    words = []
    if "modules" in variant:
        words.append("modules " + ", ".join(f"`{name}`" for name in variant["modules"]))
    if "architectures" in variant:
        words.append("architectures " + ", ".join(f"`{name}`" for name in variant["architectures"]))
    types = variant.get("model_types", [])
    if types == ["*"]:
        words.append("every other model_type")
    elif types:
        words.append("model_type " + ", ".join(f"`{name}`" for name in types))
    return "; ".join(words)


def variant_lines(contract):
    variants = contract.get("variants", [])
    lines = ["By class of models (the first that fits):", "", "| models | what holds for them | conditions |", "|---|---|---|"]
    for variant in variants:
        changes = [f"`{pointer.split('/')[-1]}` is `{value}`" for pointer, value in variant.get("replace", {}).items()]
        for value in variant.get("add", {}).values():
            ends = {"refused": "refused", "crash": "crash"}.get(value.get("else"), "not claimed")
            unless = "" if value["that"] == "0 == 1" else f" unless `{value['that']}`"
            changes.append(f"{ends}{unless}: {value['say']}")
        lines.append(f"| {variant['say']} | {'; '.join(changes) or 'the rules above'} | {condition(variant)} |")
    return lines + [""] if variants else []


def section(proof, models, found, sizes):
    name = proof["engine"]
    contract = merged(name)
    lines = [f"## {name}", "", f"{contract['engine']}: {contract.get('version', '')}.", ""]
    for claim in proof["claims"]:
        lines.append(f"Claimed where `{claim['that']}`: {claim['say']}.")
    lines += [""] if proof["claims"] else []
    if proof["counterexample"]:
        lines += point_text("Silently wrong, smallest case", proof["counterexample"])
        lines += confirmation(proof, contract)
    if proof["smallest_crash"]:
        lines += point_text("Crashes, smallest case", proof["smallest_crash"])
    if proof["outside_counterexample"]:
        lines += point_text("Outside the claims, silently wrong, smallest case", proof["outside_counterexample"])
    for verdict, word in (("silent", "Silently wrong"), ("crash", "Crashes")):
        sized = [(t, found[(name, t, verdict)]) for t in sizes if (name, t, verdict) in found]
        if sized:
            lines.append(f"{word}, of the {len(models)} published models at lora_rank 16:")
            lines += [""] + [f"- tp_size {t}: {len(set(m))} models: {names(set(m))}" for t, m in sized] + [""]
    refused = [f"{len(set(found[(name, t, 'refused')]))} at tp_size {t}" for t in sizes if (name, t, "refused") in found]
    if refused:
        lines += [f"Refused models: {', '.join(refused)}.", ""]
    unclaimed = {m for t in sizes for m in found.get((name, t, "unclaimed"), [])}
    if unclaimed:
        lines += [f"Outside the claims, nothing said about them: {len(unclaimed)} models: {names(unclaimed)}.", ""]
    lines += variant_lines(contract)
    if contract.get("notes"):
        lines += [f"Notes: {contract['notes']}", ""]
    return lines + ["Read in: " + "; ".join(contract.get("source", [])) + ".", ""]


def releases():
    """What the dumps of tests/engines hold; tests/engine_dumps_test.cpp fails where one and its contract differ."""
    lines = ["## Held against published releases", "",
             "Scripts in `tests/engines` ran the slicing and loading code of these releases on a CPU, with adapters whose values are row "
             "labels. In every case below the contract puts every row of the base weight, of B and of A where the release put it, or ends "
             "as the release ended; the tests replay them. TensorRT-LLM's releases could not be had "
             "(the package index has no code of theirs), nor were LoRAX, SGLang-JAX and llama.cpp run.", "",
             "| contract | release | cases | loaded | refused | crash |", "|---|---|---|---|---|---|"]
    stubbed = collections.defaultdict(list)
    for path in sorted((ROOT / "tests/engines/dumps").glob("*.json")):
        dump = json.loads(path.read_text())
        release = f"{dump['package']} {dump['release']}"
        ends = [case["ends"] for case in dump["cases"]]
        lines.append(f"| {dump['contract'].removesuffix('.json').split('/')[-1]} | {release} | {len(ends)} | "
                     + " | ".join(str(ends.count(end)) for end in ("loaded", "refused", "crash")) + " |")
        for what in dump["stubbed"]:
            stubbed[what].append(release)
    lines += ["", "Replaced while they ran:", ""]
    return lines + [f"- {what} ({', '.join(sorted(set(of)))})" for what, of in stubbed.items()] + [""]


def classes():
    """The measures over the models whose classes were run, counted by tests/engine_models_test.cpp."""
    measures = json.loads((ROOT / "tests/engines/measure.json").read_text())
    lines = ["## Held against the engines' model classes", "",
             "For every model of `configs/models` and every tp_size from 1 to 32 the release's own class was built on the meta device, wrapped "
             "by its own LoRA code and given an adapter of the modules that the published checkpoint has: does it end as the contract says, "
             "and are its buffers and their slices as long as it says? Counted are pairs of a layer kind with a qkv projection and a tp_size.", "",
             "| contract | release | models | classes | compared | different |", "|---|---|---|---|---|---|"]
    rest = []
    for path in sorted((ROOT / "tests/engines/models").glob("*.json")):
        dump = json.loads(path.read_text())
        release = f"{dump['package']} {dump['release']}"
        counted = measures[path.stem]
        served = {item["architecture"] for item in dump["models"].values()}
        lines.append(f"| {dump['contract']} | {release} | {len(dump['models'])} | {len(served)} | {counted['compared']} | {counted['different']} |")
        rest += ["", f"{release}, not compared:", ""]
        rest += [f"- {count} pairs: {reason}" for reason, count in sorted(counted["not_compared"].items())]
        left_out = collections.defaultdict(list)
        for model, why in dump["left_out"].items():
            left_out[why.split(":")[0] if why.startswith("not built") else why].append(model)
        words = {"not built": "the class cannot be built from the copy of the config (the dump says why)"}
        rest += [f"- {len(group)} models, {words.get(why, why)}: {names(group)}" for why, group in sorted(left_out.items())]
        rest += ["", f"{release}, replaced while it ran:", ""] + [f"- {what}" for what in dump["stubbed"]]
    return lines + rest + [""]


def page(proofs, models, found, sizes, held):
    limits = proofs[0]["range"]
    lines = ["# What each engine does", "",
             "Made by `scripts/make_engines_doc.py`; do not edit. Every line follows from a contract in `configs/engines`, a transcription "
             "of sources that were read at the commits named below.", "",
             f"Range of the proofs: H up to {limits['max_heads']}, KV dividing H, D in {limits['head_dims']}, Dv in D and D+1, with and "
             f"without gate, tp_size up to {limits['max_tp_size']}, lora_rank below and at R. Cases are counted inside each contract's claims.",
             "", "| contract | verdict | consistent | refused | crash | silent | smallest silent, else smallest crash |",
             "|---|---|---|---|---|---|---|"]
    lines += [row(proof) for proof in proofs] + [""]
    lines += [f"{len(models)} published models at tp_size {', '.join(map(str, sizes))}, planned with a batch of four tokens, or of a multiple of tp_size where a contract looks at tokens." if models else
              "No models were there when this page was made: run the script again with `configs/models`.", ""]
    lines += releases() + held
    for proof in proofs:
        lines += section(proof, models, found, sizes)
    return "\n".join(lines).rstrip() + "\n"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--program", default=str(ROOT / "build" / "tplora"))
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--tp", default="1,2,4,8,16,32")
    options = arguments.parse_args()
    program = str(pathlib.Path(options.program).resolve())
    sizes = [int(size) for size in options.tp.split(",")]
    proofs = json.loads(call(program, "prove", "--json"))["proofs"]
    models, found = sweep(program, [proof["engine"] for proof in proofs], sizes)
    text = page(proofs, models, found, sizes, classes())
    if options.check:
        same = PAGE.exists() and PAGE.read_text() == text
        print("docs/engines.md is up to date" if same else "docs/engines.md is out of date: run scripts/make_engines_doc.py")
        return 0 if same else 1
    PAGE.write_text(text)
    print(f"{PAGE.relative_to(ROOT)}: {len(proofs)} contracts, {len(models)} models")
    return 0


if __name__ == "__main__":
    sys.exit(main())
