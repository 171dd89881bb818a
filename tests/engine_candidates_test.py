#!/usr/bin/env python3
"""What releases of real engines held on each rank, recorded by examples/engine_ci, judged again with NumPy alone.

A folder of tests/engines/candidates holds the case's line (case.txt) and the candidate's rank files, as the engine's script wrote
them."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build" / "tplora")
CANDIDATES = ROOT / "tests" / "engines" / "candidates"
sys.path.insert(0, str(ROOT / "examples" / "engine_ci"))
import tensors  # noqa: E402

WRONG = {
    "sglang-0.5.11-tp4": [
        "bit-equal to what published bug sglang-24420 gives here",
        "lora_b has 48 rows on tp_ranks 0, 1, 2, 3, and 64 columns for it (law fit)",
        "v head 0, rows 0-15 (columns 48-63): adapter a's delta comes from q rows 0-15 of adapter b, expected its own rows 0-15",
        "v head 0, rows 0-15 (columns 48-63): adapter b's delta comes from zeros, expected its own rows 0-15",
        "likewise on tp_ranks 1, 2, 3"],
}
RIGHT = ["sglang-0.5.23-tp4", "vllm-0.33.0-tp4"]


class Recorded(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def golden(self, name):
        line = (CANDIDATES / name / "case.txt").read_text().strip()
        made = subprocess.run([PROGRAM, "golden", line, "--data", "labels", "--out", self.folder / name], capture_output=True,
                              text=True)
        self.assertEqual(made.returncode, 0, made.stderr)
        return self.folder / name

    def check(self, golden, candidate):
        return subprocess.run([PROGRAM, "check", golden, candidate], capture_output=True, text=True)

    def test_every_folder_has_an_expectation(self):
        self.assertEqual(sorted(path.name for path in CANDIDATES.iterdir()), sorted([*WRONG, *RIGHT]))

    def test_a_release_with_a_published_bug(self):
        for name, words in WRONG.items():
            with self.subTest(name):
                told = self.check(self.golden(name), CANDIDATES / name)
                self.assertEqual(told.returncode, 1, told.stdout + told.stderr)
                for word in words:
                    self.assertIn(word, told.stdout)

    def test_right_releases(self):
        for name in RIGHT:
            with self.subTest(name):
                told = self.check(self.golden(name), CANDIDATES / name)
                self.assertEqual(told.returncode, 0, told.stdout + told.stderr)

    def test_each_tensor_of_a_right_release_is_looked_at(self):
        """Two rows of one tensor exchanged, on one rank."""
        for name in RIGHT:
            golden = self.golden(name)
            held = {path.name: tensors.load(path) for path in CANDIDATES.joinpath(name).glob("rank*.safetensors")}
            for chosen in held["rank3.safetensors"]:
                with self.subTest(name, tensor=chosen):
                    broken = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
                    for file, have in held.items():
                        have = {key: value.copy() for key, value in have.items()}
                        if file == "rank3.safetensors":
                            rows = have[chosen].reshape(-1, have[chosen].shape[-1])  # a view: all slots' rows
                            rows[[0, 1]] = rows[[1, 0]]
                        tensors.save(broken / file, have)
                    told = self.check(golden, broken)
                    self.assertEqual(told.returncode, 1, told.stdout + told.stderr)
                    self.assertIn(chosen, told.stdout)


if __name__ == "__main__":
    unittest.main()
