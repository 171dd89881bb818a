#!/usr/bin/env python3
"""Writes docs/findings.md: what becomes of every published model under every engine, and which were served wrongly before
each fix of the museum. From reports of `tplora verify`.

    scripts/make_findings_doc.py [--program build/tplora] [--check]

--check writes nothing and fails where the page is out of date."""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "findings.md"
SIZES = [1, 2, 4, 8, 16, 32, 64]
MARKS = {"not_applicable": ".", "refused": "r", "consistent": "=", "silent": "S", "crash": "C", "error": "!"}
WORST = ".r=scSC!"  # later hides earlier
BUGS_A_RUN = 20
NAMES_SHOWN = 8
# What a bug's record does not say itself: as configs/suites/museum.json.
MUSEUM = json.loads((ROOT / "configs" / "suites" / "museum.json").read_text())["cases"][0]["case"]


def report(program, suite):
    """The lines of a run's report: header, cases, footer."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "report.jsonl"
        done = subprocess.run([program, "verify", suite, "--report", path], cwd=ROOT, stdout=subprocess.DEVNULL)
        if done.returncode not in (0, 2):
            raise SystemExit(f"{suite}: exit code {done.returncode}")
        with open(path) as lines:
            lines = [json.loads(line) for line in lines]
    return lines[0], lines[1:-1], lines[-1]


def mark(case):
    """A small letter where the contract claims nothing."""
    sign = MARKS[case["verdict"]]
    return sign.lower() if case.get("unclaimed") and sign in "SC" else sign


def layer(case):
    return case["model"] + (f" {case['layer']}" if "layer" in case else "")


def some(names):
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown + (f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else "")


def engines(cases):
    """For each engine its rows: the marks over tp_sizes, and the layers that have them."""
    marks = collections.defaultdict(lambda: collections.defaultdict(dict))
    sizes = sorted({case["tp_size"] for case in cases})
    for case in cases:
        if "heads" not in case and case["verdict"] != "error":
            continue
        at = marks[case["engine"]][layer(case)]
        at[case["tp_size"]] = max(at.get(case["tp_size"], "."), mark(case), key=WORST.index)
    lines = []
    for engine in sorted(marks):
        rows = collections.defaultdict(list)
        for name, at in marks[engine].items():
            rows[" ".join(at.get(size, " ") for size in sizes)].append(name)
        lines += [f"### {engine}", "", f"| {' '.join(map(str, sizes))} | models | which |", "|---|---:|---|"]
        for row, names in sorted(rows.items(), key=lambda one: (-len(one[1]), one[0])):
            lines.append(f"| `{row}` | {len(names)} | {some(sorted(names))} |")
        lines.append("")
    return lines


def contract(name):
    return json.loads((ROOT / "configs" / "bugs" / f"{name}.json").read_text())


def healthy(name):
    """The nearest contract extended that is no bug's."""
    below = contract(name)["extends"]
    return healthy(below) if (ROOT / "configs" / "bugs" / f"{below}.json").exists() else below


def bug_suites(names):
    """Each bug and the engine that it extends, on every model, as the bug was published."""
    for first in range(0, len(names), BUGS_A_RUN):
        entries = []
        for name in names[first:first + BUGS_A_RUN]:
            wrong = [one for one in contract(name)["bug"]["expect"] if one["verdict"] in ("silent", "crash")]
            line = wrong[0].get("case", MUSEUM)
            dp = next((int(word[3:]) for word in line.split() if word.startswith("dp=")), 1)
            entries.append({"models": ["*"], "engines": [name, healthy(name)], "case": line, "fit": True,
                            "tp": [size for size in SIZES if size % dp == 0]})
        yield {"format": "tplora-suite/1", "name": "bugs", "mode": "report", "cases": entries}


def bugs(program):
    """Each bug with what it makes worse."""
    names = sorted(path.stem for path in (ROOT / "configs" / "bugs").glob("*.json"))
    rows = []
    for suite in bug_suites(names):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(suite, file)
            file.flush()
            _, cases, _ = report(program, file.name)
        entries = [entry["engines"] for entry in suite["cases"]]
        found = [({}, {}) for _ in entries]  # by layer and tp_size: under the bug, and without it
        at = 0
        for case in sorted(cases, key=lambda case: case["number"]):
            at += case["engine"] not in entries[at]
            found[at][case["engine"] != entries[at][0]][layer(case), case["tp_size"]] = mark(case)
        for (bug, engine), (sick, healthy) in zip(entries, found):
            worse = {key: value for key, value in sick.items() if value in "SC" and healthy[key] == "="}
            silent = sorted({key[0] for key, value in worse.items() if value == "S"})
            crash = sorted({key[0] for key, value in worse.items() if value == "C"})
            rows.append((bug, engine, silent, sorted({key[1] for key, value in worse.items() if value == "S"}), crash))
    return rows


def page(program):
    header, cases, footer = report(program, "wide")
    counts = ", ".join(f"{count} {word}" for word, count in sorted(footer["verdicts"].items()))
    numbers = sum(case.get("numbers", {}).get("state") == "equal" for case in cases)
    models = len({case["model"] for case in cases})
    lines = ["# What published models meet", "",
             "Made by `scripts/make_findings_doc.py` from reports of `tplora verify`; do not edit. What a contract says of an engine is held against the engine's own "
             "code where [engines.md](engines.md#held-against-published-releases) says so. A letter is what becomes of adapters on q, k and v (lora_rank 16 and 64, two side by side, after "
             "another has left their slot) at one tp_size:", "",
             "`=` every law holds; `r` refused before anything is served; `C` crash; `S` silent: served wrongly, past every shape check; small letters where the contract does not "
             "claim to work; `.` no qkv projection.", "",
             f"{header['cases']} cases: {models} models, their layer kinds, {len({case['engine'] for case in cases})} engines ({counts}). The numbers of a sample of them, every 503rd, were run too: "
             f"{numbers} equal, {sum(case.get('numbers', {}).get('state') == 'different' for case in cases)} different; of cases that are refused or crash there are none.", "",
             "## By engine", ""]
    lines += engines(cases)
    lines += ["## Before each fix", "",
              "For each published bug of [the museum](museum.md): layers of published models that the contract with the bug serves wrongly, or crashes on, where the contract "
              "without it keeps every law; with the adapters of the published case, at tp 1 to 64. Where both "
              "counts are 0 the engine without it does the same there, or nothing is claimed.", "",
              "| bug | of | silent | at tp | crash | silent for instance |", "|---|---|---:|---|---:|---|"]
    for name, engine, silent, at, crash in bugs(program):
        lines.append(f"| {name} | {engine} | {len(silent)} | {', '.join(map(str, at))} | {len(crash)} | {some(silent)} |")
    return "\n".join(lines).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=str(ROOT / "build" / "tplora"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = page(str(pathlib.Path(options.program).resolve()))
    if not options.check:
        PAGE.write_text(text)
    elif PAGE.read_text() != text:
        print(f"{PAGE} is not what {pathlib.Path(__file__).name} writes: run it again")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
