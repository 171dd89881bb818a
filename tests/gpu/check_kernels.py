#!/usr/bin/env python3
"""Whole GPU kernels against the CPU's model of the matrix unit, bit for bit, at the QKV shapes of real models.

    python3 tests/gpu/check_kernels.py --model build/tests/gpu/gpu_model --out $OUT [--seconds 420]

Needs a Hopper GPU, PyTorch and Triton. Writes check_kernels.json (every comparison) and check_kernels.md (the table), also when the time
runs out on the way: the table says what was compared, not what was planned. Exit code 1 if any bit differs.

One product of the CPU serves many kernels: with no split of K, a result depends on its own row of x and its own row of w alone. So
x [512, hidden] and the whole w of a model are multiplied once; fewer tokens are some rows of that, a rank's shard some columns."""
import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

import kernels
from cpu_model import DEFAULT, CpuModel
from kernels import DEVICE
from shapes import MODELS, projection

TP_SIZES = (1, 2, 4, 8)
TOKENS = {1: 511, 4: 0, 16: 16, 64: 64, 512: 0}  # how many, and the first row of x
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
FP8_TOKENS = 64  # the CPU's fp8 may be slower: fewer rows
HOPPER = "tensor_core:hopper"


def words(tensor):
    """A tensor's bit patterns as a NumPy array."""
    as_int = {1: torch.uint8, 2: torch.int16, 4: torch.int32}[tensor.element_size()]
    unsigned = {1: np.uint8, 2: np.uint16, 4: np.uint32}[tensor.element_size()]
    return tensor.contiguous().view(as_int).cpu().numpy().view(unsigned)


def draw(rows, depth, spread, dtype, generator):
    """Normal values times powers of two from 2^-spread to 2^spread: terms of all sizes meet, and nothing overflows."""
    values = torch.randn(rows, depth, generator=generator, device=DEVICE)
    exponents = torch.randint(-spread, spread + 1, (rows, depth), generator=generator, device=DEVICE)
    return (values * torch.exp2(exponents.float())).to(dtype)


def differing(y, expected):
    """How many patterns of the kernel's y differ from the fp32 results `expected` (on the GPU), rounded to y's type to nearest even."""
    as_int = {2: torch.int16, 4: torch.int32}[y.element_size()]
    wrong = y.view(as_int) != expected.to(y.dtype).view(as_int)
    return int((wrong & ~(y.isnan() & expected.isnan())).sum())


class Table:
    def __init__(self, seconds):
        self.rows, self.left, self.start, self.seconds = [], [], time.monotonic(), seconds

    @property
    def time_is_up(self):
        return time.monotonic() - self.start > self.seconds

    def add(self, kernel, dtype, layer, tp_size, shape, compared, mismatches, **more):
        tokens, columns, depth = shape
        self.rows.append({"kernel": kernel, "dtype": dtype, "model": layer.model, "tp_size": tp_size, "tokens": tokens, "columns": columns,
                          "depth": depth, "compared": compared, "mismatches": mismatches, **more})

    def progress(self, what):
        compared, wrong = sum(r["compared"] for r in self.rows), sum(r["mismatches"] for r in self.rows)
        print(f"{time.monotonic() - self.start:6.1f} s  {what}: {compared:,} results compared so far, {wrong:,} differ", flush=True)


class Operands:
    """One model's x and w in one type on the GPU, cut into the shapes of all tp sizes and token counts."""

    def __init__(self, layer, dtype_name, seed, max_tokens=512):
        generator = torch.Generator(device=DEVICE).manual_seed(seed)
        dtype, spread = DTYPES[dtype_name], 1 if dtype_name == "e4m3" else 3
        self.layer, self.dtype_name = layer, dtype_name
        self.x = draw(max_tokens, layer.hidden_size, spread, dtype, generator)
        self.w = draw(layer.rows, layer.hidden_size, spread, dtype, generator)

    def shards(self):
        """(tp_size, the rows of w that the last rank of tp_size holds)"""
        for tp_size in TP_SIZES:
            if self.layer.divides(tp_size):
                yield tp_size, torch.tensor(self.layer.rank_rows(tp_size, tp_size - 1), device=DEVICE)

    def pieces(self):
        """(tp_size, first token, number of tokens, rows of w, x piece, w piece)"""
        for tp_size, rows in self.shards():
            w = take_rows(self.w, rows)
            for tokens, first in TOKENS.items():
                if first + tokens <= len(self.x):
                    yield tp_size, first, tokens, rows, self.x[first:first + tokens].clone(), w

    def cpu(self, model, accumulator):
        y = model.dot(accumulator, self.dtype_name, *self.words())
        return torch.from_numpy(y.view(np.float32)).to(DEVICE)

    def words(self):
        if not hasattr(self, "held"):
            self.held = words(self.x), words(self.w)
        return self.held


def take_rows(w, rows):
    """w[rows], also for fp8, which PyTorch does not index."""
    return w.view(torch.uint8).reshape(len(w), -1)[rows].contiguous().view(w.dtype) if w.element_size() == 1 else w[rows]


def part(expected, first, tokens, rows):
    return expected[first:first + tokens][:, rows]


# ---- Triton ----

def check_loops(table, operands, expected, loops):
    for tp_size, first, tokens, rows, x, w in operands.pieces():
        ours = part(expected, first, tokens, rows)
        for loop in loops:
            y, name = kernels.run_loop(loop, x, w)
            table.add(name, operands.dtype_name, operands.layer, tp_size, (tokens, len(w), x.shape[1]), y.numel(), differing(y, ours))


# ---- cuBLAS ----

def split_of(model, operands, x, w, y, result_type):
    """(split, mismatches of all results with it). Searched on a corner of at most 16 x 512 results; where that leaves mismatches (few results
    of 16 bits may agree with several splits), on all of them. A part is a multiple of the kernel's step in k: 64 elements of 16 bits,
    128 of 8."""
    unit = f"{HOPPER},unit=128" if x.element_size() == 1 else HOPPER
    for tokens, rows in ((16, 512), (len(x), len(w))):
        split, _ = model.find_split(unit, operands.dtype_name, words(x[:tokens]), words(w[:rows]), words(y[:tokens, :rows]), result_type)
        all_words = model.dot(f"{unit},split={split}", operands.dtype_name, words(x), words(w))
        wrong = differing(y, torch.from_numpy(all_words.view(np.float32)).to(DEVICE))
        if not wrong:
            break
    return split, wrong


def check_linears(table, model, operands, expected, name, call, result_type):
    """`call(x, w)` at every shape. Where the plain chain does not give the bits, K was probably split: search how."""
    pieces = list(operands.pieces())
    done = kernels.profiled([lambda x=piece[4], w=piece[5]: call(x, w) for piece in pieces])
    for (tp_size, first, tokens, rows, x, w), (y, names) in zip(pieces, done):
        shape = (tokens, len(w), x.shape[1])
        if isinstance(y, Exception):
            table.add(name, operands.dtype_name, operands.layer, tp_size, shape, 0, 0, refused=str(y).strip().split("\n")[0][:160])
            continue
        split, wrong, more = 1, differing(y, part(expected, first, tokens, rows)), {}
        unsplit = wrong
        if wrong and result_type is not None:
            try:
                split, wrong = split_of(model, operands, x, w, y, result_type)
            except RuntimeError as error:  # no split to be had for this type: the mismatches stand
                more = {"search": str(error)[:160]}
        table.add(name, operands.dtype_name, operands.layer, tp_size, shape, y.numel(), wrong, gpu_kernels=names, split=split,
                  mismatches_unsplit=unsplit, **more)


# ---- one model ----

def check_16_bit(table, model, layer, dtype_name, seed):
    operands = Operands(layer, dtype_name, seed)
    expected = operands.cpu(model, HOPPER)
    check_loops(table, operands, expected, kernels.LOOPS_16_BIT)
    check_linears(table, model, operands, expected, "linear, 16-bit out", kernels.linear, dtype_name)
    check_linears(table, model, operands, expected, "mm, fp32 out", kernels.linear_fp32, "fp32")
    table.progress(f"{layer.model} {dtype_name}")


def check_fp8(table, model, layer, dtype_name, seed):
    operands = Operands(layer, dtype_name, seed, FP8_TOKENS)
    expected = operands.cpu(model, HOPPER)
    check_loops(table, operands, expected, kernels.LOOPS_FP8)
    if dtype_name == "e4m3":  # cuBLAS has no product of two e5m2
        one = torch.ones((), device=DEVICE)
        check_linears(table, model, operands, expected, "_scaled_mm, fast", lambda x, w: kernels.scaled_mm(x, w, one, True), "fp32")
        promoted = operands.cpu(model, HOPPER + ",promote=128")
        check_linears(table, model, operands, promoted, "_scaled_mm, promoted", lambda x, w: kernels.scaled_mm(x, w, one, False), None)
    table.progress(f"{layer.model} {dtype_name}")


def check_everything(table, model, names):
    """16-bit types of all models first; fp8, which is the slower on the CPU, with the smaller models first again."""
    tasks = [(check_16_bit, name, dtype) for name in names for dtype in ("bf16", "fp16")]
    tasks += [(check_fp8, name, dtype) for name in names for dtype in ("e4m3", "e5m2")]
    # Interleaved, so that a run cut short has seen every type.
    half = len(tasks) // 2
    tasks = [task for pair in zip(tasks[:half], tasks[half:]) for task in pair]
    for number, (check, name, dtype) in enumerate(tasks):
        if table.time_is_up:
            print(f"time is up: {len(tasks) - number} of {len(tasks)} tasks were not run", flush=True)
            return
        try:
            check(table, model, projection(name), dtype, 1000 + number)
        except Exception as error:  # an hour of a GPU is not thrown away for one kernel: said in the report, and exit code 1
            table.left.append(f"{name} {dtype}: {type(error).__name__}: {str(error).strip()[-300:]}")
            print(f"left: {table.left[-1]}", flush=True)


# ---- the report ----

def grouped(rows, *keys):
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def total(rows, key):
    return sum(row[key] for row in rows)


def report(table, device):
    lines = [f"# Kernels against the model, on one {device}", "",
             f"{total(table.rows, 'compared'):,} results compared, {total(table.rows, 'mismatches'):,} differ. "
             f"{len({r['model'] for r in table.rows})} models, {len(table.rows)} comparisons.", "",
             "| kernel | dtype | shapes | compared | mismatches |", "|---|---|---|---|---|"]
    for (kernel, dtype), rows in sorted(grouped(table.rows, "kernel", "dtype").items()):
        refused = sum("refused" in row for row in rows)
        shapes = {(row["tokens"], row["columns"], row["depth"]) for row in rows if "refused" not in row}
        lines.append(f"| {kernel} | {dtype} | {len(shapes)}{f' ({refused} refused)' if refused else ''} | {total(rows, 'compared'):,} | "
                     f"{total(rows, 'mismatches'):,} |")
    lines += ["", "| model | hidden | rows at tp 1, 2, 4, 8 | compared | mismatches |", "|---|---|---|---|---|"]
    for (name,), rows in grouped(table.rows, "model").items():
        layer = projection(name)
        widths = ", ".join(str(len(layer.rank_rows(tp, 0))) if layer.divides(tp) else "-" for tp in TP_SIZES)
        lines.append(f"| {name} | {layer.hidden_size} | {widths} | {total(rows, 'compared'):,} | {total(rows, 'mismatches'):,} |")
    lines += [""] + [f"Left: {what}" for what in table.left] if table.left else []
    return "\n".join(lines + split_section(table.rows)) + "\n"


def split_section(rows):
    """The library's kernels: how often each was chosen, and every split that was found."""
    library = [row for row in rows if row.get("gpu_kernels")]
    lines = ["", "| kernel of the library | uses | splits found | compared | mismatches |", "|---|---|---|---|---|"]
    for name, group in sorted(grouped([{**row, "names": " + ".join(row["gpu_kernels"])[:140]} for row in library], "names").items()):
        splits = sorted({row["split"] for row in group})
        lines.append(f"| {name[0]} | {len(group)} | {', '.join(map(str, splits))} | {total(group, 'compared'):,} | "
                     f"{total(group, 'mismatches'):,} |")
    split = [row for row in rows if row.get("split", 1) > 1 or (row.get("mismatches") and "split" in row)]
    lines += ["", "| call | dtype | tokens | columns | depth | split | mismatches | unsplit |", "|---|---|---|---|---|---|---|---|"]
    for row in {(r["kernel"], r["dtype"], r["tokens"], r["columns"], r["depth"]): r for r in split}.values():
        lines.append(f"| {row['kernel']} | {row['dtype']} | {row['tokens']} | {row['columns']} | {row['depth']} | {row['split']} | "
                     f"{row['mismatches']:,} | {row['mismatches_unsplit']:,} of {row['compared']:,} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=DEFAULT, help="gpu_model (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--models", nargs="*", default=MODELS, help="names of configs/models; the default is a list of real ones")
    options = parser.parse_args()
    if DEVICE == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch sees no GPU here: this script compares one with the CPU")
    table = Table(options.seconds)
    try:
        check_everything(table, CpuModel(options.model), options.models)
    finally:
        options.out.mkdir(parents=True, exist_ok=True)
        text = report(table, torch.cuda.get_device_name() if DEVICE == "cuda" else "interpreter")
        (options.out / "check_kernels.md").write_text(text)
        (options.out / "check_kernels.json").write_text(json.dumps(table.rows, indent=0))
        print(text)
    return 1 if total(table.rows, "mismatches") or table.left or not table.rows else 0


if __name__ == "__main__":
    sys.exit(main())
