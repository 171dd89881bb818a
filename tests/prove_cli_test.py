#!/usr/bin/env python3
"""`tplora prove` and `tplora mutants` as their users meet them."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build" / "tplora")
SMALL = ("--max-heads", "12", "--max-tp", "12")


def tplora(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=300)


class Prove(unittest.TestCase):
    def write(self, text):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = pathlib.Path(folder.name) / "mine.json"
        file.write_text(json.dumps(text))
        return str(file)

    def extending(self, **more):
        return self.write({"extends": str(ROOT / "configs" / "engines" / "sglang.json"), **more})

    def test_a_contract_that_holds_says_for_how_much(self):
        done = tplora("prove", "sglang", *SMALL)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^sglang: consistent for \d+ cases \(\d+ refused, 0 crash\)\n")
        self.assertIn("T/KV 1-12", done.stdout)
        self.assertEqual(done.stderr, "")

    def test_a_counterexample_replays_from_its_line(self):
        for engine in ("sglang-24420", "trtllm_separate", "tpu_inference"):
            with self.subTest(engine=engine):
                done = tplora("prove", engine, *SMALL, "--json")
                self.assertEqual(done.returncode, 1)
                point = json.loads(done.stdout)["proofs"][0]["counterexample"]
                again = tplora("replay", point["case"])
                self.assertEqual(again.returncode, 1)
                self.assertIn("silent", again.stdout)
                self.assertRegex(again.stdout, r"numbers: \d+ of \d+ outputs differ")
                # "where: found .., expected ..; law ..; cause [place]": replay tells the same in groups.
                told = point["findings"][0]["message"].split(": found ", 1)[1].split("; law ")[0]
                self.assertIn("found " + told, again.stdout)

    def test_the_thread_count_changes_no_byte(self):
        outputs = {tplora("prove", "vllm", "lorax", *SMALL, "--json", "--jobs", n).stdout for n in "124"}
        self.assertEqual(len(outputs), 1)

    def test_without_names_every_engine_is_proved(self):
        done = tplora("prove", "--max-heads", "4", "--max-tp", "4", "--json")
        engines = sorted(f.stem for f in (ROOT / "configs" / "engines").glob("*.json"))
        self.assertEqual([p["engine"] for p in json.loads(done.stdout)["proofs"]], engines)
        self.assertEqual(done.returncode, 1)

    def test_outside_the_claims_a_counterexample_is_information(self):
        done = tplora("prove", "sglang", *SMALL)
        self.assertIn("outside the claims", done.stdout)
        self.assertIn("smallest outside: 1 q heads, 1 kv heads, head_dim 1, v_head_dim 2", done.stdout)
        file = self.extending(claims=[])
        self.assertEqual(tplora("prove", file, *SMALL).returncode, 1)

    def test_a_contract_that_refuses_everything_is_no_pass(self):
        file = self.extending(replace={"/checks/0/that": "H < 0"})
        done = tplora("prove", file, *SMALL)
        self.assertEqual(done.returncode, 3)
        self.assertIn("nothing is consistent", done.stdout)

    def test_a_bad_contract_is_one_sentence_with_file_and_pointer(self):
        for edit in ({"/let/n": "KV//(T - 3)"}, {"/lora_b/copies/0/rows": "h*gate*D - 5"}, {"/let/h": "Q/T"}):
            done = tplora("prove", self.extending(replace=edit), *SMALL)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertRegex(done.stderr, r"\.json#/")

    def test_bad_options_are_refused(self):
        for options in (("--max-heads", "0"), ("--max-tp", "9999"), ("--dp", "0"), ("nowhere",)):
            self.assertEqual(tplora("prove", *options).returncode, 2)


class Mutants(unittest.TestCase):
    def test_the_score_is_printed_and_nothing_survives(self):
        done = tplora("mutants", "trtllm_fused", "--max-heads", "4", "--every", "9")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^contract +mutants +law +verdict +bad_contract +equivalent +spare +survived\n")
        row = re.search(r"^trtllm_fused +(.*)$", done.stdout, re.M).group(1).split()
        self.assertEqual(int(row[0]), sum(int(n) for n in row[1:]))
        self.assertEqual(row[-1], "0")

    def test_json_holds_the_same_numbers(self):
        text = tplora("mutants", "lorax", "--max-heads", "4", "--every", "11").stdout
        score = json.loads(tplora("mutants", "lorax", "--max-heads", "4", "--every", "11", "--json").stdout)["scores"][0]
        row = re.search(r"^lorax +(.*)$", text, re.M).group(1).split()
        self.assertEqual([score["mutants"], *score["fates"].values()], [int(n) for n in row])


if __name__ == "__main__":
    unittest.main()
