#!/usr/bin/env python3
"""Reports: what they hold, and what they survive (docs/formats/report.md)."""

import fcntl
import hashlib
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


class Reports(unittest.TestCase):
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
            self.assertIn(one["findings"][0]["place"], replayed.stdout)

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
        torn.write_bytes(report[:header - 5])
        self.refused(self.verify("--resume", torn), 2, "torn.jsonl", "header")

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
        self.refused(self.verify("--resume", self.folder / "no.jsonl", suite_file=huge), 4, "no.jsonl")
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


if __name__ == "__main__":
    unittest.main()
