"""Builds matrix_unit.cu with nvcc and calls it: one instruction of the matrix unit over whole arrays."""
import ctypes
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("matrix_unit.cu")


@dataclass(frozen=True)
class Instruction:
    name: str        # as matrix_unit.cu calls it
    type: str        # of the operands
    result: str      # of accumulator and result: fp32 or fp16
    depth: int       # k elements in one instruction

    @property
    def family(self):
        return self.name.split(".m")[0]  # mma.sync or wgmma


INSTRUCTIONS = [
    Instruction("mma.sync.m16n8k16.f32.bf16.bf16.f32", "bf16", "fp32", 16),
    Instruction("mma.sync.m16n8k16.f32.f16.f16.f32", "fp16", "fp32", 16),
    Instruction("mma.sync.m16n8k8.f32.tf32.tf32.f32", "tf32", "fp32", 8),
    Instruction("mma.sync.m16n8k32.f32.e4m3.e4m3.f32", "e4m3", "fp32", 32),
    Instruction("mma.sync.m16n8k32.f32.e5m2.e5m2.f32", "e5m2", "fp32", 32),
    Instruction("mma.sync.m16n8k8.f32.bf16.bf16.f32", "bf16", "fp32", 8),
    Instruction("mma.sync.m16n8k8.f32.f16.f16.f32", "fp16", "fp32", 8),
    Instruction("mma.sync.m16n8k16.f16.f16.f16.f16", "fp16", "fp16", 16),
    Instruction("wgmma.m64n8k16.f32.bf16.bf16", "bf16", "fp32", 16),
    Instruction("wgmma.m64n8k16.f32.f16.f16", "fp16", "fp32", 16),
    Instruction("wgmma.m64n8k8.f32.tf32.tf32", "tf32", "fp32", 8),
    Instruction("wgmma.m64n8k32.f32.e4m3.e4m3", "e4m3", "fp32", 32),
    Instruction("wgmma.m64n8k32.f32.e5m2.e5m2", "e5m2", "fp32", 32),
    Instruction("wgmma.m64n8k16.f16.f16.f16", "fp16", "fp16", 16),
    Instruction("wgmma.m64n8k32.f16.e4m3.e4m3", "e4m3", "fp16", 32),
    Instruction("wgmma.m64n8k32.f16.e5m2.e5m2", "e5m2", "fp16", 32),
]
RESULT_DTYPE = {"fp32": np.uint32, "fp16": np.uint16}


def instruction(name):
    return next(one for one in INSTRUCTIONS if one.name == name)


class MatrixUnit:
    """The device's unit; `run` takes and gives bit patterns."""

    def __init__(self):
        nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
        self.folder = tempfile.TemporaryDirectory()
        library = os.path.join(self.folder.name, "matrix_unit.so")
        built = subprocess.run([nvcc, "-std=c++17", "-O2", "-shared", "-Xcompiler", "-fPIC",
                                "-gencode=arch=compute_90a,code=sm_90a", str(SOURCE), "-o", library],
                               capture_output=True, text=True)
        if built.returncode != 0:
            raise SystemExit(f"nvcc could not build {SOURCE}: {built.stderr.strip()}")
        self.library = ctypes.CDLL(library)
        self.library.matrix_unit_error.restype = ctypes.c_char_p

    def run(self, name, x, w, c=None):
        """x [T, K], w [N, K], c [T, N] or None -> y [T, N]."""
        one = instruction(name)
        x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
        result_dtype = RESULT_DTYPE[one.result]
        y = np.empty((len(x), len(w)), result_dtype)
        if c is not None:
            c = np.ascontiguousarray(c, result_dtype)
        code = self.library.matrix_unit(name.encode(), x.ctypes, w.ctypes, None if c is None else c.ctypes, y.ctypes,
                                        len(x), len(w), x.shape[1] * x.itemsize // 4)
        if code != 0:
            raise SystemExit(f"{name} did not run: {self.library.matrix_unit_error().decode()}")
        return y
