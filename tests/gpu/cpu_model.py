"""Calls gpu_model, this repository's CPU side, over files in memory (/dev/shm)."""
import os
import re
import subprocess
import tempfile

import numpy as np

DEFAULT = "build/tests/gpu/gpu_model"


class CpuModel:
    def __init__(self, program):
        if not os.access(program, os.X_OK):
            raise SystemExit(f"{program} cannot be run: build it first, or name it with --model")
        self.program = program
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def save(self, name, array):
        np.ascontiguousarray(array).tofile(self.path(name))
        return self.path(name)

    def call(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"gpu_model {arguments[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")
        return done.stdout

    def operands(self, x, w):
        """Writes x [T, K] and w [N, K]; the same objects as last time are not written again."""
        if getattr(self, "held", (None, None))[0] is not x or self.held[1] is not w:
            self.save("x", x), self.save("w", w)
            self.held = (x, w)
        return len(x), len(w), x.shape[1], self.path("x"), self.path("w")

    def dot(self, accumulator, kind, x, w, c=None):
        """The results as fp32 words [T, N]."""
        tokens, columns, depth, x_file, w_file = self.operands(x, w)
        extra = [self.save("c", c)] if c is not None else []
        self.call("dot", accumulator, kind, tokens, columns, depth, x_file, w_file, self.path("y"), *extra)
        return np.fromfile(self.path("y"), np.uint32).reshape(tokens, columns)

    def find_split(self, accumulator, kind, x, w, result, result_type):
        """(split, mismatches) of the best split-K for results of result_type."""
        tokens, columns, depth, x_file, w_file = self.operands(x, w)
        said = self.call("find-split", accumulator, kind, tokens, columns, depth, x_file, w_file, self.save("result", result), result_type)
        found = re.search(r"split=(\d+)\s+mismatches=(\d+)", said)
        if not found:
            raise RuntimeError(f"gpu_model find-split said neither split nor mismatches: {said.strip()[:200]}")
        return int(found[1]), int(found[2])
