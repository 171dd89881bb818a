#!/usr/bin/env python3
"""Records vectors of the Hopper matrix unit into tests/data/tensor_core: index.json and one file of raw patterns for each type.

    python3 tests/gpu/record_vectors.py --out tests/data/tensor_core [--model build/tests/gpu/gpu_model]

Needs a GPU of compute capability 9.0, nvcc and numpy. With --model every vector is replayed on the CPU at once, and a table is printed.
Same seed, same operands: a second recording differs only where the hardware does."""
import argparse
import json
import sys
from pathlib import Path

import numpy as np

import problems
from cpu_model import CpuModel
from formats import FORMATS, canonical, fp8_as_fp16
from matrix_unit import INSTRUCTIONS, RESULT_DTYPE, MatrixUnit, instruction

SEED = 20260701
LIMIT_BYTES = 2_500_000


def rule_of(one):
    """Which arithmetic the vectors of an instruction are to be held against (README.md)."""
    if one.result == "fp16":
        return "fp16_result"
    if one.depth == 8 and one.type != "tf32":
        return "half_depth"
    if one.family == "mma.sync" and one.depth == 32:
        return "fp8_by_fp16"
    return "unit"


def problems_of(rule, f, seed):
    rng = np.random.default_rng(seed)
    make = {"unit": problems.group_and_chain_problems, "half_depth": problems.half_depth_problems,
            "fp16_result": problems.fp16_result_problems}
    if rule == "fp8_by_fp16":  # a selection: the operands are shared with wgmma's, so only results are stored
        wanted = ("moderate", "wide", "finite", "live c", "chain of", "c is about", "fingerprint")
        return [p for p in problems.group_and_chain_problems(f, rng) if p.name.startswith(wanted)]
    return list(make[rule](f, rng))


class Blob:
    """One file of patterns; equal arrays are stored once."""

    def __init__(self):
        self.bytes, self.places = bytearray(), {}

    def put(self, array):
        raw = np.ascontiguousarray(array).tobytes()
        if raw not in self.places:
            self.bytes.extend(b"\0" * (-len(self.bytes) % 4))
            self.places[raw] = len(self.bytes)
            self.bytes.extend(raw)
        return self.places[raw]


# ---- the unit ----

def run(unit, one, rule, problem):
    x, w = problem.x, problem.w
    if rule == "half_depth":  # without the stored zeros
        x, w = (rows.reshape(len(rows), -1, 2, 8)[:, :, 0].reshape(len(rows), -1) for rows in (x, w))
    return unit.run(one.name, x, w, problem.c)


def check_layout(unit, one):
    """Small integers, whose sum has one answer: tells a wrong fragment or descriptor from strange arithmetic. How many are wrong."""
    f, rng = FORMATS[one.type], np.random.default_rng(1)
    depth, tokens, columns = 3 * one.depth, 70, 19
    patterns = lambda values: f.words(values < 0, np.where(values == 0, 0, f.bias), 0)
    x, w = rng.integers(-1, 2, (tokens, depth)), rng.integers(-1, 2, (columns, depth))
    c = rng.integers(-9, 10, (tokens, columns))
    float_type = {"fp32": np.float32, "fp16": np.float16}[one.result]
    y = unit.run(one.name, patterns(x), patterns(w), c.astype(float_type).view(RESULT_DTYPE[one.result]))
    return int((y.view(float_type) != x @ w.T + c).sum())


# ---- the CPU's answer ----

def fp8_by_fp16(model, f, problem):
    """mma.sync on fp8 under sm_90, read in the SASS that ptxas 13.0 makes of it: operands become fp16; of each four neighbours in k the
    first two go into one 16-product step that starts at zero, the other two into a second that continues it; an fp32 addition adds c."""
    x, w = fp8_as_fp16(problem.x, f.name), fp8_as_fp16(problem.w, f.name)
    halves = lambda rows: rows.reshape(len(rows), 8, 2, 2).transpose(0, 2, 1, 3).reshape(len(rows), 32)
    y = np.zeros((len(x), len(w)), np.float32) if problem.c is None else problem.c.view(np.float32)
    with np.errstate(all="ignore"):
        for k in range(0, x.shape[1], 32):
            step = model.dot("tensor_core:hopper", "fp16", halves(x[:, k:k + 32]), halves(w[:, k:k + 32]))
            y = y + step.view(np.float32)
    return y.view(np.uint32)


def expected(model, one, rule, problem):
    """The CPU's patterns, or None where gpu_model has no such rule."""
    if rule == "fp16_result":
        return None
    if rule == "fp8_by_fp16":
        return fp8_by_fp16(model, FORMATS[one.type], problem)
    return model.dot("tensor_core:hopper", one.type, problem.x, problem.w, problem.c)


# ---- recording ----

def entry(blob, one, rule, problem, y):
    place = {"x": blob.put(problem.x), "w": blob.put(problem.w)}
    if problem.c is not None:
        place["c"] = blob.put(problem.c)
    return {"name": problem.name, "instruction": one.family, "ptx": one.name, "rule": rule, "type": one.type, "result_type": one.result,
            "file": f"{one.type}.bin", "T": len(problem.x), "N": len(problem.w), "K": problem.x.shape[1], **place,
            "result": blob.put(y)}


def record(unit, model, wanted):
    blobs, entries, table = {}, [], []
    for one in INSTRUCTIONS:
        if wanted and one.type not in wanted:
            continue
        rule, f = rule_of(one), FORMATS[one.type]
        misplaced = check_layout(unit, one)
        if misplaced:
            print(f"{one.name} is not recorded: {misplaced} sums of small integers are wrong, so operands are not where it reads them "
                  "(matrix_unit.cu)", flush=True)
            table.append((one.name, rule, "small integers", 70 * 19, misplaced))
            continue
        blob = blobs.setdefault(one.type, Blob())
        for problem in problems_of(rule, f, SEED + list(FORMATS).index(f.name)):
            y = run(unit, one, rule, problem)
            entries.append(entry(blob, one, rule, problem, y))
            ours = expected(model, one, rule, problem) if model else None
            wrong = None if ours is None else int((canonical(ours, "fp32") != canonical(y, "fp32")).sum())
            table.append((one.name, rule, problem.name, y.size, wrong))
    return blobs, entries, table


def say_fingerprints(blobs, entries):
    """Row 9 is the largest term at the middle exponent in natural order, column 0 the factor 1: the answer tells the unit's last bit."""
    for e in entries:
        if e["name"].startswith("fingerprint"):
            at = e["result"] + 4 * 9 * e["N"]
            print(f"fingerprint of {e['ptx']}: {np.frombuffer(bytes(blobs[e['type']].bytes[at:at + 4]), np.float32)[0]}")


def say_table(table):
    print("| instruction | rule | vectors | mismatches | where |\n|---|---|---|---|---|")
    for name, rule in dict.fromkeys((row[0], row[1]) for row in table):
        rows = [row for row in table if row[0] == name]
        wrong = [row for row in rows if row[4]]
        known = all(row[4] is not None for row in rows)
        print(f"| {name} | {rule} | {sum(row[3] for row in rows)} | {sum(row[4] for row in wrong) if known else 'not replayed'} | "
              + "; ".join(f"{row[2]}: {row[4]} of {row[3]}" for row in wrong) + " |")


def write(out, blobs, entries):
    out.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, blob in blobs.items():
        (out / f"{name}.bin").write_bytes(blob.bytes)
        total += len(blob.bytes)
    head = {"format": "tplora-tensor-core-vectors/1", "gpu": "Hopper", "byte_order": "little", "seed": SEED}
    lines = ",\n  ".join(json.dumps(e) for e in entries)
    (out / "index.json").write_text(json.dumps(head)[:-1] + f',\n "vectors": [\n  {lines}]}}\n')
    print(f"{len(entries)} sets, {sum(e['T'] * e['N'] for e in entries)} results, {total} bytes in {out}")
    if total > LIMIT_BYTES:
        raise SystemExit(f"{total} bytes are more than the {LIMIT_BYTES} that a repository should carry: make sets of problems.py smaller")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("tests/data/tensor_core"))
    parser.add_argument("--model", help="gpu_model, to replay what is recorded")
    parser.add_argument("--types", nargs="*", choices=list(FORMATS), help="only these (a smoke test)")
    options = parser.parse_args()
    model = CpuModel(options.model) if options.model else None
    blobs, entries, table = record(MatrixUnit(), model, options.types)
    say_fingerprints(blobs, entries)
    say_table(table)
    write(options.out, blobs, entries)
    return 1 if any(row[4] for row in table) else 0


if __name__ == "__main__":
    sys.exit(main())
