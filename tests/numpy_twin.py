#!/usr/bin/env python3
"""A second implementation of docs/numerics.md, with NumPy alone, held against the product bit for bit.

    python3 tests/numpy_twin.py PATH/tplora PATH/gpu_model

It was written from docs/numerics.md and docs/formats/case.md, without a look at sim/ or verify/: where the two
implementations agree, the page says enough; where they differ, the page, this file or the product is wrong. Every
section below names that of the page which it implements. Values are float32 arrays; bits are compared, never values.
"""

import itertools
import json
import math
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple

try:
    import numpy as np
except ImportError:
    sys.exit("numpy_twin.py: needs NumPy (Debian: python3-numpy)")

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples" / "engine_ci"))
from tensors import load_bits  # noqa: E402

F32, F64, I64, U32, U64 = np.float32, np.float64, np.int64, np.uint32, np.uint64
ENGINES = pathlib.Path(__file__).resolve().parent.parent / "configs" / "engines"

# ---- Scalar types: "Rounding", and the operand types of "tensor_core" --------------------------------------

# min_exponent: of the smallest normal value and of every subnormal. special: how the highest exponent field is used.
Type = namedtuple("Type", "exponent_bits fraction_bits min_exponent pattern special")
TYPES = {
    "bf16": Type(8, 7, -126, "<u2", "ieee"),
    "fp16": Type(5, 10, -14, "<u2", "ieee"),
    "fp32": Type(8, 23, -126, "<u4", "ieee"),
    "tf32": Type(8, 23, -126, "<u4", "ieee"),  # fp32 words; `dot` cuts the low 13 bits
    "e4m3": Type(4, 3, -6, "<u1", "nan only"),
    "e5m2": Type(5, 2, -14, "<u1", "ieee"),
}


def bits_of(values):
    return np.ascontiguousarray(values, F32).view(U32)


def from_bits(bits):
    return np.ascontiguousarray(bits, U32).view(F32)


def canonical(values):
    """Every NaN becomes 0x7fc00000."""
    return np.where(np.isnan(values), from_bits(U32(0x7FC00000)), values).astype(F32)


def decode(patterns, name):
    """Patterns of a type as fp32 values; exact."""
    t = TYPES[name]
    p = patterns.astype(I64) & (~0x1FFF if name == "tf32" else -1)
    fraction = p & ((1 << t.fraction_bits) - 1)
    field = (p >> t.fraction_bits) & ((1 << t.exponent_bits) - 1)
    negative = (p >> (t.fraction_bits + t.exponent_bits)) & 1 == 1
    significand = np.where(field == 0, fraction, fraction + (1 << t.fraction_bits))
    exponent = np.maximum(field, 1) - 1 + t.min_exponent - t.fraction_bits
    magnitude = np.ldexp(significand.astype(F64), exponent.astype(np.int32))
    highest = field == (1 << t.exponent_bits) - 1
    if t.special == "ieee":
        magnitude = np.where(highest, np.where(fraction == 0, np.inf, np.nan), magnitude)
    else:
        magnitude = np.where(highest & (fraction == (1 << t.fraction_bits) - 1), np.nan, magnitude)
    return canonical(np.where(negative, -magnitude, magnitude).astype(F32))


def encode(values, name):
    """The patterns of fp32 values that the type holds exactly."""
    bits = bits_of(values)
    if name == "fp32":
        return bits
    if name == "bf16":
        return (bits >> U32(16)).astype(np.uint16)
    field = ((bits >> U32(23)) & U32(255)).astype(I64)
    magnitude = np.abs(np.where(np.isfinite(values), values, 0)).astype(F64)
    normal = ((field - 112) << 10) | ((bits >> U32(13)) & U32(0x3FF)).astype(I64)
    pattern = np.where(field < 113, (magnitude * 2.0**24).astype(I64), normal)
    pattern = np.where(np.isinf(values), 0x7C00, np.where(np.isnan(values), 0x7E00, pattern))
    return (pattern | np.where(np.isnan(values), 0, (bits >> U32(31)).astype(I64) << 15)).astype(np.uint16)


def decompose(values, min_exponent=-126):
    """(negative, m, e) of finite values: the magnitude is m * 2^(e - 23), e that of the leading bit or min_exponent."""
    bits = bits_of(values).astype(I64)
    field, fraction = (bits >> 23) & 255, bits & 0x7FFFFF
    m = np.where(field == 0, fraction, fraction | 0x800000)
    e = np.maximum(field, 1) - 127
    lift = np.maximum(min_exponent - e, 0)
    return bits >> 31 == 1, m >> np.minimum(lift, 63), e + lift


def rounded_to(dtype):
    """`rnd` of a dtype: to nearest, ties to even, in integers."""
    t = TYPES[dtype]

    def rnd(values):
        values = np.asarray(values, F32)
        if dtype == "fp32":
            return canonical(values)
        negative, m, e = decompose(values)
        quantum = np.maximum(e, t.min_exponent) - t.fraction_bits
        cut = np.minimum(quantum - (e - 23), 40)
        half, rest = I64(1) << (cut - 1), m & ((I64(1) << cut) - 1)
        n = (m >> cut) + ((rest > half) | ((rest == half) & ((m >> cut) & 1 == 1)))
        magnitude = np.ldexp(n.astype(F64), quantum.astype(np.int32))
        magnitude = np.where(magnitude >= 2.0 ** (2 - t.min_exponent), np.inf, magnitude)
        result = np.where(negative, -magnitude, magnitude).astype(F32)
        return canonical(np.where(np.isfinite(values), result, values))

    return rnd


# ---- "Accumulators" ----------------------------------------------------------------------------------------


def fma(x, w, acc):
    """fp32 fused multiply-add. The product is exact in fp64; the sum is rounded there to odd, so that the rounding to
    fp32 that follows is the only one, subnormals included."""
    p, a = x.astype(F64) * w.astype(F64), acc.astype(F64)
    s = p + a
    a_part = s - p
    error = (p - (s - a_part)) + (a - a_part)
    words = s.view(I64)
    adjust = np.isfinite(s) & (error != 0) & (words & 1 == 0)
    step = np.where((error > 0) == (s > 0), 1, -1)
    return np.where(adjust, words + step, words).view(F64).astype(F32)


def fp32_chain(x, w):
    acc = np.zeros((len(x), len(w)), F32)
    for k in range(x.shape[1]):
        acc = fma(x[:, k, None], w[None, :, k], acc)
    return canonical(acc)


def specials(x, w, acc=None):
    """(special, value) of the sums of x[T, K] * w[N, K]: NaN, infinity times zero, infinities of both signs give NaN."""
    p = x[:, None, :].astype(F64) * w[None, :, :].astype(F64)  # no product of finite operands leaves fp64's range
    if acc is not None:
        p = np.concatenate([p, acc[:, :, None].astype(F64)], axis=2)
    up, down, nan = (p == np.inf).any(2), (p == -np.inf).any(2), np.isnan(p).any(2)
    value = np.where(nan | (up & down), np.nan, np.where(up, np.inf, -np.inf)).astype(F32)
    return nan | up | down, canonical(value)


def fp32_of_integer(n, exponent):
    """n * 2^exponent of Python integers, rounded once to fp32."""
    magnitude = abs(n)
    quantum = max(magnitude.bit_length() - 1 + exponent, -126) - 23
    cut = quantum - exponent
    if cut > 0:
        rest, half = magnitude & ((1 << cut) - 1), 1 << (cut - 1)
        magnitude >>= cut
        magnitude += rest > half or (rest == half and magnitude & 1)
    else:
        quantum = exponent
    value = math.ldexp(magnitude, quantum)
    return math.copysign(math.inf if value >= 2.0**128 else value, n)


def exact(x, w):
    def integers(a):
        negative, m, e = decompose(np.where(np.isfinite(a), a, 0))
        least = int(e.min())
        return (np.where(negative, -m, m).astype(object) << (e - least).astype(object)), least - 23

    (xs, x_exponent), (ws, w_exponent) = integers(x), integers(w)
    sums = xs.dot(ws.T)
    finite = [[fp32_of_integer(n, x_exponent + w_exponent) for n in row] for row in sums]
    special, value = specials(x, w)
    return np.where(special, value, np.array(finite, F64).astype(F32))


Unit = namedtuple("Unit", "group fraction floor result")
UNITS = {
    **{("volta", t): Unit(4, 23, -131, 23) for t in ("fp16",)},
    **{("ampere", t): Unit(8, 24, -132, 23) for t in ("bf16", "fp16")},
    **{("hopper", t): Unit(16, 25, -133, 23) for t in ("bf16", "fp16")},
    ("hopper", "tf32"): Unit(8, 25, -133, 23),
    **{("hopper", t): Unit(32, 13, -133, 13) for t in ("e4m3", "e5m2")},
    **{("blackwell", t): Unit(16, 25, -133, 23) for t in ("bf16", "fp16")},
    **{("blackwell", t): Unit(32, 25, -133, 23) for t in ("e4m3", "e5m2")},
}


def add_group(unit, min_exponent, x, w, acc):
    """One group of products x[T, L] * w[N, L] and the accumulators [T, N]: steps 1 to 5."""
    special, value = specials(x, w, acc)
    x_negative, x_m, x_e = decompose(np.where(np.isfinite(x), x, 0), min_exponent)
    w_negative, w_m, w_e = decompose(np.where(np.isfinite(w), w, 0), min_exponent)
    acc_negative, acc_m, acc_e = decompose(np.where(np.isfinite(acc), acc, 0))
    # Every term is m * 2^(e - 46): a product of two 24-bit significands, or one of them and 2^23.
    m = np.concatenate([x_m[:, None] * w_m[None], (acc_m << 23)[:, :, None]], axis=2)
    e = np.concatenate([x_e[:, None] + w_e[None], acc_e[:, :, None]], axis=2)
    negative = np.concatenate([x_negative[:, None] ^ w_negative[None], acc_negative[:, :, None]], axis=2)
    highest = np.where(m == 0, unit.floor, e).max(axis=2).clip(min=unit.floor)
    cut = m >> (46 - unit.fraction + highest[:, :, None] - e).clip(0, 63)
    total = np.where(negative, -cut, cut).sum(axis=2)
    quantum = highest - unit.fraction
    leading = np.frexp(np.abs(total).astype(F64))[1] - 1 + quantum
    drop = (np.maximum(leading, -126) - unit.result - quantum).clip(0, 62)
    magnitude = np.ldexp((np.abs(total) >> drop).astype(F64), (quantum + drop).astype(np.int32))
    magnitude = np.where(magnitude >= 2.0**128, np.inf, magnitude)
    return np.where(special, value, np.where((total < 0) & (magnitude > 0), -magnitude, magnitude).astype(F32))


def parse_tensor_core(accumulator, dtype):
    """(Unit, options) of `tensor_core:hopper,split=3` or `tensor_core:group=8,fraction=..,floor=..,result=..`."""
    words = accumulator.split(":")[1].split(",")
    options = dict(word.split("=") for word in words if "=" in word)
    unit = UNITS[words[0], dtype] if "=" not in words[0] else Unit(*(int(options[key]) for key in Unit._fields))
    return unit, options


def tensor_core(accumulator, dtype, x, w, start):
    unit, options = parse_tensor_core(accumulator, dtype)
    columns = x.shape[1]
    parts, part_columns = 1, columns
    if "split" in options:
        parts, cut_unit = int(options["split"]), int(options.get("unit", 64))
        part_columns = -(-(-(-columns // cut_unit)) // parts) * cut_unit
    elif "promote" in options:
        part_columns = int(options["promote"])
        parts = -(-columns // part_columns)
    results = []
    for first in range(0, columns, part_columns)[:parts]:
        acc, end = start, min(first + part_columns, columns)
        for k in range(first, end, unit.group):
            to = min(k + unit.group, end)
            acc = add_group(unit, TYPES[dtype].min_exponent, x[:, k:to], w[:, k:to], acc)
        results.append(acc)
    if options.get("merge") == "descending":
        results.reverse()
    total = results[0]
    for result in results[1:]:
        total = total + result
    return canonical(total)


def dot(accumulator, dtype, x, w, start=None):
    """x[T, K], w[N, K] of a type's values: the sums [T, N]. A dtype of fp32 means tf32 to a tensor_core."""
    if dtype == "tf32" or (dtype == "fp32" and accumulator.startswith("tensor_core")):
        dtype, x, w = "tf32", *(from_bits(bits_of(a) & U32(0xFFFFE000)) for a in (x, w))
    if accumulator == "fp32_chain":
        return fp32_chain(x, w)
    if accumulator == "exact":
        return exact(x, w)
    return tensor_core(accumulator, dtype, x, w, np.zeros((len(x), len(w)), F32) if start is None else start)


# ---- "Rounding programs" -----------------------------------------------------------------------------------


def keep(rnd, s, v): return v
def rounded(rnd, s, v): return rnd(v)
def scaled(rnd, s, v): return s * v
def scaled_rounded(rnd, s, v): return rnd(s * v)
def rounded_scaled_rounded(rnd, s, v): return rnd(s * rnd(v))


Program = namedtuple("Program", "load base shrink before_expand delta sum")
PROGRAMS = {
    "llama_cpp": Program(keep, keep, keep, keep, scaled, keep),
    "peft_bf16": Program(keep, rounded, rounded, keep, rounded_scaled_rounded, rounded),
    "peft_default": Program(keep, rounded, keep, keep, scaled, rounded),
    "peft_mixed": Program(keep, rounded, keep, keep, scaled_rounded, rounded),
    "punica": Program(scaled_rounded, rounded, rounded, keep, keep, rounded),
    "sglang_jax": Program(keep, rounded, rounded, scaled_rounded, rounded, rounded),
    "sglang_torch_native": Program(keep, rounded, rounded, scaled_rounded, rounded, rounded),
    "sglang_triton": Program(keep, rounded, rounded, keep, scaled_rounded, rounded),
    "tpu_inference": Program(scaled_rounded, rounded, rounded, keep, rounded, rounded),
    "trtllm": Program(scaled_rounded, rounded, rounded, keep, rounded, rounded),
    "vllm": Program(scaled_rounded, rounded, keep, rounded, rounded, rounded),
}
EXPANDS_FP32 = ("llama_cpp", "peft_default", "peft_mixed")  # no tensor_core, unless the dtype is fp32


def takes_tensor_core(program, dtype):
    return program not in EXPANDS_FP32 or dtype == "fp32"


def pad(values, columns):
    return np.pad(values, ((0, 0), (0, columns - values.shape[1])))


def forward(case, tensors):
    """The outputs [tokens, q + k + v rows] of a case, of the logical tensors."""
    rnd, steps = rounded_to(case.dtype), PROGRAMS[case.program]
    y = dot(case.base_accumulator, case.dtype, tensors["x"], tensors["weight"])
    y = canonical(y + tensors["bias"] if case.model.bias else y)
    y = steps.base(rnd, None, y)
    for number, adapter in enumerate(case.adapters):
        tokens = [i for i, name in enumerate(case.tokens) if name == adapter.name]
        if not tokens:
            continue
        s = F32(adapter.alpha / adapter.lora_rank)
        delta = np.zeros((len(tokens), y.shape[1]), F32)
        for part, rows in case.part_slices().items():
            if part not in adapter.parts():
                continue
            a, b = tensors[number, part, "a"], steps.load(rnd, s, tensors[number, part, "b"])
            u = steps.shrink(rnd, s, dot(case.accumulator, case.dtype, tensors["x"][tokens], a))
            u, b = (pad(values, case.expand_columns(adapter)) for values in (steps.before_expand(rnd, s, u), b))
            delta[:, rows] = steps.delta(rnd, s, dot(case.accumulator, case.dtype, u, b))
        y[tokens] = steps.sum(rnd, s, y[tokens] + delta)
    return canonical(y)


# ---- "Random words" and "Data kinds" -----------------------------------------------------------------------


def philox4x32_10(counter, key):
    """Counter words [4, n], two key words: output words [4, n], as uint64."""
    c, k = [np.asarray(word, U64) for word in counter], [int(word) for word in key]
    low = U64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = U64(0xD2511F53) * c[0], U64(0xCD9E8D57) * c[2]
        c = [(p1 >> U64(32)) ^ c[1] ^ U64(k[0]), p1 & low, (p0 >> U64(32)) ^ c[3] ^ U64(k[1]), p0 & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c)


def random_words(seed, tensor_id, rows, columns):
    blocks = np.arange(-(-rows * columns // 4), dtype=U64)
    zero = np.zeros_like(blocks)
    counter = [blocks & U64(0xFFFFFFFF), blocks >> U64(32), zero + U64(tensor_id), zero]
    words = philox4x32_10(counter, (seed & 0xFFFFFFFF, seed >> 32))
    return words.T.reshape(-1)[: rows * columns].reshape(rows, columns)


TENSORS = {"x": 0, "weight": 1, "bias": 2, "a": 3, "b": 4}
WIDE_EXPONENT = {"x": -4, "bias": -4, "weight": -12, "a": -12, "b": -10}
SPARSITY = {"weight": 96, "a": 12, "b": 4}


def wide(words, kind, dtype):
    words = words.astype(I64)
    kept = min(TYPES[dtype].fraction_bits, 23)
    fraction = (words & 0x7FFFFF) >> (23 - kept) << (23 - kept)
    field = ((words >> 28) & 7) + WIDE_EXPONENT[kind] + 127
    return from_bits(((words >> 31) << 31) | (field << 23) | fraction)


def small_integers(words, kind):
    rows, columns = words.shape
    stride = -(-columns // SPARSITY[kind]) if kind in SPARSITY else 1
    magnitude = 1 + (words & U64(3)).astype(F32) if kind == "bias" else np.ones(words.shape, F32)
    values = np.where(words >> U64(31) == 1, -magnitude, magnitude).astype(F32)
    i, k = np.indices(words.shape)
    return np.where((i + k) % stride == 0, values, F32(0))


def labels(shape, kind, part, first_row, adapter):
    i, k = np.indices(shape)
    if kind == "x":
        return (k == i % min(8, shape[1])).astype(F32)
    if kind == "bias":
        return np.zeros(shape, F32)
    if kind == "a":
        own = i + (part << 16) + (adapter << 24)
        return np.where(k < 8, (k % 2 == 1) & (k // 2 == i), ((own >> (8 * (k % 4))) & 255) + 1).astype(F32)
    label = first_row + i + (adapter << 24 if kind == "b" else 0)
    digit = k % 4 if kind == "b" else k // 2 % 4
    value = ((label >> (8 * digit)) & 255) + 1
    return (value if kind == "b" else np.where(k % 2 == 0, value, 0)).astype(F32)


def tensor(case, kind, shape, part=0, adapter=0):
    if case.data == "labels":
        first_row = list(case.part_slices().values())[part].start
        return labels(shape, kind, part, first_row, adapter)
    words = random_words(case.seed, TENSORS[kind] + 16 * part + 256 * adapter, *shape)
    return wide(words, kind, case.dtype) if case.data == "wide" else small_integers(words, kind)


def logical_tensors(case):
    parts = {part: rows.stop - rows.start for part, rows in case.part_slices().items()}
    tensors = {"x": tensor(case, "x", (len(case.tokens), case.hidden))}
    tensors["weight"] = np.vstack([tensor(case, "weight", (n, case.hidden), p) for p, n in enumerate(parts.values())])
    tensors["bias"] = np.hstack([tensor(case, "bias", (1, n), p)[0] for p, n in enumerate(parts.values())])
    for number, adapter in enumerate(case.adapters):
        for p, (part, rows) in enumerate(parts.items()):
            a_part = 0 if adapter.targets == "fused" else p
            tensors[number, part, "a"] = tensor(case, "a", (adapter.lora_rank, case.hidden), a_part, number)
            tensors[number, part, "b"] = tensor(case, "b", (rows, adapter.lora_rank), p, number)
    return tensors


# ---- Cases -------------------------------------------------------------------------------------------------


class Adapter(namedtuple("Adapter", "name lora_rank alpha targets")):
    def parts(self):
        return {"fused": "qkv", "none": ""}.get(self.targets, self.targets)


Model = namedtuple("Model", "H KV D Dv gate bias")


class Case(namedtuple("Case", "engine program model hidden tp R adapters tokens dtype accumulator base_accumulator "
                              "data seed")):
    def line(self):
        m = self.model
        words = [f"model=H={m.H},KV={m.KV},D={m.D},hidden={self.hidden},Dv={m.Dv},gate={m.gate},bias={m.bias}"]
        words += [f"engine={self.engine}", f"tp={self.tp}", f"R={self.R}", f"slots={max(len(self.adapters), 1)}"]
        if self.adapters:
            adapters = (f"{a.name}:r{a.lora_rank}:alpha{a.alpha}:{a.targets}" for a in self.adapters)
            words += ["adapters=" + ",".join(adapters)]
        words += ["tokens=" + ",".join(self.tokens), f"dtype={self.dtype}", f"accumulator={self.accumulator}"]
        if self.base_accumulator != self.accumulator:
            words += [f"base_accumulator={self.base_accumulator}"]
        return " ".join(words + [f"data={self.data}", f"seed={self.seed}"])

    def expand_columns(self, adapter):
        """K of the expand: the depth of the contract's kernels. The zeros behind lora_rank move where K is cut."""
        return adapter.lora_rank if self.engine in OWN_LORA_RANK else self.R

    def part_slices(self):
        """Rows of q, k and v in the fused, unsharded [q; k; v]."""
        m = self.model
        ends = list(itertools.accumulate((m.H * m.gate * m.D, m.KV * m.D, m.KV * m.Dv), initial=0))
        return {part: slice(ends[i], ends[i + 1]) for i, part in enumerate("qkv")}

    def rank_rows(self, t):
        """For each part the rows that tp_rank t has: its query heads, and its KV heads or the one it shares."""
        m, T = self.model, self.tp
        h, n = m.H // T, max(m.KV // T, 1)
        first = t * m.KV // T
        sizes = {"q": (t * h, h, m.gate * m.D), "k": (first, n, m.D), "v": (first, n, m.Dv)}
        return {part: range(head * size, (head + heads) * size) for part, (head, heads, size) in sizes.items()}


MODELS = [Model(4, 2, 4, 4, 1, 0), Model(4, 4, 2, 2, 1, 1), Model(8, 2, 2, 2, 1, 0),
          Model(4, 2, 4, 4, 2, 1), Model(4, 1, 5, 5, 1, 0), Model(4, 2, 4, 3, 1, 1), Model(4, 4, 2, 5, 2, 0)]
HIDDEN = [48, 3, 37, 16, 300, 1, 130]
SEEDS = [1, 7, 2**32 + 5, 2**64 - 1, 0x123456789ABCDEF]
ADAPTERS = [
    [("a", 4, 8, "qkv"), ("b", 2, 3, "qv")],
    [("a", 5, 7, "qkv"), ("b", 1, 1, "none"), ("c", 4, 16, "qv")],
    [("a", 16, 11, "qkv")],
    [("a", 3, 5, "q"), ("b", 4, 4, "kv"), ("c", 8, 8, "qkv")],
    [("a", 1, 1048576, "qkv"), ("b", 64, 1, "qkv")],  # beyond fp16's range, and into its subnormals
    [("a", 4, 1, "v"), ("b", 17, 5, "k"), ("c", 2, 2, "qk")],
    [],
]
TOKENS = ["a,b,-,c,a", "c,-,b", "a,a,a,b,b,b,c,-,a,-", "-,b,a,a,c,c,b,a"]
SHIPPED = {  # engines of configs/engines; every program comes with contracts of our own, too
    "llama_cpp": ["llama_cpp"], "peft_default": ["hf_tp_peft"], "sglang_jax": ["sglang_jax"],
    "sglang_triton": ["sglang", "sglang_fused"], "tpu_inference": ["tpu_inference"],
    "trtllm": ["trtllm_separate", "trtllm_fused"], "vllm": ["vllm", "vllm_fully_sharded", "vllm_single_slice"],
}
OWN_LORA_RANK = ("llama_cpp", "hf_tp_peft", "sglang", "sglang_fused", "trtllm_separate", "trtllm_fused")
FUSED = ("sglang_fused", "trtllm_fused", "vllm_single_slice")
TENSOR_CORES = {
    "bf16": ["tensor_core:hopper", "tensor_core:ampere", "tensor_core:blackwell", "tensor_core:hopper,split=3"],
    "fp16": ["tensor_core:volta", "tensor_core:hopper", "tensor_core:ampere", "tensor_core:blackwell,promote=128"],
    "fp32": ["tensor_core:hopper", "tensor_core:hopper,split=2,unit=16,merge=descending"],
}
for each in TENSOR_CORES.values():
    each += ["tensor_core:group=8,fraction=24,floor=-132,result=23", "tensor_core:hopper,split=3,merge=descending",
             "tensor_core:group=5,fraction=20,floor=-40,result=17", "tensor_core:hopper,split=4,unit=8",
             "tensor_core:hopper,promote=32"]


def write_contracts(folder):
    """Contracts of every program, for separate and for fused adapters: vllm's, with another program."""
    separate, fused = (json.loads((ENGINES / f"{name}.json").read_text()) for name in ("vllm", "vllm_single_slice"))
    for contract in (separate, fused):
        del contract["variants"]  # for models: these layers are of none
    del separate["claims"]  # vLLM cuts v by head_dim; by v_head_dim it is right for every geometry
    separate["lora_b"]["buffers"]["Bv"] = separate["kernel"][2]["rows"] = "n*Dv"
    separate["lora_b"]["copies"][2].update({"from": "g0*Dv", "rows": "n*Dv"})
    for program in PROGRAMS:
        scale = "table" if PROGRAMS[program].load is keep else "slot"  # a contract says where the factor is
        separate["pool"]["scale"], fused["replace"] = scale, {"/pool/scale": scale}
        for suffix, contract in (("", separate), ("_fused", fused)):
            contract.update(engine="twin_" + program + suffix, program=program)
            (folder / f"{program}{suffix}.json").write_text(json.dumps(contract))


def make_case(draw, folder, program, dtype, data, accumulator, base_accumulator):
    """A case with the given arithmetic; everything else is drawn. Some shipped contracts are of engines that cut a
    gated q, a v_head_dim or a shared KV head wrongly: this file knows no layouts, and leaves those to its own."""
    own = [str(folder / f"{program}{suffix}.json") for suffix in ("", "_fused")]
    engine = draw.choice(own + SHIPPED.get(program, []))
    fused = engine == own[1] or engine in FUSED
    plain = engine not in own
    model = draw.choice([m for m in MODELS if m.Dv == m.D or engine == own[0]][: 3 if plain else None])
    tp = draw.choice([1, 2, 2 if plain else 4])
    adapters = [Adapter(*a) for a in draw.choice(ADAPTERS)]
    if fused:
        adapters = [a._replace(targets="fused") for a in adapters]
    elif engine == "sglang":  # it refuses adapters without q or v
        adapters = [a if a.targets in ("qv", "none") else a._replace(targets="qkv") for a in adapters]
    names = [a.name for a in adapters]
    tokens = tuple(name if name in names else "-" for name in draw.choice(TOKENS).split(","))
    return Case(engine, program, model, draw.choice(HIDDEN), tp, draw.choice([64, 70]), adapters, tokens, dtype, accumulator,
                base_accumulator, data, draw.choice(SEEDS))


def make_cases(folder):
    """Every program x dtype x data kind, each with fp32_chain, exact and two tensor_cores; then each accumulator with
    every program that may have it."""
    draw = random.Random(20240607)
    for program, dtype, data in itertools.product(PROGRAMS, TYPES, ("labels", "integers", "wide")):
        if dtype not in TENSOR_CORES:
            continue
        for accumulator in ("fp32_chain", "exact"):
            yield make_case(draw, folder, program, dtype, data, accumulator, accumulator)
        core, other = draw.sample(TENSOR_CORES[dtype], 2)
        rest = core if takes_tensor_core(program, dtype) else draw.choice(("fp32_chain", "exact"))
        yield make_case(draw, folder, program, dtype, data, rest, other)
    for dtype, cores in TENSOR_CORES.items():
        for core in cores:
            for program in draw.sample([p for p in PROGRAMS if takes_tensor_core(p, dtype)], 2):
                yield make_case(draw, folder, program, dtype, "wide", core, core)
    # Found by search: in token 28, row 15 a step that is rounded to fp64 and then to fp32 gives other bits than an fma.
    yield Case("vllm", "vllm", MODELS[0], 300, 1, 16, [], ("-",) * 29, "fp32", "fp32_chain", "fp32_chain", "wide", 2545)


# ---- Comparison with the product ---------------------------------------------------------------------------


class Report:
    def __init__(self):
        self.values, self.rounded, self.mismatches = 0, 0, []

    def compare(self, what, expected, found):
        """Raw patterns against an array of them."""
        if found.size != expected.size:
            return self.mismatches.append(f"{what}: {found.size} values, expected {expected.size}")
        found = found.reshape(expected.shape)
        self.values += found.size
        for element in np.argwhere(found != expected)[:1]:
            e, width = tuple(int(i) for i in element), 2 * found.itemsize
            self.mismatches.append(f"{what}: {list(e)}: product {found[e]:0{width}x}, twin {expected[e]:0{width}x}; "
                                   f"{(found != expected).sum()} of {found.size} differ")

    def hold(self, what, condition):
        self.values += 1
        if not condition:
            self.mismatches.append(what)


def check_case(report, tplora, case, folder):
    line = case.line()
    golden = folder / "golden"
    shutil.rmtree(golden, ignore_errors=True)
    ran = subprocess.run([tplora, "golden", line, "--out", golden], capture_output=True, text=True)
    if ran.returncode == 2 and case.data == "integers" and "before it sums" in ran.stderr:
        report.rounded += 1  # no probe for every order: with this factor a sum is rounded
        return None
    if ran.returncode != 0:
        return report.mismatches.append(f"{line}: {ran.stderr.strip()}")
    manifest = json.loads((golden / "manifest.json").read_text())
    numbers = {a.name: i for i, a in enumerate(case.adapters)}
    report.hold(f"{line}: program", manifest["program"] == case.program)
    for a, told in zip(case.adapters, manifest["adapters"]):
        report.hold(f"{line}: scaling", all(part["scaling"] == float(F32(a.alpha / a.lora_rank)) for part in told["parts"].values()))
    tensors = logical_tensors(case)
    outputs = forward(case, tensors)
    kinds = {"bf16": "BF16", "fp16": "F16", "fp32": "F32"}

    def compare(name, found, expected, dtype=case.dtype):
        """(type, array of patterns or of fp32 values) against values."""
        kind, array = found
        report.hold(f"{line}: type of {name}", kind == kinds[dtype])
        pattern = TYPES[dtype].pattern
        report.compare(f"{line}: {name}", encode(expected, dtype), np.ascontiguousarray(array).view(pattern))

    inputs = load_bits(golden / "inputs.safetensors")
    report.hold(f"{line}: adapter_of_token", inputs["adapter_of_token"][1].tolist() == [numbers.get(t, -1) for t in case.tokens])
    compare("x", inputs["x"], tensors["x"])
    module = "base_model.model.model.layers.0.self_attn."
    for i, a in enumerate(case.adapters):
        stored = load_bits(golden / f"adapters/{a.name}/adapter_model.safetensors") if a.parts() else {}
        if a.targets == "fused":
            compare(f"{a.name} A", stored[module + "qkv_proj.lora_A.weight"], tensors[i, "q", "a"])
            compare(f"{a.name} B", stored[module + "qkv_proj.lora_B.weight"], np.vstack([tensors[i, part, "b"] for part in "qkv"]))
            continue
        for part in a.parts():
            compare(f"{a.name} A of {part}", stored[f"{module}{part}_proj.lora_A.weight"], tensors[i, part, "a"])
            compare(f"{a.name} B of {part}", stored[f"{module}{part}_proj.lora_B.weight"], tensors[i, part, "b"])
    for t in range(case.tp):
        rows, rank = case.rank_rows(t), load_bits(golden / f"rank{t}.safetensors")
        report.hold(f"{line}: parts of tp_rank {t}", [[c["part"], c["rows"]] for c in manifest["ranks"][t]["columns"]]
                    == [[part, len(part_rows)] for part, part_rows in rows.items()])
        columns = np.concatenate([np.array(rows[part]) + fused.start for part, fused in case.part_slices().items()])
        compare(f"weight of tp_rank {t}", rank["weight"], tensors["weight"][columns])
        if case.model.bias:
            compare(f"bias of tp_rank {t}", rank["bias"], tensors["bias"][columns])
        compare(f"y of tp_rank {t}", rank["y"], outputs[:, columns], "fp32" if case.program == "llama_cpp" else case.dtype)


def dot_operands(generator, rows, columns, name, sorts):
    """Patterns, each row of one sort: 0 any bits; 1 exponents close together, so that sums cancel; 2 the smallest ones;
    3 the largest; 4 products near the floor, whose sums are among fp32's subnormals. Every other round of the rows has
    zeros in between, and every other of those specials."""
    t = TYPES[name]
    sign = 1 << (t.exponent_bits + t.fraction_bits)
    highest = (1 << t.exponent_bits) - 1
    middle = highest // 2
    small = middle - min(middle - 1, 78)
    fields = [None, (middle - 2, middle + 2), (0, 3), (highest - 3, highest - 1), (small, small + 10)]
    odd_ones = [highest << t.fraction_bits, (highest << t.fraction_bits) + 1, 1]
    result = generator.integers(0, 2 * sign, (rows, columns), dtype=U64).astype(I64)
    for row in range(rows):
        turn, span = row // len(sorts), fields[sorts[row % len(sorts)]]
        if span:
            field = generator.integers(span[0], span[1] + 1, columns)
            result[row] = (result[row] & ~(highest << t.fraction_bits)) | (field << t.fraction_bits)
            if span == fields[4]:
                result[row] &= ~sign  # of one sign: what is cut adds up, until it shows in the result
        chosen = generator.integers(0, 8, columns)
        if turn % 2 == 1:
            result[row] = np.where(chosen == 0, result[row] & sign, result[row])
        if turn % 4 == 3:
            odd = generator.choice(odd_ones, columns)
            result[row] = np.where(chosen * columns < 8, (result[row] & sign) | odd, result[row])
    return result.astype(t.pattern)


def dot_accumulators(name):
    named = [f"tensor_core:{unit}" for unit, dtype in UNITS if dtype == name]
    cut = [named[0] + options for options in (",split=3,unit=8", ",split=4,unit=16,merge=descending", ",promote=24")]
    spelled = ["7,fraction=26,floor=-145,result=20", "64,fraction=40,floor=-300,result=1"]
    return ["fp32_chain", "exact"] + named + cut + ["tensor_core:group=" + words for words in spelled]


def check_dot(report, gpu_model, folder, generator, name, columns, accumulator, sorts, with_start):
    T, N = (20, 30) if len(sorts) > 1 else (40, 60)
    x, w = (dot_operands(generator, rows, columns, name, sorts) for rows in (T, N))
    c = dot_operands(generator, T, N, "fp32", sorts)
    for file_name, patterns in (("x", x), ("w", w), ("c", c)):
        patterns.tofile(folder / file_name)
    command = [gpu_model, "dot", accumulator, name, str(T), str(N), str(columns), "x", "w", "out"] + ["c"] * with_start
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    what = f"dot {accumulator} {name} K={columns} sorts={sorts} {'with' if with_start else 'without'} C"
    if ran.returncode != 0:
        return report.mismatches.append(f"{what}: {ran.stderr.strip()}")
    start = decode(c, "fp32") if with_start else None
    ours = dot(accumulator, name, decode(x, name), decode(w, name), start)
    report.compare(what, bits_of(ours), np.fromfile(folder / "out", "<u4"))


def check_dots(report, gpu_model, folder):
    generator = np.random.default_rng(20240607)
    runs = [(name, columns, accumulator, (0, 1, 2, 3, 4)) for name in ("bf16", "fp16", "tf32", "e4m3", "e5m2")
            for columns in (1, 3, 16, 37, 300) for accumulator in dot_accumulators(name)]
    runs += [(name, columns, accumulator, (4,)) for name in ("bf16", "tf32") for columns in (8, 16, 50)
             for accumulator in dot_accumulators(name)]
    for number, (name, columns, accumulator, sorts) in enumerate(runs):
        # Accumulators at the start are of one chain: what they mean where K is cut, the page does not say.
        chained = "tensor_core" in accumulator and "split" not in accumulator and "promote" not in accumulator
        check_dot(report, gpu_model, folder, generator, name, columns, accumulator, sorts, chained and number % 2 == 0)
    return len(runs)


PHILOX_KNOWN = [  # counter, key, words; from Random123
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]


def check_twin(report):
    """What this file can check of itself: known answers, and its integer conversions against NumPy's."""
    for counter, key, words in PHILOX_KNOWN:
        report.hold(f"philox of {counter}", [int(w) for w in philox4x32_10(counter, key)] == words)
    patterns = np.arange(65536, dtype=np.uint16)
    theirs = canonical(patterns.view(np.float16).astype(F32))
    report.hold("fp16 patterns as fp32", (bits_of(decode(patterns, "fp16")) == bits_of(theirs)).all())
    words = np.random.default_rng(1).integers(0, 1 << 32, 200000, dtype=U64).astype(U32)
    words[:100000] = (words[:100000] & U32(0x83FFFFFF)) | U32(0x34000000)  # near fp16's range
    values = canonical(from_bits(np.concatenate([words, words & U32(0xFFFFF000)])))
    report.hold("fp32 rounded to fp16", (encode(rounded_to("fp16")(values), "fp16")
                                         == encode(canonical(values.astype(np.float16).astype(F32)), "fp16")).all())


# What the page refuses: other operand types, and a tensor_core behind a program that expands fp32 values.
REFUSED = [f"engine={engine} dtype={dtype} accumulator=tensor_core:{unit}" for engine, dtype, unit in (
    ("vllm", "bf16", "volta"), ("vllm", "fp32", "volta"), ("vllm", "fp32", "ampere"), ("vllm", "fp32", "blackwell"),
    ("llama_cpp", "bf16", "hopper"), ("hf_tp_peft", "bf16", "hopper"))]


def check_refusals(report, tplora, folder):
    for words in REFUSED:
        line = f"model=H=4,KV=2,D=8,hidden=48 tp=1 tokens=- {words}"
        ran = subprocess.run([tplora, "golden", line, "--out", folder / "refused"], capture_output=True, text=True)
        report.hold(f"{line}: exit code {ran.returncode}, expected 2", ran.returncode == 2)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: python3 tests/numpy_twin.py PATH/tplora PATH/gpu_model")
    (tplora, gpu_model), report = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:]), Report()
    with tempfile.TemporaryDirectory() as name, np.errstate(all="ignore"):
        contracts, files = pathlib.Path(name) / "contracts", pathlib.Path(name) / "files"
        contracts.mkdir()
        files.mkdir()
        write_contracts(contracts)
        check_twin(report)
        check_refusals(report, tplora, files)
        dots = check_dots(report, gpu_model, files)
        cases = list(make_cases(contracts))
        for case in cases:
            check_case(report, tplora, case, files)
    for mismatch in report.mismatches[:20]:
        print(mismatch)
    print(f"numpy_twin: {len(cases)} cases ({report.rounded} refused as probes), {dots} dots, {report.values} values compared, "
          f"{len(report.mismatches)} mismatches")
    return 1 if report.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
