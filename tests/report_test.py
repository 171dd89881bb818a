#!/usr/bin/env python3
"""Reports: what they hold, and what they survive (docs/formats/report.md)."""

import fcntl
import hashlib
import importlib.util
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build" / "tplora")
CONFIGS = ROOT / "configs"
# By hand: REPORT_KILLS=100 tests/report_test.py PROGRAM
KILLS = int(os.environ.get("REPORT_KILLS", "10"))

MODELS = [f"H={heads},KV={kv},D={head_dim},hidden=64" for heads in (4, 8) for kv in (1, 2, 4)
          for head_dim in (16, 24)]


def suite(models=None, tokens="a,-,a,a"):
    line = f"R=16 adapters=a:r16:alpha32:qkv,b:r8:alpha8:qkv tokens={tokens}"
    return {"format": "tplora-suite/1", "name": "mine",
            "cases": [{"models": models or MODELS, "engines": ["sglang", "vllm"], "tp": [1, 2, 4, 8], "case": line,
                       "numbers": True, "refused_when": "H % tp_size != 0"},
                      {"bugs": ["sglang-24420", "vllm-47724"], "case": line, "numbers": True}]}


class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.suite = self.write("suite.json", suite())

    def write(self, name, json_value):
        path = self.folder / name
        path.write_text(json.dumps(json_value))
        return path

    def run_program(self, *arguments, **more):
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=600, **more)

    def verify(self, *arguments, suite_file=None, **more):
        return self.run_program("verify", suite_file or self.suite, *arguments, **more)

    def whole(self):
        """The report of a run that nothing disturbs, and what it printed."""
        report = self.folder / "whole.jsonl"
        done = self.verify("--report", report)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return report.read_bytes(), done.stdout

    def refused(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)


class Reports(Runs):
    def test_lines_say_what_was_run_and_what_came_of_it(self):
        report, text = self.whole()
        lines = [json.loads(line) for line in report.splitlines()]
        header, cases, footer = lines[0], lines[1:-1], lines[-1]
        self.assertEqual((header["type"], header["format"], footer["type"]), ("header", "tplora-report/1", "footer"))
        for name in ("engines/sglang.json", "bugs/vllm-47724.json"):
            self.assertEqual(header["files"][name], hashlib.sha256((CONFIGS / name).read_bytes()).hexdigest())
        self.assertEqual(header["files"][str(self.suite)], hashlib.sha256(self.suite.read_bytes()).hexdigest())
        self.assertEqual(sorted(one["number"] for one in cases), list(range(header["cases"])))
        self.assertEqual([one["pass"] for one in cases], sorted(one["pass"] for one in cases))
        self.assertEqual(footer["cases"], len(cases))
        verdicts = {word: sum(one["verdict"] == word for one in cases) for word in footer["verdicts"]}
        self.assertEqual(footer["verdicts"], verdicts)
        self.assertIn(f"digest {footer['digest']} of all", text)
        silent = [one for one in cases if one["verdict"] == "silent"]
        self.assertTrue(silent)
        for one in silent:
            self.assertEqual(one["numbers"]["state"], "different")
            self.assertTrue(one["findings"][0]["stories"][0]["tp_ranks"])
            replayed = self.run_program("replay", one["case"])
            self.assertEqual(replayed.returncode, 1)
            place = one["findings"][0]["place"]
            self.assertIn(f"{place['file']}#{place['pointer']}", replayed.stdout)

    def test_neither_threads_nor_time_change_a_byte(self):
        report, text = self.whole()
        for jobs in ("1", "7"):
            again = self.folder / f"{jobs}.jsonl"
            done = self.verify("--report", again, "--jobs", jobs, env={**os.environ, "TZ": "Asia/Tokyo"})
            self.assertEqual((again.read_bytes(), done.stdout), (report, text))

    def test_shards_put_together_are_the_run_in_one_piece(self):
        report, text = self.whole()
        passes = []
        for count in (1, 3):
            parts = [self.folder / f"{count}-{i}.jsonl" for i in range(count)]
            for i, part in enumerate(parts):
                self.assertEqual(self.verify("--report", part, "--shard", f"{i + 1}/{count}").returncode, 0)
                lines = [json.loads(line) for line in part.read_text().splitlines()]
                passes += [one["pass"] for one in lines if one["type"] == "case"] if count == 3 else []
            merged = self.folder / f"merged{count}.jsonl"
            done = self.run_program("merge", *reversed(parts), "--out", merged)
            self.assertEqual((done.returncode, merged.read_bytes(), done.stdout), (0, report, text))
        self.assertEqual(len(passes), len(report.splitlines()) - 2)
        parts = [self.folder / f"3-{i}.jsonl" for i in range(3)]
        out = self.folder / "out.jsonl"
        self.refused(self.run_program("merge", *parts[:2], "--out", out), 2, "shard 3 of 3 is missing")
        self.refused(self.run_program("merge", *parts, parts[0], "--out", out), 2, "shard 1 again")
        self.refused(self.run_program("merge", parts[0], self.folder / "1-0.jsonl", "--out", out), 2, "1-0.jsonl")
        self.refused(self.run_program("merge", *parts, "--out", merged), 2, "exists already")
        parts[1].write_bytes(b"".join(parts[1].read_bytes().splitlines(keepends=True)[:-1]))
        self.refused(self.run_program("merge", *parts, "--out", out), 2, "3-1.jsonl", "no footer")
        self.assertFalse(out.exists())

    def test_a_file_that_changes_between_shards_is_named(self):
        configs = self.folder / "configs"
        shutil.copytree(CONFIGS, configs)
        parts = [self.folder / "1.jsonl", self.folder / "2.jsonl"]
        for i, part in enumerate(parts):
            done = self.run_program("--configs", configs, "verify", self.suite, "--shard", f"{i + 1}/2", "--report", part)
            self.assertEqual(done.returncode, 0)
            engine = configs / "engines" / "vllm.json"
            engine.write_text(engine.read_text() + "\n")
        done = self.run_program("merge", *parts, "--out", self.folder / "out.jsonl")
        self.refused(done, 2, "2.jsonl", "engines/vllm.json", "1.jsonl")
        self.refused(self.run_program("--configs", configs, "verify", self.suite, "--shard", "1/2", "--resume", parts[0]),
                     2, "engines/vllm.json")

    def test_a_report_cut_off_anywhere_is_gone_on_with(self):
        report, text = self.whole()
        header = report.index(b"\n") + 1
        torn = self.folder / "torn.jsonl"
        ends = [header, header + 1, len(report) - 1, len(report)] + [
            random.Random(1).randrange(header, len(report)) for _ in range(12)]
        for end in ends:
            torn.write_bytes(report[:end])
            done = self.verify("--resume", torn)
            self.assertEqual((done.returncode, torn.read_bytes(), done.stdout), (0, report, text), end)
        for end in (0, 5, header - 1):  # killed before it had a header
            torn.write_bytes(report[:end])
            self.assertEqual((self.verify("--resume", torn).returncode, torn.read_bytes()), (0, report), end)

    def test_a_run_killed_at_any_moment_is_gone_on_with(self):
        report, text = self.whole()
        killed = self.folder / "killed.jsonl"
        started = time.monotonic()
        self.verify()
        whole_run = time.monotonic() - started
        seen = set()
        for i in range(KILLS):
            killed.unlink(missing_ok=True)
            option = "--report"
            for _ in range(2):  # killed twice, then let through
                running = subprocess.Popen([PROGRAM, "verify", str(self.suite), option, str(killed)],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(random.Random(f"{i}{option}").uniform(0, whole_run))
                running.kill()
                running.wait()
                if killed.exists() and b"\n" in killed.read_bytes():
                    option = "--resume"
                else:
                    killed.unlink(missing_ok=True)
                    option = "--report"
                seen.add(killed.stat().st_size if killed.exists() else 0)
            done = self.verify(option, killed)
            self.assertEqual((done.returncode, killed.read_bytes(), done.stdout), (0, report, text), i)
        self.assertGreater(len(seen), 1)

    def test_a_stop_leaves_whole_lines_and_no_footer(self):
        many = self.write("many.json", suite([f"H=8,KV=2,D=64,hidden={hidden}" for hidden in range(1024, 1324, 2)]))
        report = self.folder / "stopped.jsonl"
        for number in (signal.SIGINT, signal.SIGTERM):
            report.unlink(missing_ok=True)
            running = subprocess.Popen([PROGRAM, "verify", str(many), "--report", str(report)], text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            while not report.exists() or report.read_bytes().count(b"\n") < 3:
                time.sleep(0.02)
            running.send_signal(number)
            out, err = running.communicate(timeout=300)
            self.assertEqual((running.returncode, out), (5, ""), err)
            self.assertIn(f"--resume {report}", err)
            self.assertTrue(report.read_bytes().endswith(b"\n"))
            self.assertNotIn(b'"type":"footer"', report.read_bytes())
        self.refused(self.run_program("merge", report, "--out", self.folder / "out.jsonl"), 2, "no footer")

    def test_what_cannot_be_written_is_told_before_anything_is_run(self):
        started = time.monotonic()
        huge = self.write("huge.json", suite([f"H=64,KV=8,D=128,hidden={hidden}" for hidden in range(8192, 8292)]))
        self.refused(self.verify("--report", self.folder / "none" / "r.jsonl", suite_file=huge), 4, "none/r.jsonl")
        there = self.folder / "there.jsonl"
        there.write_text("mine\n")
        self.refused(self.verify("--report", there, suite_file=huge), 2, "there.jsonl", "exists already")
        self.refused(self.verify("--resume", there, suite_file=huge), 2, "there.jsonl")
        self.assertEqual(there.read_text(), "mine\n")
        self.refused(self.verify("--resume", self.folder / "no.jsonl", suite_file=huge), 2, "no.jsonl", "no such report")
        self.refused(self.verify("--report", "a", "--resume", "b", suite_file=huge), 2, "--resume")
        self.refused(self.run_program("verify", huge, self.suite, "--report", self.folder / "r.jsonl"), 2, "one suite")
        for shard in ("0/2", "3/2", "1", "1/", "/2", "01/2x", "1/0"):
            self.refused(self.verify("--shard", shard, suite_file=huge), 2, "--shard")
        self.assertLess(time.monotonic() - started, 60)

    def test_a_second_writer_is_refused(self):
        report, _ = self.whole()
        with open(self.folder / "whole.jsonl", "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.refused(self.verify("--resume", self.folder / "whole.jsonl"), 2, "another run writes this report")
        self.assertEqual((self.folder / "whole.jsonl").read_bytes(), report)

    def test_a_full_disk_is_exit_code_4_and_what_was_written_is_of_use(self):
        report, text = self.whole()
        small = self.folder / "small.jsonl"

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(report) // 2, len(report) // 2))
        done = self.verify("--report", small, preexec_fn=limit)
        self.refused(done, 4, "small.jsonl", "cannot be written")
        self.assertEqual(small.stat().st_size, len(report) // 2)
        done = self.verify("--resume", small)
        self.assertEqual((done.returncode, small.read_bytes(), done.stdout), (0, report, text))

    def test_another_runs_report_is_refused_with_what_is_different(self):
        self.whole()
        whole = self.folder / "whole.jsonl"
        for arguments, word in ((("--filter", "tp=4"), "filter"), (("--shard", "1/2"), "shard")):
            self.refused(self.verify("--resume", whole, *arguments), 2, "whole.jsonl", word)
        other = self.write("suite2.json", suite(tokens="a,a"))
        self.refused(self.verify("--resume", whole, suite_file=other), 2, "suite")

    def test_a_report_that_contradicts_itself_is_refused(self):
        report, _ = self.whole()
        part = self.folder / "part.jsonl"
        self.assertEqual(self.verify("--shard", "1/1", "--report", part).returncode, 0)
        shard = part.read_bytes().splitlines(keepends=True)
        lines = report.splitlines(keepends=True)
        footer = json.loads(lines[-1])
        case = next(i for i, line in enumerate(lines) if b'"verdict":"consistent","shape_check"' in line)

        def with_footer(**changed):
            return lambda all_lines: all_lines[:-1] + [
                json.dumps({**footer, **changed}, separators=(",", ":")).encode() + b"\n"]

        def with_case(old, new):
            return lambda all_lines: all_lines[:case] + [all_lines[case].replace(old, new)] + all_lines[case + 1:]
        changes = {"a footer behind some of the cases": lambda all_lines: all_lines[:8] + all_lines[-1:],
                   "another digest": with_footer(digest="0" * 16), "another count": with_footer(unexpected=3),
                   "no blind spots": with_footer(blind_spots=[]),
                   "a verdict": with_case(b'"verdict":"consistent","shape_check"', b'"verdict":"silent","shape_check"'),
                   "an output digest": with_case(b'"digest":"', b'"digest":"0'),
                   "an expectation": with_case(b'"expected":{"verdict":"consistent"', b'"expected":{"verdict":"silent"'),
                   "a torn line behind the footer": lambda all_lines: all_lines + [b"{"]}
        self.assertTrue(footer["blind_spots"])
        broken = self.folder / "broken.jsonl"
        for what, change in changes.items():
            self.assertNotEqual(change(lines), lines)
            broken.write_bytes(b"".join(change(lines)))
            self.refused(self.verify("--resume", broken), 2, "broken.jsonl")
            if what != "no blind spots":  # of which one shard alone may say anything
                broken.write_bytes(b"".join(change(shard)))
                self.refused(self.run_program("merge", broken, "--out", self.folder / "out.jsonl"), 2)
        # Without a footer lines are held against the suite.
        for old, new in ((b'"model":"', b'"model":"x'), (b'"tp_size":', b'"tp_size":1'), (b'"case":"', b'"case":"x')):
            broken.write_bytes(b"".join(with_case(old, new)(lines)[:-1]))
            self.refused(self.verify("--resume", broken), 2, "broken.jsonl", "not the suite's")

    def test_what_is_no_file_is_refused_at_once(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for option in ("--report", "--resume"):
            self.refused(self.verify(option, pipe), 2, "pipe")
        self.refused(self.verify("--resume", "/dev/full"), 2, "/dev/full")
        self.refused(self.verify("--resume", self.folder), 2, str(self.folder))

    def test_names_that_are_no_text_are_told_as_such(self):
        odd = pathlib.Path(os.fsdecode(bytes(self.folder) + b"/\xff\xfe.json"))
        shutil.copy(self.suite, odd)
        report = self.folder / "odd.jsonl"
        for option in ("--report", "--resume"):
            self.assertEqual(self.verify(option, report, suite_file=odd).returncode, 0)
        json.loads(report.read_text().splitlines()[0])

    def test_lines_that_were_changed_are_refused_by_number(self):
        report, _ = self.whole()
        lines = report.splitlines(keepends=True)
        broken = self.folder / "broken.jsonl"
        wrong = {"a line away": lines[:5] + lines[6:], "twice": lines[:6] + lines[5:],
                 "behind the footer": lines + lines[1:2], "no JSON": lines[:5] + [b"{\n"] + lines[6:],
                 "a key of its own": lines[:5] + [lines[5].replace(b'{"type"', b'{"mine":1,"type"')] + lines[6:],
                 "another verdict": lines[:5] + [lines[5].replace(b'"verdict":"', b'"verdict":"x')] + lines[6:]}
        for what, changed in wrong.items():
            broken.write_bytes(b"".join(changed))
            done = self.verify("--resume", broken)
            self.refused(done, 2, f"broken.jsonl:{len(lines) + 1 if what == 'behind the footer' else ''}")
            self.assertEqual(broken.read_bytes(), b"".join(changed), what)


class Pages(Runs):
    @unittest.skipUnless(importlib.util.find_spec("duckdb"), "DuckDB is not installed")
    def test_the_query_of_the_page_reads_a_report(self):
        import duckdb
        self.whole()
        page = (ROOT / "docs" / "ci.md").read_text()
        query = page.split("```sql")[1].split("```")[0].strip().rstrip(";").replace("all.jsonl", str(self.folder / "whole.jsonl"))
        rows = duckdb.sql(query).fetchall()
        cases = [json.loads(line) for line in (self.folder / "whole.jsonl").read_text().splitlines()[1:-1]]
        self.assertEqual(sum(row[2] for row in rows), len(cases))
        self.assertEqual(sum(row[3] for row in rows), sum(one["verdict"] == "silent" for one in cases))


class Forms(Runs):
    """The forms that CI systems read. Held against the schemas of windyroad and Jenkins and SARIF 2.1.0's by hand; here
    against what they ask for."""

    def setUp(self):
        super().setUp()
        # Two contracts of one's own: one wrong in a word, in many cases; one that refuses.
        engine = {"extends": "sglang", "replace": {"/let/g0": "(KV - n) * ((t + 1) % 2)"}}
        self.wrong = self.write("wr<o>ng & \u00e4, 100%.json", engine)
        self.strict = self.write("strict.json", {"extends": "vllm", "replace": {
            "/checks/0": {"that": "tp_size < 4", "else": "refused", "say": "no more | than `three`"}}})
        self.count = 300
        models = [f"H=8,KV=4,D=4,hidden={hidden}" for hidden in range(16, 16 + 2 * self.count, 2)]
        line = "R=8 adapters=a:r4:alpha8:qkv tokens=a,-"
        self.suite = self.write("broken.json", {"format": "tplora-suite/1", "name": "broken <suite> & co", "cases": [
            {"models": models, "engines": [str(self.wrong)], "tp": [2], "case": line},
            {"models": models[:2], "engines": [str(self.strict)], "tp": [2, 4], "case": line}]})
        self.files = {kind: self.folder / f"out.{kind}" for kind in ("junit", "sarif", "markdown")}
        self.report = self.folder / "r.jsonl"
        self.done = self.verify("--report", self.report, "--github",
                                *(word for kind, file in self.files.items() for word in (f"--{kind}", file)))
        self.assertEqual(self.done.returncode, 1, self.done.stderr)
        self.records = [json.loads(line) for line in self.report.read_text().splitlines()]
        self.unexpected = [one for one in self.records if one["type"] == "case" and one.get("unexpected")]
        self.assertEqual(len(self.unexpected), self.count + 2)

    def test_junit_has_a_testcase_for_each_case_and_nothing_that_a_schema_forbids(self):
        root = xml.etree.ElementTree.parse(self.files["junit"]).getroot()
        (tests,) = root
        self.assertEqual((root.tag, root.attrib, tests.tag), ("testsuites", {}, "testsuite"))
        self.assertEqual(set(tests.attrib), {"name", "package", "id", "timestamp", "hostname", "tests", "failures",
                                             "errors", "time"})
        self.assertEqual(tests.get("name"), "broken <suite> & co")
        self.assertRegex(tests.get("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$")
        self.assertEqual((int(tests.get("tests")), int(tests.get("failures"))), (self.count + 4, self.count + 2))
        tags = [child.tag for child in tests]
        self.assertEqual(tags, ["properties"] + ["testcase"] * (self.count + 4) + ["system-out", "system-err"])
        names = set()
        for test in tests.findall("testcase"):
            self.assertEqual(set(test.attrib), {"name", "classname", "time"})
            self.assertIn([child.tag for child in test], ([], ["failure"]))
            names.add((test.get("classname"), test.get("name")))
            for failure in test:
                self.assertEqual(set(failure.attrib), {"message", "type"})
                self.assertIn("replay: tplora replay", failure.text)
        self.assertEqual(len(names), self.count + 4)

    def test_sarif_has_one_result_for_each_root_cause_at_the_very_formula(self):
        sarif = json.loads(self.files["sarif"].read_text())
        (run,) = sarif["runs"]
        self.assertEqual((sarif["version"], run["tool"]["driver"]["name"]), ("2.1.0", "tplora"))
        rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
        self.assertEqual(len(run["results"]), 2)
        self.assertEqual([one["properties"]["cases"] for one in run["results"]], [self.count, 2])
        for result, file, text in zip(run["results"], (self.wrong, self.strict), ("(KV - n) * ((t + 1) % 2)", "tp_size < 4")):
            self.assertIn(result["ruleId"], rules)
            place = result["locations"][0]["physicalLocation"]
            self.assertEqual(place["artifactLocation"]["uri"], file.as_uri())
            line = file.read_text().splitlines()[place["region"]["startLine"] - 1]
            self.assertTrue(line[place["region"]["startColumn"] - 1:].startswith(json.dumps(text)), line)
        fingerprints = {one["partialFingerprints"]["rootCause/v1"] for one in run["results"]}
        self.assertEqual(len(fingerprints), 2)

    def test_annotations_are_a_line_each_and_a_report_says_the_same_again(self):
        def annotations(text):
            return [line for line in text.splitlines() if line.startswith("::")]
        lines = annotations(self.done.stdout)
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertRegex(line, r"^::error file=[^,]*,line=\d+,col=\d+,title=[^:,]*::.")
        self.assertIn("100%25.json", lines[0])
        self.assertIn(f"and {self.count - 1} more cases", lines[0])
        again = {kind: self.folder / f"again.{kind}" for kind in self.files}
        done = self.run_program("merge", self.report, "--github",
                                *(word for kind, file in again.items() for word in (f"--{kind}", file)))
        self.assertEqual((done.returncode, done.stdout), (1, self.done.stdout))
        for kind in ("sarif", "markdown"):
            self.assertEqual(again[kind].read_bytes(), self.files[kind].read_bytes())

    def test_at_most_ten_annotations(self):
        engines = [str(self.write(f"e{i}.json", {"extends": "sglang", "replace": {"/let/g0": f"(KV - n) * ((t + 1) % 2) + 0*{i}"}}))
                   for i in range(12)]
        suite_file = self.write("many.json", {"format": "tplora-suite/1", "name": "many", "cases": [
            {"models": ["H=8,KV=4,D=4,hidden=16"], "engines": engines, "tp": [2],
             "case": "R=8 adapters=a:r4:alpha8:qkv tokens=a,-"}]})
        done = self.verify("--github", suite_file=suite_file)
        lines = [line for line in done.stdout.splitlines() if line.startswith("::")]
        self.assertEqual(len(lines), 10)
        self.assertIn("and 3 more root causes", lines[-1])

    def test_the_summary_is_a_table_of_root_causes(self):
        text = self.files["markdown"].read_text()
        rows = [line for line in text.splitlines() if line.startswith("| ") and ".json" in line]
        self.assertEqual(len(rows), 2)
        self.assertTrue(rows[0].endswith(f"| {self.count} |"), rows[0])
        self.assertIn("no more \\| than \\`three\\`", rows[1])

    def test_a_form_that_cannot_be_written_is_exit_code_4(self):
        for kind in self.files:
            self.refused(self.verify(f"--{kind}", self.folder / "none" / "x"), 4, "none/x")


if __name__ == "__main__":
    unittest.main()
