"""The operand formats of the matrix unit as bit patterns: drawing them, and reading them as float64.

tf32 operands are fp32 words, of which the unit ignores the low 13 bits; they are drawn with those bits set."""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Format:
    name: str
    dtype: type
    exponent_bits: int
    fraction_bits: int   # stored in the word
    kept_bits: int       # of these, the ones that count
    group: int           # products that one step of the unit takes (wgmma)
    low: int             # 2^low..2^high: magnitudes that give neither overflow nor subnormal products
    high: int

    @property
    def bias(self):
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def top(self):
        """The biased exponent of all ones."""
        return (1 << self.exponent_bits) - 1

    @property
    def sign_bit(self):
        return self.exponent_bits + self.fraction_bits

    def words(self, sign, exponent, fraction):
        """Patterns from sign, biased exponent and stored fraction."""
        return (np.asarray(sign) << self.sign_bit | np.asarray(exponent) << self.fraction_bits
                | np.asarray(fraction)).astype(self.dtype)

    def any(self, rng, shape):
        """Every pattern alike, NaN and Inf included."""
        return rng.integers(0, 1 << (self.sign_bit + 1), shape).astype(self.dtype)

    def finite(self, rng, shape):
        patterns = self.any(rng, shape)
        highest = 1 << (self.sign_bit - 1)  # of the exponent: without it every pattern is finite
        return np.where(self.special(patterns), patterns & ~self.dtype(highest), patterns)

    def special(self, patterns):
        """NaN or Inf. (e4m3 has no Inf, and a single NaN of each sign; its top exponent holds numbers.)"""
        if self.name == "e4m3":
            return patterns & 0x7F == 0x7F
        return (patterns >> self.fraction_bits) & self.top == self.top

    def between(self, rng, shape, low, high):
        """Random signs and fractions, exponents uniform in 2^low .. 2^high (clamped to what is normal and finite)."""
        last = self.top if self.name == "e4m3" else self.top - 1
        exponent = np.clip(rng.integers(low, high + 1, shape) + self.bias, 1, last)
        fraction = rng.integers(0, 1 << self.fraction_bits, shape)
        if self.name == "e4m3":
            fraction = np.where(exponent == self.top, fraction % 7, fraction)
        return self.words(rng.integers(0, 2, shape), exponent, fraction)

    def subnormal(self, rng, shape):
        return self.words(rng.integers(0, 2, shape), 0, rng.integers(0, 1 << self.fraction_bits, shape))

    def power(self, exponent, sign=0):
        """(-1)^sign * 2^exponent; exponents below the normal ones give the subnormal power."""
        exponent = np.asarray(exponent)
        biased = exponent + self.bias
        fraction = np.where(biased >= 1, 0, 1 << np.clip(self.fraction_bits + biased - 1, 0, 62))
        return self.words(sign, np.maximum(biased, 0), fraction)

    def zero(self, rng, shape):
        return self.words(rng.integers(0, 2, shape), 0, 0)

    def negated(self, patterns):
        return patterns ^ self.dtype(1 << self.sign_bit)

    def value(self, patterns):
        """float64 of finite patterns, without the bits that do not count."""
        words = patterns.astype(np.int64)
        dropped = self.fraction_bits - self.kept_bits
        fraction = (words & ((1 << self.fraction_bits) - 1)) >> dropped
        exponent = (words >> self.fraction_bits) & self.top
        significand = np.where(exponent == 0, fraction, fraction | 1 << self.kept_bits)
        magnitude = np.ldexp(significand.astype(np.float64), np.maximum(exponent, 1) - self.bias - self.kept_bits)
        return np.where(words >> self.sign_bit, -magnitude, magnitude)

    def inf(self):
        """The pattern of +Inf (e4m3, which has none: its NaN)."""
        return 0x7F if self.name == "e4m3" else self.top << self.fraction_bits

    def nans(self):
        """Several NaNs: quiet, signalling, of either sign; for tf32 also one whose bits that count say Inf."""
        if self.name == "e4m3":
            return np.array([0x7F, 0xFF], self.dtype)
        sign = 1 << self.sign_bit
        quiet = 1 << (self.fraction_bits - 1)
        return np.array([self.inf() | quiet, self.inf() | 1, self.inf() | sign | quiet, self.inf() | sign | quiet - 1 | 1],
                        self.dtype)


FORMATS = {f.name: f for f in (
    Format("bf16", np.uint16, 8, 7, 7, 16, -20, 20),
    Format("fp16", np.uint16, 5, 10, 10, 16, -6, 6),
    Format("tf32", np.uint32, 8, 23, 10, 8, -20, 20),
    Format("e4m3", np.uint8, 4, 3, 3, 32, -5, 7),
    Format("e5m2", np.uint8, 5, 2, 2, 32, -8, 8),
)}
FP32 = Format("fp32", np.uint32, 8, 23, 23, 0, -20, 20)
FP16 = FORMATS["fp16"]


def fp32_words(values):
    """float64 -> fp32 patterns, to nearest; what is too large becomes Inf."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float32).view(np.uint32)


def canonical(patterns, result):
    """Patterns of fp32, fp16 or bf16 results with every NaN as the one that the repository writes."""
    inf, nan, mask = {"fp32": (0x7F800000, 0x7FC00000, 0x7FFFFFFF), "fp16": (0x7C00, 0x7E00, 0x7FFF),
                      "bf16": (0x7F80, 0x7FC0, 0x7FFF)}[result]
    return np.where(patterns & mask > inf, patterns.dtype.type(nan), patterns)


def fp8_as_fp16(patterns, name):
    """e4m3 or e5m2 patterns as the fp16 patterns of equal value."""
    if name == "e5m2":
        return patterns.astype(np.uint16) << 8
    finite = FORMATS["e4m3"].value(np.where(patterns & 0x7F == 0x7F, 0, patterns).astype(np.uint8))
    words = finite.astype(np.float16).view(np.uint16)
    sign = (patterns.astype(np.uint16) & 0x80) << 8
    return np.where(patterns & 0x7F == 0x7F, sign | 0x7E00, words | sign).astype(np.uint16)
