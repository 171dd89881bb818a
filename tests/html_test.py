#!/usr/bin/env python3
"""The pages of --html: self-contained, strict about what may run, whole, and not too large."""

import base64
import hashlib
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = str(pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ROOT / "build" / "tplora").resolve())
LINE = "R=16 adapters=a:r16:alpha32:qkv,b:r8:alpha8:qkv tokens=a,-,a,b"
# Elements whose end a page leaves out, or that have none.
OPEN = {"td", "th", "tr", "li", "p", "option", "meta", "input", "br", "thead", "tbody", "doctype"}


class Page(html.parser.HTMLParser):
    """Elements, attributes and texts of a page; what is not closed that should be is a mistake."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.outside, self.stack, self.texts, self.rows = set(), [], [], [], [], 0
        self.feed(text)
        self.close()
        assert not self.stack, self.stack

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                assert value not in self.ids, value
                self.ids.add(value)
            if name == "href":
                self.links.append(value)
            if name in ("src", "srcset", "data", "action", "style") or name.startswith("on"):
                self.outside.append((tag, name, value))
        self.rows += tag == "tr"
        if tag not in OPEN:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag not in OPEN:
            assert self.stack.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)


class Pages(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def run_program(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=600, cwd=ROOT)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def page(self, *arguments, code=0):
        path = self.folder / "page.html"
        path.unlink(missing_ok=True)
        self.run_program(*arguments, "--html", path, code=code)
        text = path.read_text()
        policy = re.search(r'content="(default-src[^"]*)"', text)[1]
        for kind, element in (("style-src", "style"), ("script-src", "script")):
            [content] = re.findall(f"<{element}>(.*?)</{element}>", text, re.S)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            self.assertIn(f"{kind} 'sha256-{digest}'", policy)
        self.assertTrue(policy.startswith("default-src 'none';"))
        self.assertNotIn("unsafe", policy)
        page = Page(text)
        self.assertEqual(page.outside, [])
        for link in page.links:
            self.assertTrue(link.startswith("#") and link[1:] in page.ids, link)
        return text, page

    def suite(self, *entries, **more):
        path = self.folder / "suite.json"
        path.write_text(json.dumps({"format": "tplora-suite/1", "name": "mine <&>", "cases": entries, **more}))
        return path

    def test_a_run_with_everything_in_it(self):
        (self.folder / "<b>.json").write_text("{")
        good = {"models": ["H=8,KV=2,D=16,hidden=64", "<b>.json"], "engines": ["sglang-24420", "sglang"],
                "tp": [1, 2, 4, 8], "case": LINE, "numbers": True}
        suite = self.suite(good)
        report = self.folder / "r.jsonl"
        text, page = self.page("verify", suite, "--report", report, code=1)
        words = " ".join(page.texts)
        for word in ("mine <&>", "2 unexpected", "! 8 errors", "expected consistent, found silent", "law", "LoRA-B buffer",
                     "kernel meets", "tplora replay", "K = n*D*T", "read past the end of slot 0"):
            self.assertIn(word, words)
        self.assertNotIn("<b>", text)
        self.assertEqual(text.count("<article "), 2)
        self.assertEqual(text.count("<svg viewBox"), 3 + 3)
        self.assertIn("class=\"pv wrong\"", text)
        self.assertIn("url(#hatch)", text)
        self.assertIn("<td class=S><a href=#s0>S</a>", text)
        merged = self.folder / "merged.html"
        self.run_program("merge", report, "--html", merged, code=1)
        self.assertEqual(merged.read_text(), text)
        # A page made later, of a case that comes out otherwise now, draws no maps for it.
        configs = self.folder / "configs"
        shutil.copytree(ROOT / "configs", configs)
        for one in ("engines/sglang.json", "bugs/sglang-24420.json"):
            shutil.copy(configs / "engines" / "vllm.json", configs / one)
        self.run_program("--configs", configs, "merge", report, "--html", self.folder / "later.html", code=1)
        later = (self.folder / "later.html").read_text()
        self.assertEqual((later.count("<svg viewBox"), later.count("no row maps: ")), (0, 2))
        # The same verdict is not enough.
        shutil.copy(ROOT / "configs" / "engines" / "sglang.json", configs / "engines" / "sglang.json")
        (configs / "bugs" / "sglang-24420.json").write_text(json.dumps(
            {"format": "tplora-contract/1", "extends": "sglang",
             "replace": {"/scaling/den": "2*r"}}))
        line = next(one["case"] for one in map(json.loads, report.read_text().splitlines())
                    if one.get("verdict") == "silent" and one.get("unexpected"))
        self.assertIn("\nsilent\n", self.run_program("--configs", configs, "replay", line, code=1).stdout)
        self.run_program("--configs", configs, "merge", report, "--html", self.folder / "other.html", code=1)
        self.assertNotIn("<svg viewBox", (self.folder / "other.html").read_text())

    def test_a_story_has_the_mark_of_its_outcome(self):
        text, _ = self.page("verify", self.suite({"models": ["H=8,KV=2,D=16,hidden=64"], "engines": ["sglang"], "tp": [3],
                                                  "case": LINE},
                                                 {"models": ["H=8,KV=2,D=16,hidden=64"], "engines": ["sglang"], "tp": [2],
                                                  "case": LINE, "refused_when": "1"}), code=1)
        self.assertIn('<span class="bad">r</span> H=8,KV=2,D=16,hidden=64, engine sglang, tp 3: expected consistent, '
                      'found refused', text)
        self.assertIn('<span class="bad">=</span>', text)

    def test_ten_thousand_cases_are_not_too_much(self):
        text, page = self.page("sweep", "--models", "*", "--engine", "sglang,hf_tp_peft,llama_cpp,lorax", "--tp", "1-12")
        cases = sum(row.count("<td") for row in text.split("\n") if row.startswith("<tr><td>"))
        self.assertGreater(cases, 10000)
        self.assertLess(len(text.encode()), 5_000_000)
        self.assertGreater(page.rows, 800)

    def test_one_case(self):
        text, page = self.page("layout", "--model", "Qwen/Qwen3.5-35B-A3B", "--engine", "sglang-24420", "--tp", "4", code=1)
        self.assertEqual(text.count("<svg viewBox"), 4)
        self.assertIn("2304 rows", " ".join(page.texts))
        fine, _ = self.page("layout", "--model", "H=8,KV=2,D=16,hidden=64", "--engine", "sglang", "--tp", "2")
        self.assertEqual(fine.count("<svg viewBox"), 2)
        self.assertNotIn("wrong\"", fine)

    def test_every_adapter_and_the_base_weight_are_marked_where_they_are_wrong(self):
        # Of two adapters only the second is wrong; it is the one that is drawn.
        case = ("model=H=8,KV=2,D=16,hidden=64 engine=vllm-47724 tp=2 R=16 slots=2 adapters=a:r16:alpha32:qkv,b:r16:alpha32:qkv "
                "tokens=a,b,-,b steps=load:b@0,evict:b,load:a@0,activate:b@1")
        text, page = self.page("layout", "--case", case, code=1)
        self.assertIn("kernel meets b", text)
        self.assertNotIn("kernel meets a", text)
        self.assertIn("! kernel meets b: columns 0-63: expected adapter b", " ".join(page.texts))
        # No adapter at all: what is wrong is the base weight.
        case = "model=H=8,KV=2,D=16,hidden=64,bias=1 engine=ggufplugin-103 tp=4 R=16 slots=1 tokens=-"
        text, page = self.page("layout", "--case", case, code=1)
        self.assertIn("! base weight: column", " ".join(page.texts))
        self.assertNotIn("kernel meets", text)
        self.assertNotIn("LoRA-B", text)
        # Buffer and slice are on the scale of the columns: 2304 of 2560.
        text, _ = self.page("layout", "--model", "Qwen/Qwen3.5-35B-A3B", "--engine", "sglang-24420", "--tp", "4", code=1)
        width = {title: float(w) for title, w in re.findall(r'<title>([^<]*)</title><rect [^>]* width="([0-9.]+)"', text)}
        self.assertAlmostEqual(width["LoRA-B buffer: 2304 rows"] / 2304, width["q heads 0-3, rows 0-2047"] / 2048, places=3)
        # Several lines stay several, and heads are counted.
        text, _ = self.page("verify", "museum", "--filter", "engine=vllm-47724")
        self.assertNotIn("x0a", text)
        self.assertIn("k heads 0-7, rows 0-1023 of adapter a", text)
        text, _ = self.page("layout", "--case", "model=H=1,KV=1,D=1,hidden=16 engine=vllm-47724 tp=1 R=1 slots=2 "
                            "adapters=a:r1:alpha1:q,b:r1:alpha1:q steps=load:a@0,evict:a,load:b@0,activate:a@1 tokens=a", code=1)
        self.assertIn("<td>q head 0, row 0 of adapter a", text)

    def test_what_an_adapter_does_not_target_is_no_delta(self):
        case = "model=H=8,KV=2,D=16,hidden=64 engine=sglang tp=1 R=8 adapters=a:r8:alpha8:qv tokens=a"
        text, _ = self.page("layout", "--case", case)
        self.assertEqual(text.count("no delta"), 1)
        met = text.split("kernel meets")[1]
        self.assertIn("q 0-7", met)
        self.assertNotIn("k 0-1", met)

    def test_a_page_that_cannot_be_written(self):
        done = self.run_program("layout", "--model", "H=8,KV=2,D=16,hidden=64", "--engine", "sglang", "--vs", "vllm", "--tp",
                                "2", "--html", self.folder / "x.html", code=2)
        self.assertEqual((done.stdout, (self.folder / "x.html").exists()), ("", False))
        done = self.run_program("layout", "--model", "H=8,KV=2,D=16,hidden=64", "--engine", "sglang", "--tp", "2", "--html",
                                "/dev/full/x", code=4)
        self.assertEqual(done.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
