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

    def test_a_change_that_makes_cases_crash_fails_where_it_is_asked_to(self):
        # From four ranks on the engine asserts what it need not, and no law is broken.
        changed = self.extending(add={"/checks/-": {"that": "T < 4", "else": "crash", "say": "at most three ranks"}})
        self.assertEqual(tplora("prove", changed, *SMALL).returncode, 0)
        self.assertEqual(tplora("prove", changed, *SMALL, "--fail-on", "crash").returncode, 1)
        self.assertEqual(tplora("prove", "sglang", *SMALL, "--fail-on", "crash").returncode, 0)
        done = tplora("prove", changed, *SMALL, "--vs", "sglang")
        self.assertEqual(done.returncode, 1)
        worse, cases = map(int, re.search(r"against sglang: (\d+) of (\d+) cases got worse, 0 better\n", done.stdout).groups())
        alone = {name: json.loads(tplora("prove", name, *SMALL, "--json").stdout)["proofs"][0]["inside"]
                 for name in ("sglang", changed)}
        # Beside the standard points, those of other adapters and numbers.
        self.assertGreater(cases, sum(alone["sglang"][verdict] for verdict in ("consistent", "refused", "crash", "silent")))
        self.assertGreater(worse, alone[changed]["crash"] - alone["sglang"]["crash"])
        self.assertIn(f"  consistent -> crash: {worse}\n  the smallest:\n  H=4,KV=1,D=1,hidden=16,", done.stdout)
        self.assertIn("#/add/~1checks~1-", done.stdout)

    def test_what_got_worse_is_told_the_worst_first(self):
        done = tplora("prove", "sglang-24420", "vllm", *SMALL, "--vs", "sglang", "--json")
        self.assertEqual(done.returncode, 1)
        first, second = [one for one in json.loads(done.stdout)["comparisons"] if not one["variant"]]
        self.assertEqual([(c["from"], c["to"]) for c in first["changes"]], [("consistent", "silent"), ("crash", "silent"), ("consistent", "crash")])
        self.assertEqual(sum(c["cases"] for c in first["changes"]), first["worse"])
        self.assertEqual(tplora("replay", first["changes"][0]["smallest"]["case"]).returncode, 1)
        back = json.loads(tplora("prove", "sglang", *SMALL, "--vs", "sglang-24420", "--json").stdout)["comparisons"][0]
        self.assertEqual((back["worse"], back["better"]), (first["better"], first["worse"]))
        self.assertEqual(tplora("prove", "sglang", *SMALL, "--vs", "sglang").returncode, 0)
        self.assertEqual(second["base"], "sglang")

    def test_what_cannot_be_compared_is_refused(self):
        for arguments, word in ((("--vs", "sglang"), "at least one"), (("sglang_fused", "--vs", "sglang"), "adapters"),
                                (("sglang", "--vs", "nobody"), "nobody"), (("sglang", "--fail-on", "nothing"), "fail-on")):
            with self.subTest(arguments=arguments):
                done = tplora("prove", *arguments, *SMALL)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(word, done.stderr)

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


class Versus(unittest.TestCase):
    def test_a_change_of_the_rules_for_a_class_of_models_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "mine.json"
            variants = json.loads((ROOT / "configs" / "engines/sglang.json").read_text())["variants"]
            place, width = next((f"/variants/{i}/replace/~1let~1width", one["replace"]["/let/width"])
                                for i, one in enumerate(variants) if "/let/width" in one.get("replace", {}))
            file.write_text(json.dumps({"format": "tplora-contract/1", "extends": str(ROOT / "configs" / "engines/sglang.json"),
                                        "engine": "mine", "replace": {place: f"({width}) + 1"}}))
            done = tplora("prove", str(file), "--vs", "sglang", *SMALL)
            self.assertEqual(done.returncode, 1, done.stdout)
            first, second = re.findall(r"^.*cases got worse.*$", done.stdout, re.M)
            self.assertRegex(first, r"mine.json against sglang: 0 of \d+ cases got worse, 0 better")
            self.assertRegex(second, r"mine.json against sglang, for .*: [1-9]\d* of \d+ cases got worse")
            self.assertNotIn("replay", done.stdout)

    def test_every_published_bug_can_be_proved_or_is_named(self):
        done = tplora("prove", "vllm-27570", *SMALL)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)


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
