"""What is recorded: operands that drive one step of the matrix unit, or a chain of steps, into every corner known to us.

A problem is a product y [T, N] = c + x [T, K] * w [N, K]: T * N results from (T + N) * K operands, so a random tile is a compact
source of vectors. Where a condition must hold in every single dot product (cancellation, say), rows and columns are built so that
it holds for each pair of them."""
from dataclasses import dataclass

import numpy as np

from formats import FORMATS, FP16, FP32, fp32_words


@dataclass
class Problem:
    name: str
    x: np.ndarray           # [T, K]
    w: np.ndarray           # [N, K]
    c: np.ndarray = None    # [T, N] fp32 words (fp16 for fp16 accumulators), or none for +0


def sprinkle(rng, patterns, others, share):
    """`patterns` with about `share` of them replaced by draws from `others`."""
    return np.where(rng.random(patterns.shape) < share, rng.choice(others, patterns.shape), patterns).astype(patterns.dtype)


def steps_of(f, rng, shape):
    """Moderate operands: nothing overflows, terms overlap, most bits matter."""
    return f.between(rng, shape, -3, 3)


def exact_sum(f, x, w):
    return f.value(x) @ f.value(w).T


def near_c(rng, target):
    """fp32 words within a few units of `target`."""
    return (fp32_words(target).astype(np.int64) + rng.integers(-3, 4, target.shape)).astype(np.uint32)


def random_problems(f, rng):
    k, big = f.group, (40, 40)
    draw = lambda of, rows: of(rng, (rows, k))
    yield Problem("random bits, random c", draw(f.any, 40), draw(f.any, 40), FP32.any(rng, big))
    yield Problem("finite, finite c", draw(f.finite, 40), draw(f.finite, 40), FP32.finite(rng, big))
    yield Problem("finite, no c", draw(f.finite, 40), draw(f.finite, 40))
    x, w = steps_of(f, rng, (40, k)), steps_of(f, rng, (40, k))
    yield Problem("moderate, c of like size", x, w, FP32.between(rng, big, -4, 8))
    yield Problem("moderate, no c", x, w)
    x, w = f.between(rng, (32, k), f.low, f.high), f.between(rng, (32, k), f.low, f.high)
    yield Problem("wide, c as wide", x, w, FP32.between(rng, (32, 32), 2 * f.low, 2 * f.high))
    positive = f.dtype((1 << f.sign_bit) - 1)
    yield Problem("all positive", x & positive, w & positive)


def zero_problems(f, rng):
    k, shape = f.group, (16, 16)
    zeros = lambda: f.zero(rng, (16, k))
    few = np.array([f.power(0), f.power(0, 1), f.power(1), 0, f.power(f.high)], f.dtype)
    signed_c = FP32.zero(rng, shape)
    yield Problem("signed zeros everywhere", zeros(), zeros(), signed_c)
    yield Problem("zeros times numbers", zeros(), f.finite(rng, (16, k)), signed_c)
    yield Problem("zero products, c passes through", zeros(), f.finite(rng, (16, k)), FP32.finite(rng, shape))
    yield Problem("zero products, tiny c", zeros(), f.finite(rng, (16, k)), FP32.subnormal(rng, shape))
    yield Problem("mostly zeros", sprinkle(rng, zeros(), few, 0.2), sprinkle(rng, zeros(), few, 0.3), signed_c)
    x, w = steps_of(f, rng, (16, k)), steps_of(f, rng, (16, k))
    x[:, 1::2], w[:, 1::2] = x[:, ::2], f.negated(w[:, ::2])
    yield Problem("exact cancellation, c is a zero", x, w, signed_c)


def subnormal_problems(f, rng):
    k = f.group
    lowest, last = 1 - f.bias, f.top - 1 - f.bias
    tiny = lambda rows: f.subnormal(rng, (rows, k))
    large = f.between(rng, (32, k), last - 6, last)
    yield Problem("subnormal operands, large partners", tiny(32), large)
    yield Problem("subnormal operands and c", tiny(32), large, FP32.subnormal(rng, (32, 32)))
    yield Problem("subnormal times subnormal", tiny(16), tiny(16), FP32.subnormal(rng, (16, 16)))
    yield Problem("subnormal among moderate", sprinkle(rng, steps_of(f, rng, (16, k)), tiny(16).ravel(), 0.5),
                  sprinkle(rng, steps_of(f, rng, (16, k)), tiny(16).ravel(), 0.5))
    x = f.between(rng, (32, k), max(lowest, -66), max(lowest, -66) + 6)
    w = f.between(rng, (32, k), max(lowest, -66), max(lowest, -66) + 6)
    yield Problem("products near 2^-129, no c", x, w)
    yield Problem("products near 2^-129, subnormal c", x, w, FP32.subnormal(rng, (32, 32)))


def floor_problems(f, rng):
    """Everything below 2^-125: here the largest exponent is the unit's floor, not a term's. Only types with 8 exponent bits get there."""
    if f.exponent_bits != 8:
        return
    k = f.group
    for top in (-122, -126, -130, -134, -140, -150):
        half = top // 2
        x, w = f.between(rng, (16, k), half - 4, half), f.between(rng, (16, k), top - half - 3, top - half)
        yield Problem(f"floor: products up to 2^{top + 2}", x, w)
        yield Problem(f"floor: products up to 2^{top + 2}, small c", x, w,
                      sprinkle(rng, FP32.subnormal(rng, (16, 16)), FP32.between(rng, 64, -126, -122), 0.3))


def special_problems(f, rng):
    k, shape = f.group, (32, 32)
    x, w = steps_of(f, rng, (32, k)), steps_of(f, rng, (32, k))
    c = FP32.between(rng, shape, -4, 8)
    inf = np.array([f.inf(), f.inf() | 1 << f.sign_bit], f.dtype)
    c_inf = np.array([0x7F800000, 0xFF800000], np.uint32)
    c_nan = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFBFFFFF, 0x7FFFFFFF], np.uint32)
    some = 0.5 / k
    yield Problem("Inf in x", sprinkle(rng, x, inf, some), w, c)
    yield Problem("Inf in x, w and c", sprinkle(rng, x, inf, some), sprinkle(rng, w, inf, some), sprinkle(rng, c, c_inf, 0.1))
    yield Problem("Inf times zero", sprinkle(rng, x, inf, some), sprinkle(rng, w, np.array([0], f.dtype), 0.3), c)
    yield Problem("NaN in x", sprinkle(rng, x, f.nans(), some), w, c)
    yield Problem("NaN in c, Inf in w", x, sprinkle(rng, w, inf, some), sprinkle(rng, c, c_nan, 0.1))


def overflow_problems(f, rng):
    k = f.group
    last = f.top - 1 - f.bias
    largest_c = sprinkle(rng, FP32.between(rng, (32, 32), 124, 127), np.array([0x7F7FFFFF, 0xFF7FFFFF, 0x7F7FFFFE], np.uint32), 0.3)
    big = lambda low: f.between(rng, (32, k), last - low, last)
    yield Problem("largest products, largest c", big(2), big(2), largest_c)
    yield Problem("largest products, no c", big(4), big(4))
    half = min(last, 63)  # products around 2^126, sums on either side of 2^128
    yield Problem("sums around the largest finite", f.between(rng, (32, k), half - 4, half), f.between(rng, (32, k), half - 3, half))
    # Pairs beyond the range that cancel exactly; what is left over is small, or not quite nothing.
    x, w = big(20), big(20)
    x[:, 1::2], w[:, 1::2] = x[:, ::2], f.negated(w[:, ::2])
    yield Problem("overflow inside the group cancels, no c", x, w)
    yield Problem("overflow inside the group cancels, largest c", x, w, largest_c)
    x, w = x.copy(), w.copy()
    w[:, -1] = f.between(rng, (32,), last - 20, last)
    yield Problem("overflow inside the group cancels but for one", x, w)
    low = 1 - f.bias
    yield Problem("products below the range, tiny c", f.between(rng, (16, k), low, low + 10), f.between(rng, (16, k), low, low + 10),
                  FP32.subnormal(rng, (16, 16)))
    mixed = lambda rows: sprinkle(rng, f.between(rng, (rows, k), last - 4, last), f.between(rng, 64, low, low + 4), 0.5)
    yield Problem("largest and smallest together", mixed(16), mixed(16))


def cancellation_problems(f, rng):
    k = f.group
    x, w = steps_of(f, rng, (32, k)), steps_of(f, rng, (32, k))
    yield Problem("c is about minus the sum", x, w, near_c(rng, -exact_sum(f, x, w)))
    x, w = x.copy(), w.copy()
    x[:, 1::2], w[:, 1::2] = x[:, ::2], f.negated(w[:, ::2])
    w[:, -1] = f.between(rng, (32,), -3, 3)
    yield Problem("pairs cancel but for one", x, w)
    yield Problem("pairs cancel but for one, small c", x, w, FP32.between(rng, (32, 32), -20, -4))


def alignment_problems(f, rng):
    """One product against one c at every distance of exponents, and two products likewise: what is cut off, and where."""
    k = f.group
    distance = np.arange(-32, 32)
    x, w = np.zeros((64, k), f.dtype), np.zeros((8, k), f.dtype)
    x[:, 0], w[:, 0] = f.between(rng, (64,), 0, 0), f.between(rng, (8,), 0, 0)
    exponent = (distance[:, None] + 127).repeat(8, 1)
    yield Problem("one product, c at every distance", x, w,
                  FP32.words(rng.integers(0, 2, (64, 8)), exponent, rng.integers(0, 1 << 23, (64, 8))))
    x, w = np.zeros((32, k), f.dtype), np.zeros((16, k), f.dtype)
    x[:, 0] = f.between(rng, (32,), 0, 0)
    x[:, 1:4] = np.stack([f.between(rng, 3, -d, -d) for d in np.linspace(0, f.bias - 1, 32).astype(int)])
    w[:, :4] = np.stack([f.between(rng, 4, -d, -d) for d in np.linspace(0, min(14, f.bias - 1), 16).astype(int)])
    yield Problem("four products at several distances", x, w)


def fingerprint(f, rng):
    """2^j - 2^j - .5 - .25 - .125 for j around the place where the unit's last bit is .25: the answer names the fraction bits. x row: j
    and an order of the terms; w column: a power of two. The row "j = 23" in natural order is the fingerprint of the facts."""
    k = f.group
    scale = {"bf16": 0, "tf32": 0, "fp16": 11, "e4m3": 6, "e5m2": 8}[f.name]
    middle = 11 if k == 32 else 23
    rows = []
    for j in range(middle - 3, middle + 4):
        for order in range(3):
            terms = np.zeros(k, f.dtype)
            terms[:5] = [f.power(j - scale), f.power(j - scale, 1)] + [f.power(-d - scale, 1) for d in (1, 2, 3)]
            rows.append(terms if order == 0 else rng.permutation(terms))
    w = np.stack([np.full(k, f.power(scale - s), f.dtype) for s in range(4)])
    return Problem(f"fingerprint, row 9 is 2^{middle}", np.stack(rows), w)


def live_accumulator_problems(f, rng):
    """c with and without the low 10 bits that fp8 on wgmma never gives; above, among and below the products."""
    k = f.group
    x, w = steps_of(f, rng, (24, k)), steps_of(f, rng, (24, k))
    for name, low, high in (("above", 8, 24), ("among", -4, 8), ("below", -30, -4)):
        c = FP32.between(rng, (24, 24), low, high)
        yield Problem(f"live c {name} the products", x, w, c)
        yield Problem(f"live c {name} the products, low 10 bits clear", x, w, c & np.uint32(0xFFFFFC00))


def chain_problems(f, rng):
    for depth, tokens, columns in ((2 * f.group, 24, 24), (64, 24, 16), (4 * f.group, 16, 16), (256, 12, 8), (1024, 6, 4), (4096, 2, 4)):
        x, w = steps_of(f, rng, (tokens, depth)), steps_of(f, rng, (columns, depth))
        yield Problem(f"chain of {depth}, moderate", x, w)
        if depth <= 256:
            yield Problem(f"chain of {depth}, moderate, c", x, w, FP32.between(rng, (tokens, columns), -4, 10))
            x, w = f.between(rng, (tokens, depth), f.low, f.high), f.between(rng, (columns, depth), f.low, f.high)
            yield Problem(f"chain of {depth}, wide", x, w)
    x, w = f.finite(rng, (12, 4 * f.group)), f.finite(rng, (12, 4 * f.group))
    yield Problem("chain of four, finite", x, w, FP32.finite(rng, (12, 12)))


def group_and_chain_problems(f, rng):
    for family in (random_problems, zero_problems, subnormal_problems, floor_problems, special_problems, overflow_problems,
                   cancellation_problems, alignment_problems, live_accumulator_problems, chain_problems):
        yield from family(f, rng)
    yield fingerprint(f, rng)


def half_depth_problems(f, rng):
    """For m16n8k8 of a 16-bit type: a step of 8 products. Stored as groups of 16, the upper half zeros, so that a chain of these
    groups means the same arithmetic; the recorder takes the zeros out before it runs them."""
    def padded(rows):
        out = np.zeros((len(rows), rows.shape[1] // 8, 16), f.dtype)
        out[:, :, :8] = rows.reshape(len(rows), -1, 8)
        return out.reshape(len(rows), -1)
    for depth in (8, 32, 128):
        x, w = steps_of(f, rng, (16, depth)), steps_of(f, rng, (16, depth))
        yield Problem(f"steps of 8, depth {depth}", padded(x), padded(w), FP32.between(rng, (16, 16), -4, 8))
    yield Problem("steps of 8, finite", padded(f.finite(rng, (24, 8))), padded(f.finite(rng, (24, 8))), FP32.finite(rng, (24, 24)))


def fp16_result_problems(f, rng):
    """For accumulators and results of fp16."""
    k = f.group
    x, w = steps_of(f, rng, (32, k)), steps_of(f, rng, (32, k))
    yield Problem("fp16 result: moderate, c", x, w, FP16.between(rng, (32, 32), -4, 8))
    yield Problem("fp16 result: moderate, no c", x, w)
    yield Problem("fp16 result: random bits", f.any(rng, (24, k)), f.any(rng, (24, k)), FP16.any(rng, (24, 24)))
    yield Problem("fp16 result: finite", f.finite(rng, (24, k)), f.finite(rng, (24, k)), FP16.finite(rng, (24, 24)))
    low = 1 - f.bias
    yield Problem("fp16 result: small", f.between(rng, (24, k), max(low, -14), max(low, -14) + 5), f.between(rng, (24, k), max(low, -12), max(low, -12) + 5),
                  FP16.subnormal(rng, (24, 24)))
    yield Problem("fp16 result: chain of four", steps_of(f, rng, (16, 4 * k)), steps_of(f, rng, (16, 4 * k)), FP16.between(rng, (16, 16), -4, 8))
