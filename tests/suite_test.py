#!/usr/bin/env python3
"""Suites that say what people mean, sweeps without a suite, and runs that go on (docs/formats/suite.md)."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = str(pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ROOT / "build" / "tplora").resolve())
MODELS = ROOT / "configs" / "models"
SMALL = "H=8,KV=2,D=16,hidden=64"
LINE = "R=16 adapters=a:r16:alpha32:qkv,b:r8:alpha8:qkv tokens=a,-,a,b"


def grid(**more):
    return {"models": [SMALL], "engines": ["sglang"], "tp": [1, 2], "case": LINE, **more}


def suite(*entries, **more):
    return {"format": "tplora-suite/1", "name": "mine", "cases": list(entries), **more}


class Suites(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, value, name="suite.json"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    def run_program(self, *arguments, **more):
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=600, **more)

    def verify(self, value, *arguments, code=0, **more):
        done = self.run_program("verify", self.write(value), *arguments, **more)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def refused(self, value, *words):
        done = self.run_program("verify", self.write(value))
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def lines(self, value, *arguments, code=0, **more):
        """Case lines of a dry run, as dictionaries."""
        text = self.verify(value, "--dry-run", *arguments, code=code, **more).stdout
        lines = text.split("\n\n")[0].splitlines() if "\n\n" in text else []
        return [dict(pair.split("=", 1) for pair in line.split() if "=" in pair) for line in lines]

    def values(self, key, value, **more):
        seen = []
        for line in self.lines(value, **more):
            if line.get(key) not in seen:
                seen.append(line.get(key))
        return seen


class Names(Suites):
    def config(self, name, heads):
        return self.write({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 2,
                           "hidden_size": 64, "num_attention_heads": heads, "num_key_value_heads": 2}, name)

    def test_patterns_of_names(self):
        names = [f"{f.parent.name}/{f.stem}" for f in MODELS.glob("Qwen/*.json")]
        found = self.values("model", suite(grid(models=["Qwen/*"], tp=[1])))
        self.assertTrue(found)
        self.assertEqual(sorted(found), sorted(name for name in names if name in found))
        listed = self.run_program("list", "models").stdout.split()
        self.assertEqual(found, [name for name in listed if name.startswith("Qwen/")])
        self.assertEqual(self.values("model", suite(grid(models=["*"], tp=[1]))), listed)
        # A folder of the collection is the collection, without what lies there and is no model.
        here = self.values("model", suite(grid(models=[str(MODELS)], tp=[1])))
        self.assertEqual(here, listed)
        engines = self.run_program("list", "engines").stdout.split()
        self.assertEqual(self.values("engine", suite(grid(engines=["*"], fit=True))), engines)
        self.assertEqual(self.values("engine", suite(grid(engines=["vllm", "v*", "sglang"], fit=True))),
                         ["vllm"] + [e for e in engines if e.startswith("v") and e != "vllm"] + ["sglang"])
        bugs = [bug for bug in self.run_program("list", "bugs").stdout.split() if bug.startswith("vllm-4")]
        self.assertEqual(self.values("engine", suite(grid(engines=["bugs/vllm-4*"], fit=True))), bugs)
        self.refused(suite(grid(models=["nobody/*"])), "/cases/0/models/0", "nobody/*", "no name fits")
        self.refused(suite(grid(engines=["nobody*"])), "/cases/0/engines", "nobody*")

    def test_files_and_folders_from_where_the_suite_lies(self):
        self.config("models/b.json", 4)
        self.config("models/a.json", 8)
        self.config("models/deep/checkpoint/config.json", 16)
        self.write("{}", "models/deep/checkpoint/generation_config.json")
        for models, found in ((["models/*.json"], ["a.json", "b.json"]),
                              (["models"], ["a.json", "b.json", "deep/checkpoint/config.json"]),
                              (["models/deep/checkpoint"], ["deep/checkpoint/config.json"]),
                              (["./models/*"], ["a.json", "b.json", "deep/checkpoint/config.json"]),
                              (["models/b.json", "models"], ["b.json", "a.json", "deep/checkpoint/config.json"])):
            for where in (ROOT, self.folder):
                self.assertEqual(self.values("model", suite(grid(models=models)), cwd=where),
                                 [str(self.folder / "models" / one) for one in found], models)
        value = self.write(suite(grid(models=["../models/a.json"])), "suites/one.json")
        done = self.run_program("verify", pathlib.Path("suites/one.json"), cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("models/a.json", done.stdout)
        self.assertNotIn("..", done.stdout.split("sha256")[0])
        value.unlink()
        shutil.copy(ROOT / "configs" / "engines" / "vllm.json", self.folder / "mine.json")
        self.assertEqual(self.values("engine", suite(grid(engines=["mine.json"]))), [str(self.folder / "mine.json")])
        self.refused(suite(grid(models=["models/c*.json"])), "/cases/0/models", "no file fits")
        # A folder's own name is no pattern, nor is a file's that is there.
        self.config("x[1]/m/a[2].json", 4)
        self.config("x1/m/b.json", 4)
        for models in ("m/*.json", "m/a[2].json", "./m/*", "../x[1]/m/*.json"):
            odd = self.write(suite(grid(models=[models])), "x[1]/suite.json")
            if models.startswith(".."):  # here it is a pattern, and fits the other folder
                self.assertIn("model=" + str(self.folder / "x1/m/b.json"), self.run_program("verify", odd, "--dry-run").stdout)
                continue
            text = self.run_program("verify", odd, "--dry-run").stdout
            self.assertIn("model=" + str(self.folder / "x[1]/m/a[2].json"), text)
            self.assertNotIn("b.json", text)
        (self.folder / "empty").mkdir()
        self.refused(suite(grid(models=["empty"])), "empty", "no models")

    def test_a_model_that_cannot_be_read_is_an_error_of_its_cases(self):
        self.write("{", "broken.json")
        report = self.folder / "r.jsonl"
        done = self.verify(suite(grid(models=["broken.json", SMALL])), "--report", report, "--junit",
                           self.folder / "j.xml", "--github", "--markdown", self.folder / "m.md", "--sarif",
                           self.folder / "s.json", code=2)
        self.assertIn("4 cases: 2 consistent, 2 errors", done.stdout)
        self.assertIn("broken.json", done.stdout)
        self.assertIn("and 1 more case\n", done.stdout)
        self.assertRegex(done.stdout, "::error title=.* it could not be judged::")
        lines = [json.loads(line) for line in report.read_text().splitlines()]
        errors = [line for line in lines if line["type"] == "case" and line["verdict"] == "error"]
        self.assertEqual(len(errors), 2)
        for one in errors:
            self.assertIn("broken.json", one["error"])
            self.assertNotIn("shape_check", one)
            self.assertNotIn("unexpected", one)
        self.assertEqual((lines[-1]["errors"], lines[-1]["unexpected"]), (2, 0))
        junit = (self.folder / "j.xml").read_text()
        self.assertIn('failures="0" errors="2"', junit)
        self.assertEqual(junit.count("<error "), 2)
        self.assertIn("| 4 | 0 | 2 |", (self.folder / "m.md").read_text())
        results = json.loads((self.folder / "s.json").read_text())["runs"][0]["results"]
        self.assertEqual([one["ruleId"] for one in results], ["error"])
        merged = self.run_program("merge", report)
        self.assertEqual((merged.returncode, merged.stdout), (2, done.stdout.split("::error")[0]))
        resumed = self.run_program("verify", self.folder / "suite.json", "--resume", report)
        self.assertEqual((resumed.returncode, resumed.stdout), (2, merged.stdout))
        # A mismatch is told before an error.
        wrong = suite(grid(models=["broken.json", SMALL]), grid(refused_when="1"))
        self.assertIn("2 cases are unexpected", self.verify(wrong, code=1).stdout)
        self.assertIn("(error)", self.verify(suite(grid(models=["broken.json"])), "--dry-run", code=2).stdout)
        # Errors are known first, and end a run that is to end there.
        first = self.verify(suite(grid(models=[SMALL, "broken.json"], numbers=True)), "--fail-fast", code=2).stdout
        self.assertIn("(--fail-fast: 2 cases not run): 2 cases: 2 errors", first)
        # What the engine cannot be asked is an error of that case, too.
        mixed = self.verify(suite(grid(engines=["sglang", "trtllm_fused"])), code=2)
        self.assertIn("takes fused adapters", mixed.stdout)
        # A pin of a model that cannot be read is not stale.
        pin = {"models": ["broken.json"], "engine": "sglang", "tp": [1], "verdict": "crash", "reason": "x", "link": "y"}
        self.verify(suite(grid(models=["broken.json", SMALL]), pins=[pin]), code=2)


class Grids(Suites):
    def test_tp_sizes_as_lists_and_ranges(self):
        for tp, sizes in (([1, 2, "4-6"], "1 2 4 5 6"), ("2-4,8", "2 3 4 8"), (["1", 1, "1-2"], "1 2")):
            self.assertEqual(self.values("tp", suite(grid(tp=tp))), sizes.split())
        for tp in ("0-3", "1-", "a", [0], [1.5], ["1-2000"], 4, [True]):
            self.refused(suite(grid(tp=tp)), "/cases/0/tp", "integers from 1 to 1024")

    def test_lists_of_anything_in_a_case_line(self):
        value = suite(grid(tp=[1], case="R={R} adapters=a:r{r}:alpha8:{targets} dtype={dtype} seed={seed} tokens=a,-",
                           vary={"R": [16, 64], "r": "8,16", "targets": ["qkv", "qv"], "dtype": ["bf16", "fp16"],
                                 "seed": [7]}))
        lines = self.lines(value)
        self.assertEqual(len(lines), 16)
        self.assertEqual([(l["R"], l["adapters"], l["dtype"], l["seed"]) for l in lines[:3]],
                         [("16", "a:r8:alpha8:qkv", "bf16", "7"), ("16", "a:r8:alpha8:qkv", "fp16", "7"),
                          ("16", "a:r8:alpha8:qv", "bf16", "7")])
        steps = suite(grid(tp=[1], case=LINE + " steps={steps}",
                           vary={"steps": ["load:a@0,load:b@1", "load:b@0,evict:b,load:a@0,load:b@1"]}))
        self.assertEqual(self.values("steps", steps), ["load:a@0,load:b@1", "load:b@0,evict:b,load:a@0,load:b@1"])
        self.refused(suite(grid(case="R={r}")), "/cases/0/case", "R={r}: expected")
        self.refused(suite(grid(case="R={r} seed={s}", vary={"r": [1]})), "/cases/0/case", "{s}", "has no values")
        self.refused(suite(grid(vary={"r": [1]})), "/cases/0/vary/r", "no place {r}")
        self.refused(suite(grid(case="R={r}", vary={"r": []})), "/cases/0/vary/r", "not empty")
        self.refused(suite(grid(case="R={r}", vary={"r": [1.5]})), "/cases/0/vary/r/0")
        self.refused(suite(grid(case="R={r} tokens=-", vary={"r": ["x"]})), "/cases/0/case", "R=x: expected")
        many = {name: list(range(1, 101)) for name in ("a", "b", "c")}
        self.refused(suite(grid(case="R={a} seed={b}{c}", vary=many)), "1000000 combinations")

    def test_exclusions(self):
        everything = suite(grid(models=[SMALL, "H=8,KV=8,D=16,hidden=64"], engines=["sglang", "vllm"], tp="1-4"))
        self.assertEqual(len(self.lines(everything)), 16)
        for exclusion, left in (({"tp": "3-4"}, 8), ({"engines": ["vllm"], "tp": [1]}, 14),
                                ({"models": [SMALL]}, 8), ({"when": "H % tp_size != 0"}, 12),
                                ({"when": "KV < tp_size", "engines": ["s*"], "reason": "why"}, 14)):
            everything["cases"][0]["exclude"] = [exclusion]
            self.assertEqual(len(self.lines(everything)), left, exclusion)
        for wrong, word in (([{"tp": [64]}], "no case is left out"), ([{"reason": "x"}], "nothing says"),
                            ([{"when": "nothing > 1"}], "nothing"), ([{"models": ["x/*"]}], "no name fits")):
            everything["cases"][0]["exclude"] = wrong
            self.refused(everything, "/cases/0/exclude/0", word)
        self.refused(suite({"bugs": ["*"], "case": LINE, "exclude": [{"tp": [1]}]}), "/cases/0/exclude")
        self.refused(suite({"bugs": ["sglang-2*"], "case": LINE}), "/cases/0/bugs", "no bug is called sglang-2*")
        # What is known of one rank or one adapter is not known of a case.
        for formula, symbol in (("tp_rank == 0", "tp_rank"), ("t == 0 and T == 2", "t"), ("r == 8", "r"), ("has_q", "has_q")):
            self.refused(suite(grid(exclude=[{"when": formula}])), "/cases/0/exclude/0/when", f"{symbol} is not known")
            self.refused(suite(grid(refused_when=formula)), "/cases/0/refused_when", f"{symbol} is not known")
        pin = {"models": ["H=9*"], "engine": "sglang", "tp": [1], "verdict": "crash", "reason": "x", "link": "y"}
        self.refused(suite(grid(), pins=[pin]), "/pins/0", "no name fits")
        self.refused(suite(grid(), pins=[{**pin, "models": [SMALL], "when": "tp_rank"}]), "/pins/0/when")
        for key in ("models", "engines", "tp"):
            self.refused(suite(grid(**{key: []})), f"/cases/0/{key}")
            self.refused(suite(grid(exclude=[{key: [], "when": "H > 0"}])), f"/cases/0/exclude/0/{key}")
        self.refused(suite(grid(), pins=[{**pin, "models": []}]), "/pins/0/models")
        self.refused(suite(grid(engines=["sglang", "nobody"])), "/cases/0/engines/1")
        self.assertEqual(len(self.lines(suite(grid(tp=[1], case="R={r} tokens=-", vary={"r": [8, 8]})))), 1)

    def test_adapters_that_each_engine_takes(self):
        engines = self.run_program("list", "engines").stdout.split()
        line = "R=16 adapters=a:r16:alpha32:qkv tokens=a,-"
        text = self.verify(suite(grid(engines=["*"], fit=True, tp=[1], case=line))).stdout
        self.assertIn(f"{len(engines)} cases: {len(engines)} consistent", text)

    def test_numbers_of_a_sample(self):
        value = suite(grid(tp=[1, 2, 4, 8], engines=["sglang", "vllm"], numbers={"every": 3}))
        self.assertIn("numbers of 3", self.verify(value, "--dry-run").stdout)
        self.assertIn("numbers: 3 equal", self.verify(value).stdout)
        self.refused(suite(grid(numbers={"every": 0})), "/cases/0/numbers/every")

    def test_a_report_expects_nothing(self):
        value = suite(grid(engines=["sglang-24420", "sglang"], tp="1-8", numbers=True), mode="report")
        report = self.folder / "r.jsonl"
        text = self.verify(value, "--report", report).stdout
        self.assertNotIn("unexpected", text)
        self.assertNotIn("blind spots", text)
        self.assertRegex(text, r"H=8,KV=2,D=16,hidden=64 +8/2/16 +=   =   r   S   r   r   r   C\n")
        self.assertEqual(text.count("\nsilent: "), 1)
        self.assertIn("its cause was not looked for", text)
        self.assertEqual(text.count("\ncrash: "), 1)
        lines = [json.loads(line) for line in report.read_text().splitlines()]
        self.assertEqual((lines[0]["mode"], lines[-1]["unexpected"]), ("report", 0))
        self.assertFalse([line for line in lines if "expected" in line])
        self.assertEqual(self.run_program("merge", report).stdout, text)
        explained = self.verify({**value, "explain": True}).stdout
        self.assertIn("sglang-24420.json#/", explained)
        self.assertNotIn("was not looked for", explained)
        for key, wrong in (("pins", []), ):
            self.refused({**value, key: wrong}, f"/{key}", "mode report")
        self.refused(suite(grid(refused_when="1"), mode="report"), "/cases/0/refused_when", "mode report")
        self.refused(suite({"bugs": ["*"], "case": LINE}, mode="report"), "/cases/0/bugs", "mode report")
        # Only the numbers are checked, never left out: a silent case that runs shows it.
        self.assertTrue([l for l in lines if l["type"] == "case" and l["verdict"] == "silent"
                         and l["numbers"]["state"] == "different"])

    def test_worst_of_cases_in_one_place_of_the_table(self):
        value = suite(grid(engines=["sglang-24420"], tp=[2, 4], case="R=16 adapters=a:r{r}:alpha32:qkv tokens=a,-,a,a",
                           vary={"r": [16, 32]}), mode="report")
        text = self.verify(value).stdout
        self.assertRegex(text, r"8/2/16 +=   S\n")
        self.assertIn("what is worst of them", text)


class Sweeps(Suites):
    def sweep(self, *arguments, code=0):
        done = self.run_program("sweep", *arguments, cwd=self.folder)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_a_sweep_is_the_suite_that_it_prints(self):
        what = ["--models", SMALL, "Qwen/Qwen2-0.5B", "--engine", "sglang,v*", "--tp", "1-4", "--lora-rank", "8,16",
                "--dtype", "bf16,fp16", "--numbers", "5"]
        printed = self.write(self.sweep(*what, "--print-suite").stdout, "printed.json")
        report = self.folder / "sweep.jsonl"
        swept = self.sweep(*what, "--report", report)
        again = self.run_program("verify", printed)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(again.stdout.split("\nread ")[0], swept.stdout.split("\nread ")[0])
        self.assertEqual(self.sweep(*what, "--resume", report).stdout, swept.stdout)
        done = self.sweep(*what[:-2], "--numbers", "6", "--resume", report, code=2)
        self.assertIn("sweep is another file", done.stderr)
        parts = [self.folder / f"{i}.jsonl" for i in (1, 2)]
        for i, part in enumerate(parts):
            self.sweep(*what, "--report", part, "--shard", f"{i + 1}/2")
        merged = self.folder / "merged.jsonl"
        self.assertEqual(self.sweep_merge(parts, merged), swept.stdout)
        self.assertEqual(merged.read_bytes(), report.read_bytes())

    def sweep_merge(self, parts, out):
        done = self.run_program("merge", *parts, "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_what_a_sweep_refuses(self):
        for arguments, word in ((["--tp", "0"], "--tp 0"), (["--lora-rank", "x"], "--lora-rank x"),
                                (["--numbers", "0"], "--numbers 0"), (["--dtype", "int8"], "int8"),
                                (["--case", "R=16", "--lora-rank", "8"], "--case"), (["--memory", "8"], "--memory 8"),
                                (["--dry-run", "--report", "x"], "--dry-run"),
                                (["--print-suite", "--html", "x"], "--print-suite")):
            done = self.sweep("--models", SMALL, "--engine", "sglang", *arguments, code=2)
            self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1), done.stderr)
            self.assertIn(word, done.stderr)
        self.assertFalse((self.folder / "x").exists())
        self.assertIn("no model is called", self.sweep("--models", "nobody", "--engine", "sglang", code=2).stdout)

    def test_a_line_of_its_own(self):
        text = self.sweep("--models", SMALL, "--engine", "sglang", "--tp", "2", "--case", "R=4 adapters=a:r8:alpha8:q "
                          "tokens=a").stdout
        self.assertRegex(text, r"1 cases: 1 (crash|refused)")


class Running(Suites):
    def test_the_first_failure_ends_a_run_the_same_for_any_threads(self):
        # Unexpected in the middle: everything before it in the order of the plan is run, and told.
        models = [f"H={heads},KV=2,D=16,hidden={hidden}" for hidden in (64, 128) for heads in (4, 8, 16, 32)]
        value = suite(grid(models=models, engines=["sglang"], tp=[1, 2, 4], numbers=True),
                      grid(models=[models[2]], engines=["sglang-24420"], tp=[4], numbers=True))
        texts = set()
        for jobs in (1, 2, 5):
            report = self.folder / f"{jobs}.jsonl"
            done = self.verify(value, "--fail-fast", "--jobs", str(jobs), "--report", report, code=1)
            texts.add((done.stdout, report.read_bytes()))
        self.assertEqual(len(texts), 1)
        text, lines = texts.pop()
        self.assertIn("(--fail-fast: ", text)
        self.assertIn("unexpected: H=16,KV=2,D=16,hidden=64 engine sglang-24420", text)
        self.assertNotIn(b'"footer"', lines)
        self.assertLess(lines.count(b'"type":"case"'), 25)
        # With the failure in it there is nothing to go on for; without --fail-fast there is.
        report = self.folder / "1.jsonl"
        self.verify(value, "--fail-fast", "--resume", report, code=1)
        self.assertEqual(report.read_bytes(), lines)
        whole = self.verify(value, code=1).stdout
        self.assertEqual(self.verify(value, "--resume", report, code=1).stdout, whole)
        self.assertIn(b'"footer"', report.read_bytes())

    def test_a_case_that_takes_too_long_is_its_own_error(self):
        tokens = ",".join(["a", "-"] * 1024)
        value = suite(grid(tp=[1, 2]), {**grid(models=["H=64,KV=64,D=128,hidden=8192"], tp=[1], numbers=True),
                                        "case": f"R=16 adapters=a:r16:alpha32:qkv tokens={tokens}"})
        start = time.monotonic()
        done = self.verify(value, "--case-timeout", "1", code=2)
        self.assertLess(time.monotonic() - start, 60)
        self.assertIn("2 consistent, 1 errors", done.stdout)
        self.assertIn("its numbers take longer than 1 s", done.stdout)

    def test_a_case_whose_explanation_takes_too_long(self):
        # A minute with causes, nothing without: no single place of this contract explains it on so many ranks.
        one = {"models": ["H=512,KV=128,D=16,hidden=64"], "engines": ["trtllm_separate"], "tp": [256],
               "case": "R=16 adapters=a:r16:alpha32:qkv,b:r16:alpha8:qkv tokens=a,b"}
        start = time.monotonic()
        done = self.verify(suite(grid(), one, mode="report", explain=True), "--case-timeout", "1", code=2)
        self.assertLess(time.monotonic() - start, 20)
        self.assertIn("its laws and explanation take longer than 1 s", done.stdout)
        self.assertIn("2 consistent, 1 errors", done.stdout)
        self.assertIn("1 silent", self.verify(suite(one, mode="report"), "--case-timeout", "30").stdout)

    def test_numbers_wait_for_memory(self):
        # Outputs of 42 MB a case, all of one pass: together where there is room, in turns where there is none.
        value = suite(grid(models=["H=64,KV=8,D=128,hidden=64"], tp=[1, 2, 4, 8], numbers=True,
                           case="R=8 slots=1 adapters=a:r8:alpha8:qkv tokens=" + ",".join(["a", "-"] * 512)))
        peaks = []
        texts = set()
        for memory in ("200M", "8G"):
            done = self.verify(value, "--memory", memory, "--jobs", "1")
            texts.add(done.stdout)
            peaks.append(float(done.stderr.rsplit("cases/s, ", 1)[1].split()[0]))
        self.assertEqual(len(texts), 1)
        self.assertIn("4 consistent", texts.pop())
        self.assertLess(peaks[0] + 0.06, peaks[1], peaks)

    def test_minimise_stops(self):
        start = time.monotonic()
        done = self.run_program("minimise", "--timeout", "1", "model=H=512,KV=128,D=16,hidden=64 engine=trtllm_separate tp=256 "
                                "R=16 adapters=a:r16:alpha32:qkv,b:r16:alpha8:qkv")
        self.assertLess(time.monotonic() - start, 20)
        self.assertEqual((done.returncode, done.stdout), (5, ""))
        self.assertIn("stopped before", done.stderr)

    def test_nobody_hears_what_is_said_beside_the_result(self):
        path = self.write(suite(grid()))
        wanted = self.run_program("verify", path)
        report = self.folder / "r.jsonl"
        for redirection in ("2>/dev/full", "2>&-", "<&- 2>&-"):
            report.unlink(missing_ok=True)
            command = f'"{PROGRAM}" verify "{path}" --report "{report}" {redirection}'
            done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (0, wanted.stdout), redirection)
            for line in report.read_text().splitlines():  # nothing of stderr is in it
                json.loads(line)
            done = subprocess.run(["bash", "-c", f'"{PROGRAM}" verify nothing.json {redirection}'], timeout=60)
            self.assertEqual(done.returncode, 2)

    def test_memory_is_shared_out(self):
        value = suite(grid(models=["H=32,KV=8,D=64,hidden=512", "H=32,KV=8,D=64,hidden=1024"], tp=[1, 2, 4, 8],
                           engines=["sglang", "vllm"], numbers=True))
        whole = self.verify(value).stdout
        for memory in ("5M", "1G"):  # 5M: few together, so that the weights pass by several times
            self.assertEqual(self.verify(value, "--memory", memory).stdout, whole)
        done = self.verify(value, "--memory", "16K", code=2)
        self.assertIn("16 errors", done.stdout)
        self.assertIn("MiB of memory, expected at most 0.01562 MiB", done.stdout)

    def test_an_undefined_formula_is_its_case_s_error(self):
        contract = json.loads((ROOT / "configs" / "engines" / "sglang.json").read_text())
        contract["owns"]["q_heads"][1] = "H / (tp_size - 2)"
        self.write(contract, "mine.json")
        text = self.verify(suite(grid(engines=["mine.json"], tp=[2]), grid()), code=2).stdout
        self.assertIn("2 consistent", text)
        self.assertIn("mine.json#/owns/q_heads", text)

    def test_a_dry_run_of_a_shard(self):
        value = suite(grid(models=[SMALL, "H=4,KV=4,D=16,hidden=64", "H=4,KV=2,D=16,hidden=64"], numbers=True))
        parts = [self.lines(value, "--shard", f"{i}/2") for i in (1, 2)]
        self.assertEqual(sum(map(len, parts)), 6)
        self.assertEqual(sorted(map(str, parts[0] + parts[1])), sorted(map(str, self.lines(value))))
        self.assertIn("6 cases in 3 passes: 3 models, 1 engine; laws of all, numbers of 6",
                      self.verify(value, "--dry-run").stdout)


if __name__ == "__main__":
    unittest.main()
