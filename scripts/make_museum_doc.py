#!/usr/bin/env python3
"""Writes docs/museum.md from configs/bugs: each published bug with its row map, wrong and right, and what it taught.

    scripts/make_museum_doc.py [--program build/tplora] [--check]

The maps are those of `tplora layout` for the smallest geometry that shows the bug. --check writes nothing and fails where the page is
out of date."""

import argparse
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "museum.md"
SCENARIO = json.loads((ROOT / "configs/suites/museum.json").read_text())["cases"][0]["case"]
RANKS = 4  # ranks whose map is shown


def run(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 2:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def case_line(expect, engine):
    layer = f" layer={expect['layer']}" if "layer" in expect else ""
    return f"model={expect['model']}{layer} engine={engine} tp={expect['tp_size']} {expect.get('case', SCENARIO)}"


def row_map(text, weight):
    """The ranks' maps out of `layout`'s text, those of the base weight if asked for, or the findings where there are no maps."""
    lines = text.splitlines()
    ranks = [i for i, line in enumerate(lines) if line.startswith("  tp_rank ")]
    if not ranks:
        end = next((i for i, line in enumerate(lines) if line.startswith("findings:")), len(lines))
        return lines[0], lines[end + 1:end + 4]
    end = next((i for i, line in enumerate(lines) if line.startswith("findings:")), len(lines))
    stop = ranks[RANKS] if len(ranks) > RANKS else end
    more = [f"  ... and {len(ranks) - RANKS} more ranks"] if len(ranks) > RANKS else []
    kept = [line.rstrip() for line in lines[ranks[0]:stop] if weight or " weight " not in line]
    return lines[0], kept + more


def fenced(lines):
    return ["```text", *lines, "```", ""]


def engine_of(name):
    contract = json.loads((ROOT / "configs/bugs" / f"{name}.json").read_text())
    return contract["extends"]


def described(expect):
    shape = "a shape check is blind" if (expect["verdict"], expect["shape_check"]) == ("silent", "pass") else f"shape check: {expect['shape_check']}"
    rest = f", `{expect['case']}`" if "case" in expect else ""
    layer = f" {expect['layer']}" if "layer" in expect else ""
    return f"- {expect['role']}: `{expect['model']}`{layer}, tp_size {expect['tp_size']}{rest}: **{expect['verdict']}** ({shape})"


def needs(expect):
    """What a case has that no case of a proof has."""
    line = expect.get("case", SCENARIO)
    found = [words for pattern, words in (
        (r":rslora\b", "an rsLoRA adapter"),
        (r":[qkv]_r\d", "a lora_rank of its own for a part"),
        (r":[qkv]_alpha", "a lora_alpha of its own for a part"),
        (r":[qkv]_rows", "an adapter of another model"),
        (r"\brescale:", "an adapter whose lora_alpha changes"),
        (r"\bactivate:", "an adapter that comes into another slot, or back into one"),
        (r"\buse:", "an adapter that is used more than once")) if re.search(pattern, line)]
    return " and ".join(found) or "what its smallest case has"


def proved(program, name, smallest):
    """Whether `prove` meets the bug, or what it would need to."""
    done = subprocess.run([program, "prove", name, "--max-heads", "12", "--max-tp", "12", "--json"], capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 2:
        raise SystemExit(f"prove {name}: {done.stderr.strip()}")
    proof = json.loads(done.stdout)["proofs"][0]
    met = any(proof[half].get(smallest["verdict"], 0) for half in ("inside", "other_adapters", "other_numbers"))
    return "`tplora prove` meets it." if met else f"`tplora prove` does not meet it: it takes {needs(smallest)}."


def section(program, name):
    contract = json.loads((ROOT / "configs/bugs" / f"{name}.json").read_text())
    bug = contract["bug"]
    smallest = next(e for e in bug["expect"] if e["role"] == "smallest")
    text = run(program, "layout", "--case", case_line(smallest, name))
    weight = "! weight" in text
    head, wrong = row_map(text, weight)
    lines = [f"## {name}", "", f"**{bug['title']}.** {contract.get('engine', engine_of(name))}, {contract.get('version', '')}. "
             + " ".join(f"[{link.removeprefix('https://github.com/')}]({link})" for link in bug["links"]), "",
             f"Published: {bug['published']}", "", f"Symptom: {bug['symptom']}", ""]
    if "inferred" in bug:
        lines += [f"*Inferred, not reported*: {bug['inferred']}", ""]
    lines += [described(expect) for expect in bug["expect"]] + ["", proved(program, name, smallest), ""]
    lines += [f"With the bug, {head.split(', engine ')[0]}, tp_size {smallest['tp_size']}:", ""] + fenced(wrong)
    extended = engine_of(name)
    if (ROOT / "configs/engines" / f"{extended}.json").exists():
        try:
            head, right = row_map(run(program, "layout", "--case", case_line(smallest, extended)), weight)
            verdict = head.rsplit(": ", 1)[1]
            lines += [f"Without it ({extended}: {verdict}):", ""] + fenced(right)
        except SystemExit:
            lines += [f"{extended} takes adapters of another form.", ""]
    return lines + [f"What it taught: {bug['lesson']}", ""]


def page(program):
    names = sorted(path.stem for path in (ROOT / "configs/bugs").glob("*.json"))
    table = run(program, "verify", "configs/suites/museum.json").split("\n\n", 1)[1].split("\n\n")[0]
    left_out = json.loads((ROOT / "configs/museum.json").read_text())["left_out"]
    lines = ["# The museum", "", "Made by `scripts/make_museum_doc.py` from `configs/bugs`; do not edit. Every file there is an engine's contract with what was "
             "wrong in it, from a published report; `tplora verify configs/suites/museum.json` passes only if each is caught with its verdict "
             "and its finding. Facts are restated from the threads; numbers are those published or what they must be.", ""]
    lines += fenced([line.rstrip() for line in table.strip("\n").split("\n")])
    for name in names:
        lines += section(program, name)
    lines += ["## Left out", ""] + [f"- [{entry['name']}]({entry['link']}): {entry['reason']}." for entry in left_out]
    return "\n".join(lines).rstrip() + "\n"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--program", default=str(ROOT / "build" / "tplora"))
    arguments.add_argument("--check", action="store_true")
    options = arguments.parse_args()
    text = page(str(pathlib.Path(options.program).resolve()))
    if options.check:
        same = PAGE.exists() and PAGE.read_text() == text
        print("docs/museum.md is up to date" if same else "docs/museum.md is out of date: run scripts/make_museum_doc.py")
        return 0 if same else 1
    PAGE.write_text(text)
    print(f"{PAGE.relative_to(ROOT)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
