#!/usr/bin/env python3
"""Hostile input: whatever a file or a case line holds, the program answers with one bounded line and exit code 2,
in bounded time and memory."""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build" / "tplora")
GEOMETRY = "H=8,KV=2,D=4,hidden=32"
# AddressSanitizer reserves terabytes of addresses, and is several times slower and larger.
SANITIZED = b"__asan_init" in pathlib.Path(PROGRAM).read_bytes()
SECONDS = 60 if SANITIZED else 10
ADDRESS_SPACE = resource.RLIM_INFINITY if SANITIZED else 2 << 30
PEAK_MEMORY_KIB = (4 if SANITIZED else 1) << 20
LINE_BYTES = 2000


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Hostile(unittest.TestCase):
    """`refused` is the property; each test is a family of inputs."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.count = 0

    def refused(self, words, *arguments):
        """Runs the program and returns its one line."""
        errors = self.folder / "stderr"
        with open(errors, "wb") as stderr:
            start = time.monotonic()
            process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=stderr, preexec_fn=limited)
            timer = threading.Timer(SECONDS, process.kill)
            timer.start()
            output = process.stdout.read()
            process.stdout.close()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            timer.cancel()
        seconds = time.monotonic() - start
        line = errors.read_bytes()
        shown = line[:300]
        self.assertEqual(process.returncode, 2, (shown, f"{seconds:.1f} s"))
        self.assertEqual(output, b"")
        self.assertLess(seconds, SECONDS)
        self.assertLess(usage.ru_maxrss, PEAK_MEMORY_KIB, shown)
        self.assertLessEqual(len(line), LINE_BYTES, shown)
        text = line.decode("utf-8")  # strict: what is not UTF-8 must be escaped
        self.assertTrue(text.endswith("\n"), shown)
        self.assertEqual(len(text.splitlines()), 1, shown)
        self.assertFalse([c for c in text[:-1] if ord(c) < 32 or 127 <= ord(c) < 160], shown)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, text)
        return text

    def file(self, content, name=None):
        self.count += 1
        path = self.folder / (name or f"file{self.count}.json")
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return str(path)

    def readers(self, file):
        """The command lines that read `file` as a model config, a contract, a suite."""
        return {"config": ("layout", "--model", file, "--engine", "sglang", "--tp", "4"),
                "contract": ("layout", "--model", GEOMETRY, "--engine", file, "--tp", "4"),
                "suite": ("verify", file)}

    def refused_by_all(self, words, file, but=()):
        for reader, arguments in self.readers(file).items():
            if reader in but:
                continue
            with self.subTest(reader=reader, file=pathlib.Path(file).name):
                self.refused([words] if isinstance(words, str) else words, *arguments)

    def refused_by_one(self, words, file):
        """For files so large that three readings of each would take long: the readers take turns."""
        readers = list(self.readers(file).items())
        reader, arguments = readers[self.count % len(readers)]
        with self.subTest(reader=reader, file=pathlib.Path(file).name):
            self.refused(words, *arguments)

    def suite(self, *entries, **keys):
        return self.file(json.dumps({"format": "tplora-suite/1", "name": "s", "cases": list(entries), **keys}))

    def entry(self, **keys):
        return {"models": [GEOMETRY], "engines": ["sglang"], "tp": [4], "case": "R=16", **keys}

    def told_as_error(self, model):
        """A model that cannot be read is its case's error; what is said of it is short and has no control character."""
        done = subprocess.run([PROGRAM, "verify", self.suite(self.entry(models=[model]))], capture_output=True, timeout=60)
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 2, text[-500:])
        self.assertIn("1 errors", text)
        self.assertIn("#/cases/0", text)
        self.assertLess(len(text), 20000)
        self.assertFalse([c for c in text if ord(c) < 32 and c != "\n"])

    def contract(self, **edits):
        return self.file(json.dumps({"extends": str(ROOT / "configs/engines/sglang.json"), **edits}))

    def planned(self, words, **edits):
        self.refused(words, "layout", "--model", GEOMETRY, "--engine", self.contract(**edits), "--tp", "4")


class Files(Hostile):
    def test_text_that_is_not_json(self):
        name = "input.json"
        for content in (b"", b" ", b"nul", b'{"a": +NaN}', b'{"a": nan}', b'{"a": Infinity.}', b"{'a': 1}",
                        b'{"a": 01}', b'{"a": 0x10}', b'{"a": +1}', b'{"a": .5}', b'{"a": 1,}', b"[1,]", b"{} {}",
                        b"// c\n{}", b'{"a": "\n"}', b'{"a": "\\q"}',
                        b"\x00", b"{}\x00", b'{"a": "\x00"}', b'{"\x1b[2J\r": 1', b"{\xff: 1}"):
            with self.subTest(content=content[:40]):
                self.refused_by_all([name, "not valid JSON"], self.file(content, name))

    def test_what_only_python_reads(self):
        for content in (b'{"a": 1e400}', b'{"a": -1e400}', b'{"a": 1e99999999999999999999}', b'{"a": "\\ud800"}',
                        b'{"a": 1' + b"0" * 100000 + b"}"):
            with self.subTest(content=content[:40]):
                self.refused_by_all("not valid JSON", self.file(content), but=["config"])
                self.refused_by_all("model_type", self.file(content), but=["contract", "suite"])

    def test_numbers_that_only_python_writes(self):
        for content in (b"NaN", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}'):  # of a config they may be read
            with self.subTest(content=content):
                self.refused_by_all("input.json", self.file(content, "input.json"))

    def test_text_that_is_not_utf8(self):
        for content in (b'{"a": "\xff"}', b'{"\xc3\x28": 1}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\xf4\x90\x80\x80"}',
                        b'{"a": "\xc0\xaf"}', b'{"a": "\xe2\x82"}'):
            with self.subTest(content=content):
                self.refused_by_all("input.json", self.file(content, "input.json"))

    def test_byte_order_marks(self):
        for content in (b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), "{}".encode("utf-16-be"), "{}".encode("utf-32")):
            with self.subTest(content=content):
                self.refused_by_all("input.json", self.file(content, "input.json"))
        self.refused_by_all("byte order mark", self.file(b"\xef\xbb\xbf{}"))
        self.refused_by_all("byte order mark", self.file("{}".encode("utf-16")))

    def test_scalars_and_lists_at_the_top(self):
        for content in ("null", "true", "0", "-0", "1.5", '"text"', "[]", '"' + "x" * 100000 + '"'):
            with self.subTest(content=content[:20]):
                self.refused_by_all("expected an object", self.file(content))

    def test_duplicate_and_endless_keys(self):
        # Of a config the last counts, as in Python.
        self.refused_by_all("stands twice", self.file('{"a": 1, "a": 1}'), but=["config"])
        self.refused_by_all("stands twice", self.file('{"%s": 1, "%s": 1}' % (("k" * 1000000,) * 2)), but=["config"])
        again = '{' + ",".join(f'"{i % 1000}":{{"a": [{i}]}}' for i in range(200000)) + "}"
        self.refused_by_all(".json", self.file(again))
        self.refused_by_all(".json", self.file('{"' + "k" * 1000000 + '": 1}'))
        self.refused_by_all(".json", self.file('{"' + "\\u0007\\u2028\\n" * 10000 + '": 1}'))

    def test_deep_nesting(self):
        for start, end in (("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")):
            self.refused_by_all("deeper than 64", self.file(start * 100000 + "1" + end * 100000))
            self.refused_by_all("deeper than 64", self.file(start * 100000))

    def test_many_values(self):
        self.refused_by_all("values", self.file("[" + "0," * 1100000 + "0]"))
        self.refused_by_one("values", self.file("[" + "{}," * 1100000 + "0]"))
        self.refused_by_one("values", self.file("{" + ",".join(f'"{i}":0' for i in range(1100000)) + "}"))
        self.refused_by_all(".json", self.file("{" + ",".join(f'"{i}":0' for i in range(300000)) + "}"))

    def test_huge_files(self):
        megabytes = 100
        for head, body, tail in ((b"", b" ", b""), (b'"', b"x", b'"'), (b"[", b"0,", b"0]"), (b'{"', b"k", b'":1}')):
            path = self.folder / "huge.json"
            with open(path, "wb") as out:
                out.write(head)
                for _ in range(megabytes):
                    out.write(body * ((1 << 20) // len(body)))
                out.write(tail)
            self.refused_by_all("larger than", str(path))
            path.unlink()
        path = self.folder / "sparse.json"
        with open(path, "wb") as out:
            out.truncate(1 << 40)
        self.refused_by_all("larger than", str(path))

    def test_a_large_file_of_one_thing(self):
        for content in (b" " * (15 << 20), b'"' + b"x" * (15 << 20) + b'"', b'"' + b"x" * (15 << 20),
                        b"1" * (15 << 20), b'{"format": "' + b"x" * (15 << 20) + b'"}'):
            self.refused_by_one(".json", self.file(content))

    def test_things_that_are_not_files(self):
        fifo = self.folder / "fifo.json"
        os.mkfifo(fifo)
        self.refused_by_all("expected a file", str(fifo))
        self.refused_by_all("expected a file", "/dev/zero")
        self.refused_by_all("directory", str(self.folder))
        link = self.folder / "loop.json"
        link.symlink_to(link)
        self.refused_by_all("loop.json", str(link))
        self.refused_by_all("no such file", str(self.folder / "none" / "x.json"))
        self.refused_by_all(".json", "/" + "x" * 300 + ".json")
        self.refused_by_all(".json", "/" + "x/" * 4000 + ".json")
        self.refused_by_all(".json", "/tmp/\n\x1b[31m\udcff.json")

    @unittest.skipIf(os.geteuid() == 0, "root may read every file")
    def test_a_file_without_permission(self):
        path = self.file("{}")
        os.chmod(path, 0)
        self.refused_by_all("cannot be opened", path)


class Configs(Hostile):
    def test_numbers(self):
        for key in ("num_attention_heads", "hidden_size", "num_key_value_heads", "num_hidden_layers"):
            for value in ("1.0", "8.0", "1e3", "-0", "0", "-1", "9223372036854775807", "9223372036854775808",
                          "-9223372036854775808", "18446744073709551616", "1e400", "1e308", '"8"', "true", "null", "[8]",
                          '{"a": 8}', "8" * 10000):
                keys = {"model_type": '"llama"', "hidden_size": "64", "num_hidden_layers": "2",
                        "num_attention_heads": "8", "num_key_value_heads": "2", key: value}
                text = "{" + ", ".join(f'"{k}": {v}' for k, v in keys.items()) + "}"
                if value == "null" and key in ("num_key_value_heads", "num_hidden_layers"):
                    continue  # a null is an absent key, and these need not be there
                with self.subTest(key=key, value=value[:30]):
                    self.refused("config.json", *self.readers(self.file(text, "config.json"))["config"])

    def test_words(self):
        for word in ("x" * 1000000, "\u0000\u0007\n", "\u2028" * 1000, "\ud7ff\U0010ffff" * 500, ""):
            for key in ("model_type", "architectures"):
                text = json.dumps({key: [word] * 3 if key == "architectures" else word, "hidden_size": 64})
                with self.subTest(word=word[:10], key=key):
                    self.refused("config.json", *self.readers(self.file(text, "config.json"))["config"])

    def test_model_arguments(self):
        for model in ("x" * 100000, "H=8,KV=2,D=4,hidden=32," * 4000, "a/" * 50000, "\n\x1b\udcff", "H=" + "9" * 100000,
                      "H=9223372036854775807,KV=1,D=9223372036854775807,hidden=1", ""):
            with self.subTest(model=model[:30]):
                self.refused("", "layout", "--model", model, "--engine", "sglang", "--tp", "4")


class Contracts(Hostile):
    def test_formulas(self):
        for formula in ("(" * 100000, "-" * 100000 + "1", "1" + "+1" * 100000, "9" * 100000, "H\u0000", "H\n+\u0007",
                        "\u2028", "", " ", "not " * 4000, "H ? " * 1000, "x" * 4000, "9223372036854775808",
                        "9223372036854775807 + H", "min" + "(1,min" * 500, 1.0, 1e300, None, True, [], {}):
            with self.subTest(formula=str(formula)[:30]):
                self.planned([".json#/replace/~1let~1h"], replace={"/let/h": formula})

    def test_repetitions(self):
        copy = {"src": "q", "from": "0", "rows": "0"}  # without rows no column is written twice
        names = [f"i{i}" for i in range(20)]
        for loops in ({"i": 1 << 20, "j": 1 << 20}, {n: 1 << 20 for n in names}, {n: 2 for n in names * 2},
                      {**{n: 1 << 20 for n in names}, "last": 0}, {"i": 1 << 62}, {"i": 1 << 20}):
            with self.subTest(loops=list(loops.items())[:3]):
                self.planned("repetition", replace={"/weight/copies/0": {**copy, "for": loops}})
                kernel = {"a": "A", "a_at": "0", "b": "B", "b_at": "0", "out": "0", "rows": "1", "depth": "r"}
                self.planned("repetition", replace={"/kernel/0": {**kernel, "for": loops}})

    def test_kernel_entries_of_many_ranks_and_adapters(self):
        kernel = {"a": "A", "a_at": "0", "b": "B", "b_at": "0", "out": "0", "rows": "h*gate*D", "depth": "r"}
        contract = self.file(json.dumps({"extends": str(ROOT / "configs/engines/sglang.json"),
                                         "replace": {"/kernel": [kernel] * 190}}), "mine.json")
        adapters = ",".join(f"a{i}:r{i + 1}:alpha2:qkv" for i in range(40))
        self.refused("copies and kernel entries", "replay",
                     f"model=H=1024,KV=1024,D=8,hidden=32 engine={contract} tp=1024 R=64 slots=64 adapters={adapters}")

    def test_sizes(self):
        self.planned("formulas", replace={"/let": {f"n{i}": "1" for i in range(100000)}})
        copies = [{"src": "q", "from": "0", "rows": "1", "at": "0"}] * 100000
        self.planned("formulas", replace={"/weight/copies": copies})
        self.planned("formulas", add={f"/let/n{i}": "1" for i in range(1020)})
        self.planned(".json", add={f"/let/n{i}": "1" for i in range(200000)})
        self.planned(".json", remove=["/let/h"] * 200000)
        self.planned(".json", add={"/kernel/1000000000000": {}})
        self.planned(".json", add={"/kernel/1000000": {}})
        self.planned(".json", add={"/kernel/3": {}, "/kernel/18446744073709551616": {}})

    def test_pointers(self):
        for pointer in ("x", "/", "//", "/~", "/~2", "/kernel/-1", "/kernel/01", "/kernel/x", "/let/h/x", "/let/-",
                        "/" + "x" * 100000, "/let" * 10000, "\u0000", "/\n", "/kernel/99999999999999999999", "/-", ""):
            for verb, value in (("replace", {pointer: "1"}), ("add", {pointer: "1"}), ("remove", [pointer])):
                if (verb, pointer) == ("add", "/let/-"):
                    continue
                with self.subTest(verb=verb, pointer=pointer[:20]):
                    self.planned(".json", **{verb: value})

    def test_extends(self):
        for name in ("x" * 100000, "../" * 10000, "\n", "", ".", "..", "/", "/dev/zero", "/dev/stdin", "\udcff"):
            with self.subTest(name=name[:20]):
                file = self.file(json.dumps({"extends": name}))
                self.refused(".json", *self.readers(file)["contract"])
        for i in range(200):
            self.file(json.dumps({"extends": f"chain{i + 1}"}), f"chain{i}.json")
        self.refused("extends", *self.readers(str(self.folder / "chain0.json"))["contract"])


class CaseLines(Hostile):
    START = f"model={GEOMETRY} engine=sglang tp=4 "

    def lines(self):
        adapters = ",".join(f"a{i}:r1:alpha1:qkv" for i in range(10000))
        yield from ("x" * 100000, "x=" * 50000, " " * 100000, "", "=", "model=", "\x01\x1b[2J\x7f=1", "\udcff\udcfe=1", "a\n=1")
        yield from (self.START + rest for rest in (
            "x" * 100000, "R=" + "9" * 100000, "R=-0", "R=1.0", "R=1e3", "R=0x10", "R=+1", "R=9223372036854775808",
            "seed=18446744073709551616", "seed=-1", "seed=" + "1" * 100000, "dtype=" + "\x07" * 1000, "slots=1000000000",
            "adapters=" + adapters[:120000], "adapters=" + "," * 100000, "adapters=a:r1:alpha1:" + "q" * 100000,
            "adapters=a:r1:alpha1:qkv tokens=" + "a," * 50000 + "a", "adapters=a:r1:alpha1:qkv steps=" + "evict:a," * 9999,
            "adapters=" + "n" * 100000 + ":r1:alpha1", "layer=\u2028\x85", "R=16 " * 20000))
        yield self.START.replace("tp=4", "tp=1000000000")

    def test_a_line_of_the_command_line(self):
        for line in self.lines():
            with self.subTest(line=line[:100]):
                self.refused("", "replay", line)

    def test_a_line_of_a_suite(self):
        for rest in ("x" * (1 << 20), "adapters=" + "a:r1:alpha1:q," * 70000, "R=16 " * 200000, "\u0000=1", "a\u0007\n=1",
                     "adapters=" + ",".join(f"a{i}:r1:alpha1:qkv" for i in range(10000)),
                     "adapters=a:r1:alpha1:qkv steps=" + ",".join(["load:a@0", "evict:a"] * 50000)):
            with self.subTest(line=rest[:60]):
                self.refused([".json#/cases/0", "case line"], "verify", self.suite(self.entry(case=rest)))

    def test_numbers_that_no_memory_holds(self):
        for line in ("model=H=1048576,KV=1,D=4096,hidden=1048576 engine=sglang tp=1",
                     "model=H=1,KV=1,D=1,hidden=4294967295 engine=sglang tp=1 adapters=a:r4096:alpha1:qkv R=4096",
                     "model=H=1024,KV=1024,D=64,hidden=65536 engine=sglang tp=1024 slots=256 R=4096"):
            with self.subTest(line=line):
                self.refused("expected at most", "replay", line)

    def test_steps_that_clear_large_slots(self):
        steps = ",".join(["load:a@0", "load:b@0"] * 2048)
        self.refused("multiplications", "replay", "model=H=1,KV=1,D=1,hidden=262144 engine=vllm tp=1 R=2048 slots=1 "
                     f"adapters=a:r1:alpha1:qkv,b:r1:alpha1:qkv steps={steps} tokens=b")


class Suites(Hostile):
    def test_absurd_work(self):
        many = [f"H={i},KV={i},D=1,hidden=16" for i in range(1, 1001)]
        sizes = list(range(1, 1001))
        self.refused("found 1000000000", "verify", self.suite(self.entry(tp=[10**9])))
        self.refused("cases", "verify", self.suite(self.entry(models=many, engines=["sglang", "vllm"], tp="1-1000")))
        self.refused("cases", "verify", self.suite(*[self.entry(models=many, tp=[4])] * 101))
        lists = {name: list(range(1000)) for name in "abcdefgh"}
        self.refused("combinations", "verify", self.suite(self.entry(
            case="R=16 seed=" + "".join(f"{{{name}}}" for name in lists), vary=lists)))
        self.refused("case lines", "verify", self.suite(self.entry(
            models=many, tp=sizes[:50], case="R=16 adapters=a:r1:alpha1:qkv tokens=" + ",".join("a" * 4000))))
        self.refused("cases", "verify", self.suite({"bugs": ["sglang-24420"] * 100000, "case": "R=16"}))
        pin = {"models": many, "engine": "sglang", "tp": [4], "verdict": "silent", "reason": "r", "link": "l"}
        self.refused("pins", "verify", self.suite(self.entry(models=many), pins=[pin] * 100))

    def test_words(self):
        for model in ("x" * 100000, "\n\u0007", "a b=1", "\ud7ff" * 1000, "H=1"):
            self.told_as_error(model)
            self.refused("#/cases/0", "verify", self.suite(self.entry(engines=[model])))
        for value in (7, None, [], {}, [[]], [1.5], [-1], [True], [2**63], ["x"]):
            self.refused("#/cases/0", "verify", self.suite(self.entry(tp=value or 7)))

    def test_usage(self):
        for arguments in (("verify",), ("layout", "--tp", "x"), ("replay",), ("x" * 100000,), ("\n\x1b",), ()):
            with self.subTest(arguments=str(arguments)[:40]):
                self.refused("", *arguments)


if __name__ == "__main__":
    unittest.main()
