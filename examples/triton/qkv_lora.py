#!/usr/bin/env python3
"""One rank's QKV + LoRA forward in Triton, and the CPU oracle's bits beside it: every output must be equal, bit for bit.

    python3 examples/triton/qkv_lora.py --program build/tplora [--case "CASE LINE"]

Needs a Hopper GPU, PyTorch and Triton. For each case `tplora golden` writes a folder with x, each rank's shard of the weight and the
adapters in their slots; the kernels below compute y from these, and `tplora check` judges it. What they have to agree on with the oracle
is only the rounding program (here `sglang_triton`, docs/numerics.md) and, for data where it matters, how the matrix unit sums
(`accumulator=tensor_core:hopper`). Tile shapes are free: without a split of K no bit depends on them.

    base    y = rnd(x W + bias)         the dot in fp32, plus the bias in fp32, one rounding to the model's dtype
    shrink  u = rnd(x A)
    expand  d = rnd(scaling * (u B)),  y = rnd(y + d)     the scaling after the dot, in fp32

Exit code 1 if any bit differs."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import triton
import triton.language as tl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "engine_ci"))
import tensors  # noqa: E402

# TRITON_INTERPRET=1 runs the kernels without a GPU: its sums are NumPy's, so only `integers` data can agree (fp16; NumPy below 2.4).
DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
DTYPES = ("bf16", "fp16")
PARTS = "qkv"
TILE_TOKENS = 16  # tokens of one adapter that go through the LoRA kernels together


# ---- the kernels ----

@triton.jit
def base_kernel(x, weight, bias, y, tokens, width, hidden, HAS_BIAS: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr,
                BLOCK_K: tl.constexpr):
    """y [tokens, width] = rnd(x [tokens, hidden] * weight [width, hidden] transposed + bias [width])."""
    t = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros((BLOCK_T, BLOCK_N), dtype=tl.float32)
    for start in range(0, hidden, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        a = tl.load(x + t[:, None] * hidden + k[None, :], mask=(t[:, None] < tokens) & (k[None, :] < hidden), other=0.0)
        b = tl.load(weight + n[None, :] * hidden + k[:, None], mask=(n[None, :] < width) & (k[:, None] < hidden), other=0.0)
        acc = tl.dot(a, b, acc)
    if HAS_BIAS:
        acc += tl.load(bias + n, mask=n < width, other=0.0).to(tl.float32)[None, :]
    inside = (t[:, None] < tokens) & (n[None, :] < width)
    tl.store(y + t[:, None] * width + n[None, :], acc.to(y.dtype.element_ty), mask=inside)


@triton.jit
def shrink_kernel(x, a_pool, u, tile_tokens, tile_slot, lora_rank_of, hidden, R: tl.constexpr, BLOCK_T: tl.constexpr,
                  BLOCK_K: tl.constexpr):
    """u [tokens, 3, R] = rnd(x A), A [lora_rank, hidden] of the tile's slot and of one part. Columns from lora_rank on are not written."""
    tile, part = tl.program_id(0), tl.program_id(1)
    slot = tl.load(tile_slot + tile)
    lora_rank = tl.load(lora_rank_of + slot)
    token = tl.load(tile_tokens + tile * BLOCK_T + tl.arange(0, BLOCK_T))  # -1: an empty place of the tile
    row = tl.arange(0, R)
    a_rows = a_pool + ((slot * 3 + part) * R + row) * hidden
    acc = tl.zeros((BLOCK_T, R), dtype=tl.float32)
    for start in range(0, hidden, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        v = tl.load(x + token[:, None] * hidden + k[None, :], mask=(token[:, None] >= 0) & (k[None, :] < hidden), other=0.0)
        a = tl.load(a_rows[None, :] + k[:, None], mask=(row[None, :] < lora_rank) & (k[:, None] < hidden), other=0.0)
        acc = tl.dot(v, a, acc)
    inside = (token[:, None] >= 0) & (row[None, :] < lora_rank)
    tl.store(u + (token[:, None] * 3 + part) * R + row[None, :], acc.to(u.dtype.element_ty), mask=inside)


@triton.jit
def expand_kernel(u, b_pool, y, tile_tokens, tile_slot, lora_rank_of, scaling_of, part_starts, width, R: tl.constexpr,
                  BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """y += rnd(scaling * (u B)) in place, for the columns of one part; B [width, R] of the tile's slot."""
    tile, part = tl.program_id(0), tl.program_id(2)
    slot = tl.load(tile_slot + tile)
    lora_rank = tl.load(lora_rank_of + slot)
    scaling = tl.load(scaling_of + slot)
    token = tl.load(tile_tokens + tile * BLOCK_T + tl.arange(0, BLOCK_T))
    # A part ends where the next begins: a block that runs past it is masked, or K's block would overwrite the head of V.
    n = tl.load(part_starts + part) + tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    in_part = n < tl.load(part_starts + part + 1)
    acc = tl.zeros((BLOCK_T, BLOCK_N), dtype=tl.float32)
    for start in range(0, lora_rank, BLOCK_K):
        # One step of the matrix unit takes 16 products; beyond lora_rank (8, say) they must be zeros, not the neighbour's rows.
        k = start + tl.arange(0, BLOCK_K)
        a = tl.load(u + (token[:, None] * 3 + part) * R + k[None, :], mask=(token[:, None] >= 0) & (k[None, :] < lora_rank), other=0.0)
        b = tl.load(b_pool + (slot * width + n[None, :]) * R + k[:, None], mask=in_part[None, :] & (k[:, None] < lora_rank), other=0.0)
        acc = tl.dot(a, b, acc)
    delta = (acc * scaling).to(y.dtype.element_ty)
    inside = (token[:, None] >= 0) & in_part[None, :]
    out = y + token[:, None] * width + n[None, :]
    base = tl.load(out, mask=inside, other=0.0)
    tl.store(out, (base.to(tl.float32) + delta.to(tl.float32)).to(y.dtype.element_ty), mask=inside)


# ---- the host's side ----

def tiles_by_slot(slot_of_token):
    """Tokens sorted by slot into tiles of one adapter each: (tokens [tiles, TILE_TOKENS], slots [tiles]). Tokens without adapter are in none."""
    tiles, slots = [], []
    for slot in sorted({slot for slot in slot_of_token if slot >= 0}):
        tokens = [token for token, its in enumerate(slot_of_token) if its == slot]
        for first in range(0, len(tokens), TILE_TOKENS):
            some = tokens[first:first + TILE_TOKENS]
            tiles.append(some + [-1] * (TILE_TOKENS - len(some)))
            slots.append(slot)
    return torch.tensor(tiles, dtype=torch.int32, device=DEVICE), torch.tensor(slots, dtype=torch.int32, device=DEVICE)


def on_device(bits):
    """(type, uint16 patterns) as a tensor of that type."""
    kind, array = bits
    return torch.from_numpy(array.view("int16").copy()).view({"BF16": torch.bfloat16, "F16": torch.float16}[kind]).to(DEVICE)


def forward(folder, manifest, rank):
    """y [tokens, width] of one rank."""
    mine = tensors.load_bits(folder / rank["file"])
    inputs = tensors.load_bits(folder / "inputs.safetensors")
    x, weight = on_device(inputs["x"]), on_device(mine["weight"])
    hidden, width, dtype = x.shape[1], weight.shape[0], x.dtype
    has_bias = "bias" in mine
    bias = on_device(mine["bias"]) if has_bias else x
    tokens, y = len(x), torch.empty(len(x), width, dtype=dtype, device=DEVICE)
    block_t = 16 if tokens <= 16 else 64
    base_kernel[(triton.cdiv(tokens, block_t), triton.cdiv(width, 64))](x, weight, bias, y, tokens, width, hidden, HAS_BIAS=has_bias,
                                                                        BLOCK_T=block_t, BLOCK_N=64, BLOCK_K=64)
    tile_tokens, tile_slot = tiles_by_slot(inputs["slot_of_token"][1].tolist())
    if len(tile_slot) == 0:
        return y
    # The pool in flat memory: A [slots, 3, R, hidden] and B [slots, width, R], zero where an adapter has no such part or fewer ranks.
    a_pool = torch.stack([on_device(mine[f"lora_a.{part}"]) for part in PARTS], dim=1).contiguous()
    b_pool, R = on_device(mine["lora_b"]), manifest["max_lora_rank"]
    lora_rank_of, scaling_of = of_slots(manifest)
    part_starts = torch.tensor([part["at"] for part in rank["columns"]] + [width], dtype=torch.int32, device=DEVICE)
    u = torch.empty(tokens, 3, R, dtype=dtype, device=DEVICE)
    tiles = len(tile_slot)
    shrink_kernel[(tiles, 3)](x, a_pool, u, tile_tokens, tile_slot, lora_rank_of, hidden, R=R, BLOCK_T=TILE_TOKENS, BLOCK_K=64)
    widest = max(part["rows"] for part in rank["columns"])
    expand_kernel[(tiles, triton.cdiv(widest, 64), 3)](u, b_pool, y, tile_tokens, tile_slot, lora_rank_of, scaling_of, part_starts, width,
                                                       R=R, BLOCK_T=TILE_TOKENS, BLOCK_N=64, BLOCK_K=16)
    return y


def of_slots(manifest):
    """lora_rank and scaling of the adapter in each slot, [slots] each."""
    ranks, scalings = [0] * manifest["slots"], [0.0] * manifest["slots"]
    for adapter in manifest["adapters"]:
        if adapter["slot"] is not None:
            part, = {tuple(about.values()) for about in adapter["parts"].values()}  # these kernels take one for all parts
            ranks[adapter["slot"]], scalings[adapter["slot"]] = part
    return (torch.tensor(ranks, dtype=torch.int32, device=DEVICE), torch.tensor(scalings, dtype=torch.float32, device=DEVICE))


# ---- held against the oracle ----

def run(program, *arguments):
    done = subprocess.run([*program.split(), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode > 1:
        raise RuntimeError(f"tplora {arguments[0]}: {done.stderr.strip()[-400:]}")
    return done.stdout


def check(program, case):
    """(ranks, outputs, outputs that differ)"""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        golden, candidate = Path(name) / "golden", Path(name) / "candidate"
        candidate.mkdir()
        run(program, "golden", case, "--out", golden, "--only", "inputs,ranks")
        manifest = json.loads((golden / "manifest.json").read_text())
        if manifest["program"] != "sglang_triton":
            raise RuntimeError(f"these kernels round as sglang_triton says, the case wants {manifest['program']}: \"{case}\"")
        for rank in manifest["ranks"]:
            y = forward(golden, manifest, rank)
            bits = y.view(torch.int16).cpu().numpy()
            tensors.save_bits(candidate / rank["file"], {"y": ("BF16" if y.dtype == torch.bfloat16 else "F16", bits)}, manifest["case"])
        told = json.loads(run(program, "check", golden, candidate, "--json"))
        if told["verdict"] != "right":
            print("\n".join(run(program, "check", golden, candidate).splitlines()[:12]))
        return len(manifest["ranks"]), sum(t["elements"] for t in told["tensors"]), sum(t["mismatched"] for t in told["tensors"])


# model, and the tp sizes at which the engine serves it with LoRA
MODELS = [("Qwen/Qwen3.5-35B-A3B layer=full_attention", (1, 2, 4, 8)), ("Qwen/Qwen2.5-0.5B-Instruct", (1, 2)),
          ("openai/gpt-oss-20b", (1, 2, 4, 8)), ("Qwen/Qwen2.5-7B-Instruct", (1, 2, 4)), ("google/gemma-2-9b", (1, 2, 4, 8)),
          ("THUDM/glm-4-9b-chat", (1, 2)), ("meta-llama/Meta-Llama-3.1-8B", (1, 2, 4, 8)), ("microsoft/phi-4", (1, 2))]
ADAPTERS = "a:r16:alpha32:qkv,b:r8:alpha12:qv,c:r24:alpha10:qkv"  # scalings 2, 1.5 and one that is no fp32 number
FEW = "c,-,a,b,a"
MANY = ",".join("a,b,-,c,a,a,-,b,c,a".split(",") * 4)


def cases():
    for number, (model, tp_sizes) in enumerate(MODELS):
        for tp_size in tp_sizes:
            tokens = MANY if tp_size in (1, 4) else FEW
            for dtype in DTYPES:
                for data, accumulator in (("wide", "tensor_core:hopper"), ("integers", "fp32_chain")):
                    yield (f"model={model} engine=sglang tp={tp_size} R=32 slots=3 adapters={ADAPTERS} tokens={tokens} "
                           f"steps=load:a@0,load:b@1,load:c@2 dtype={dtype} accumulator={accumulator} data={data} seed={number + 7}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="build/tplora", help="tplora, with options if need be (default: %(default)s)")
    parser.add_argument("--case", action="append", help="only this case line (may be repeated)")
    parser.add_argument("--seconds", type=float, default=400, help="start no case after this time")
    options = parser.parse_args()
    wanted, start, total, different = options.case or list(cases()), time.monotonic(), 0, 0
    failed = 0
    print("| model | tp | dtype | data | accumulator | ranks | outputs | differ |\n|---|---|---|---|---|---|---|---|")
    for number, case in enumerate(wanted):
        if time.monotonic() - start > options.seconds:
            print(f"time is up: {len(wanted) - number} of {len(wanted)} cases were not run")
            break
        try:
            ranks, outputs, wrong = check(options.program, case)
        except RuntimeError as error:  # the other cases still have something to say
            print(error, flush=True)
            failed += 1
            continue
        keys = dict(pair.split("=", 1) for pair in case.split())
        shown = [keys.get(key, "default") for key in ("model", "tp", "dtype", "data", "accumulator")]
        print("| " + " | ".join(shown) + f" | {ranks} | {outputs:,} | {wrong:,} |", flush=True)
        total, different = total + outputs, different + wrong
    print(f"{total:,} outputs, {different:,} differ" + (f", {failed} cases failed" if failed else ""))
    return 1 if different or failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
