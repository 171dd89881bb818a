#!/usr/bin/env python3
"""The program as its users meet it: exit codes, JSON, sentences for bad input."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build" / "tplora")
MODEL = "Qwen/Qwen3.5-35B-A3B"


def tplora(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=300)


def layout(engine, tp_size, *more, model=MODEL):
    done = tplora("layout", "--model", model, "--engine", engine, "--tp", str(tp_size), "--json", *more)
    return done.returncode, json.loads(done.stdout)


class Configs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        (pathlib.Path(self.folder.name) / "configs" / "engines").mkdir(parents=True)

    def test_a_contract_of_ones_own_extends_an_engine_by_name_and_a_check_keeps_its_place(self):
        own = pathlib.Path(self.folder.name) / "own.json"
        own.write_text(json.dumps({"extends": "sglang", "remove": ["/checks/0"]}))
        code, found = layout(str(own), 4, "--lora-rank", "32", "--max-lora-rank", "16")
        self.assertEqual((code, found["verdict"]), (3, "refused"))
        self.assertTrue(found["findings"])
        for finding in found["findings"]:
            self.assertTrue(finding["place"].endswith("/engines/sglang.json#/checks/2/that"), finding["place"])

    def test_a_case_outside_the_claims_says_so_in_text_as_in_json(self):
        told = "outside what contract trtllm_separate claims: gate == 1 does not hold ("
        case = f"model={MODEL} layer=full_attention engine=trtllm_separate tp=2 adapters=a:r16:alpha32:qkv"
        for command in (("layout", "--model", MODEL, "--engine", "trtllm_separate", "--tp", "2"), ("replay", case)):
            self.assertIn(told, tplora(*command).stdout)
        code, found = layout("trtllm_separate", 2)
        self.assertEqual([layer["claimed"] for layer in found["layers"]], [False, False])
        self.assertNotIn("claims", tplora("layout", "--model", MODEL, "--engine", "sglang", "--tp", "2").stdout)

    def test_a_folder_called_configs_is_used_only_when_asked_for_and_help_names_the_one_in_use(self):
        def run(*arguments):
            return subprocess.run([str(pathlib.Path(PROGRAM).resolve()), *arguments], capture_output=True, text=True,
                                  timeout=300, cwd=self.folder.name)
        used = next(line.split("=", 1)[1].split()[0] for line in run("--help").stdout.splitlines() if "--configs" in line)
        self.assertFalse(pathlib.Path(self.folder.name, used).samefile(pathlib.Path(self.folder.name, "configs")))
        self.assertIn("sglang\n", run("list", "engines").stdout)
        self.assertEqual(run("--configs", "configs", "list", "engines").returncode, 2)  # empty


class FailClosed(unittest.TestCase):
    """Fewer things loaded or written than asked for is an error."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def refused(self, word, *arguments):
        done = tplora(*arguments)
        self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(word, done.stderr)

    def test_a_folder_that_is_not_there_or_empty_is_named(self):
        configs = self.folder / "configs"
        configs.mkdir()
        for arguments in (("list", "models"), ("list", "engines"), ("list", "bugs"), ("list", "suites"), ("prove",), ("mutants",),
                          ("verify", str(ROOT / "configs/suites/small.json"))):
            self.refused(str(configs), "--configs", str(configs), *arguments)
        for kind in ("models", "engines", "bugs", "suites"):
            (configs / kind).mkdir()
            self.refused(f"{configs / kind}: no {kind} here", "--configs", str(configs), "list", kind)
            (configs / kind / "gone.json").symlink_to(self.folder / "nowhere")
            word = "gone.json: a link that leads nowhere, expected a " + ("folder" if kind == "models" else "file")
            self.refused(word, "--configs", str(configs), "list", kind)

    def test_an_organisation_left_out_is_no_smaller_suite(self):
        configs = self.folder / "configs"
        shutil.copytree(ROOT / "configs", configs, symlinks=True)
        (configs / "models" / "gone").symlink_to(self.folder / "nowhere")
        suite = self.folder / "all.json"
        suite.write_text(json.dumps({"format": "tplora-suite/1", "name": "all", "cases": [{
            "models": ["*"], "engines": ["sglang"], "tp": [4], "case": "R=16 slots=1 adapters=a:r16:alpha32:qkv tokens=a"}]}))
        self.refused("gone: a link that leads nowhere", "--configs", str(configs), "verify", str(suite))

    def test_output_that_nobody_gets_is_no_result(self):
        for arguments in (("list", "engines"), ("--help",), ("--version",), ("layout", "--help"),
                          ("layout", "--model", MODEL, "--engine", "sglang", "--tp", "2", "--json"),
                          ("prove", "lorax", "--max-heads", "4", "--max-tp", "4"),
                          ("verify", str(ROOT / "configs/suites/museum.json"))):
            for target in ("/dev/full", "closed"):
                with self.subTest(arguments=arguments, target=target):
                    shell = f'exec "$@" {">&-" if target == "closed" else "> /dev/full"}'
                    done = subprocess.run(["bash", "-c", shell, "-", PROGRAM, *arguments], capture_output=True, text=True, timeout=300)
                    self.assertEqual(done.returncode, 4, done.stderr)
                    self.assertIn("stdout: the output could not be written", done.stderr)

    def test_suites_by_the_names_that_list_prints(self):
        for name in tplora("list", "suites").stdout.split():
            if name != "default":
                self.assertEqual(tplora("verify", name).stdout, tplora("verify", str(ROOT / f"configs/suites/{name}.json")).stdout)
        self.refused("nowhere", "verify", "nowhere")

    def test_an_empty_suite_is_not_made_good_by_another(self):
        empty = self.folder / "empty.json"
        empty.write_text(json.dumps({"format": "tplora-suite/1", "name": "empty", "cases": []}))
        museum = str(ROOT / "configs/suites/museum.json")
        self.assertEqual(tplora("verify", museum).returncode, 0)
        self.assertIn(tplora("verify", str(empty), museum).returncode, (2, 3))
        self.assertIn(tplora("verify", museum, str(empty)).returncode, (2, 3))

    def test_what_a_suite_pins_must_have_a_meaning(self):
        entry = {"models": ["H=8,KV=2,D=16,hidden=64"], "engines": ["sglang"], "tp": [4], "case": "R=16 slots=1 adapters=a:r16:alpha32:qkv tokens=a"}
        pin = {"models": entry["models"], "engine": "sglang", "tp": [4], "reason": "r", "link": "l"}
        suite = self.folder / "pins.json"
        for more, word in (({"digest": ""}, '#/digest: found "", expected 16 hexadecimal digits'),
                           ({"digest": "0123456789ABCDEF"}, "expected 16 hexadecimal digits"),
                           ({"pins": [{**pin, "verdict": "crash"}, {**pin, "verdict": "silent"}]}, "#/pins/1: model H=8,KV=2,D=16,hidden=64 at tp_size 4: silent, and crash by an earlier pin")):
            suite.write_text(json.dumps({"format": "tplora-suite/1", "name": "pins", "cases": [entry], **more}))
            self.refused(word, "verify", str(suite))
        suite.write_text(json.dumps({"format": "tplora-suite/1", "name": "pins", "cases": [entry], "pins": [{**pin, "verdict": "crash"}] * 2}))
        self.assertEqual(tplora("verify", str(suite)).returncode, 1)  # as pinned it is not

    def test_two_verdicts_are_a_mismatch(self):
        both = ("layout", "--model", "H=8,KV=2,D=16,hidden=64", "--engine", "sglang", "--vs")
        self.assertEqual(tplora(*both, "uneven_ranks", "--tp", "3").returncode, 1)  # refused against consistent
        self.assertEqual(tplora(*both, "vllm", "--tp", "3").returncode, 3)  # refused by both
        self.assertEqual(tplora(*both, "vllm", "--tp", "2").returncode, 0)

    def test_a_stopped_run_is_no_result(self):
        suite = ROOT / "configs/suites/default.json"
        done = tplora("verify", suite, "--timeout", "1", "--jobs", "1")
        self.assertEqual((done.returncode, done.stdout), (5, ""))
        self.assertRegex(done.stderr, r"default.json: stopped: \d+ of \d+ cases were not run \(--timeout 1\)")
        for number in (signal.SIGINT, signal.SIGTERM):
            with subprocess.Popen([PROGRAM, "verify", suite, "--jobs", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
                time.sleep(1.5)
                run.send_signal(number)
                out, err = run.communicate(timeout=120)
            self.assertEqual((run.returncode, out), (5, ""), err)
            self.assertIn(f"({number.name})", err)

    def test_a_bug_that_cannot_be_read_is_no_bug_left_out(self):
        configs = self.folder / "configs"
        shutil.copytree(ROOT / "configs", configs, symlinks=True)
        case = f"model={MODEL} engine=sglang-24420 tp=4 R=16 adapters=a:r16:alpha32:qkv tokens=a"
        (configs / "bugs" / "torn.json").write_text("{")
        self.refused("torn.json", "--configs", str(configs), "replay", case)
        self.refused("torn.json", "--configs", str(configs), "layout", "--case", case)
        shutil.rmtree(configs / "bugs")
        engine = ROOT / "configs/bugs/sglang-24420.json"
        done = tplora("--configs", configs, "layout", "--case", case.replace("sglang-24420", str(engine)))
        self.assertEqual(done.returncode, 1, done.stderr)

    def test_completion_expands_no_name(self):
        tools = self.folder / "bin"
        tools.mkdir()
        (tools / "tplora").write_text("#!/bin/sh\nprintf '%s\\n' 'sglang' '$(touch PWNED)' 'a b'\n")
        (tools / "tplora").chmod(0o755)
        script = (f'PATH={tools}:$PATH; source {ROOT}/completions/tplora.bash; COMP_WORDS=(tplora layout --engine ""); COMP_CWORD=3; _tplora; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=self.folder)
        self.assertFalse((self.folder / "PWNED").exists())
        for name in ("sglang", r"\$\(touch\ PWNED\)", r"a\ b"):
            self.assertIn(name + "\n", done.stdout)
        path = f"{tools}:{os.environ['PATH']}"
        for shell, script in {
            "zsh": f'compadd() {{ print -rl -- ${{(P)2}} }}; _files() {{ }}; words=(tplora layout --engine ""); CURRENT=4; source {ROOT}/completions/_tplora; _tplora',
            "fish": f"source {ROOT}/completions/tplora.fish; complete -C 'tplora layout --engine '",
        }.items():
            if shutil.which(shell) is None:
                continue  # not every machine has all shells
            with self.subTest(shell):
                done = subprocess.run([shell, "-c", script], capture_output=True, text=True, cwd=self.folder, env={**os.environ, "PATH": path, "HOME": str(self.folder)})
                self.assertFalse((self.folder / "PWNED").exists())
                for name in ("sglang", "$(touch PWNED)", "a b"):
                    self.assertIn(name + "\n", done.stdout, done.stderr)


class OutputsInFp32(unittest.TestCase):
    def test_outputs_that_stay_in_fp32_are_shown_in_fp32(self):
        # Wrong by less than a bf16 can say.
        with tempfile.TemporaryDirectory() as folder:
            contract = pathlib.Path(folder) / "off.json"
            contract.write_text('{"extends": "llama_cpp", "replace": {"/scaling/num": "alpha + 1"}}')
            done = tplora("replay", f"model=H=2,KV=1,D=4,hidden=16 engine={contract} tp=1 R=4 slots=1 "
                          "adapters=a:r4:alpha4096:qkv tokens=a,a data=wide dtype=bf16")
        shown = re.findall(r"is (0x[0-9a-f]+), expected (0x[0-9a-f]+)", done.stdout)
        self.assertEqual(len(shown), 3, done.stdout)
        for got, expected in shown:
            self.assertNotEqual(got, expected)


class Layout(unittest.TestCase):
    def test_verify_gives_the_same_digest_with_every_instruction_set(self):
        suite = str(ROOT / "configs" / "suites" / "small.json")
        refused = tplora("verify", suite, "--instruction-set", "?")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--instruction-set ?: expected one of: ", refused.stderr)
        names = refused.stderr.split("one of: ")[1].strip().split(", ")
        digests = set()
        for name in names:
            done = tplora("verify", suite, "--instruction-set", name, "--jobs", "1")
            self.assertEqual(done.returncode, 0, name + done.stderr)
            digests.add(next(line for line in done.stdout.splitlines() if line.startswith("digest ")).split()[1])
        self.assertEqual(len(digests), 1, digests)

    def test_the_published_figures_come_out(self):
        # tp_size: buffer rows, slice rows, verdict, exit code, shape check
        rows = {
            "sglang-24420": {1: (9216, 9216, "consistent", 0, "pass"), 2: (4608, 4608, "consistent", 0, "pass"),
                             4: (2304, 2304, "silent", 1, "pass"), 8: (1152, 1280, "crash", 1, "fail"),
                             16: (576, 768, "crash", 1, "fail")},
            "sglang": {1: (9216, 9216, "consistent", 0, "pass"), 2: (4608, 4608, "consistent", 0, "pass"),
                       4: (2560, 2560, "consistent", 0, "pass"), 8: (1536, 1536, "consistent", 0, "pass"),
                       16: (1024, 1024, "consistent", 0, "pass")},
        }
        for engine, by_size in rows.items():
            for tp_size, (buffer, part, verdict, code, check) in by_size.items():
                with self.subTest(engine=engine, tp_size=tp_size):
                    found, report = layout(engine, tp_size)
                    self.assertEqual((found, report["verdict"], report["shape_check"]), (code, verdict, check))
                    self.assertEqual(len(report["ranks"]), tp_size)
                    for rank in report["ranks"]:
                        self.assertEqual(rank["lora_b"]["buffer_rows"], buffer)
                        self.assertEqual(rank["lora_b"]["slice_rows"], part)

    def test_a_tp_size_the_heads_do_not_divide_is_refused_with_check_and_values(self):
        for engine in ("sglang", "sglang-24420"):
            for tp_size in (3, 32):
                code, report = layout(engine, tp_size)
                self.assertEqual((code, report["verdict"]), (3, "refused"))
                self.assertIn(f"H % T == 0 fails with H=16, T={tp_size}", report["findings"][0]["message"])

    def test_the_silent_case_names_what_v_is_made_of(self):
        _, report = layout("sglang-24420", 4)
        pieces = {piece["part"]: piece for piece in report["ranks"][1]["lora_b"]["pieces"]}
        self.assertEqual(pieces["v"]["rows"], 0)
        self.assertEqual(pieces["v"]["wanted_rows"], 256)
        self.assertEqual(pieces["k"]["holds"], [{"part": "k", "head": 0, "from": 0, "rows": 256}])
        bounds = [f for f in report["findings"] if f["law"] == "bounds"]
        self.assertEqual({f["tp_rank"] for f in bounds}, {0, 1, 2, 3})
        self.assertEqual({f["part"] for f in report["findings"]}, {"v"})
        slot0 = next(f for f in bounds if f["slot"] == 0 and f["tp_rank"] == 2)
        self.assertIn("adapter b's q row", slot0["found"])
        self.assertIn("of slot 1", slot0["found"])
        self.assertEqual((slot0["first_head"], slot0["first_row"], slot0["last_row"]), (1, 256, 511))
        slot1 = next(f for f in bounds if f["slot"] == 1)
        self.assertIn("outside the pool", slot1["found"])
        self.assertIn("K = n*D*T = 1024 (", slot0["cause"])
        # The formula of V's offset and the length of the buffer are the two that the fix changed.
        for finding in report["findings"]:
            self.assertTrue(finding["place"].endswith("configs/bugs/sglang-24420.json#/replace/~1let~1K"))
            self.assertTrue(finding["and"].endswith("#/replace/~1lora_b~1buffers~1B"))

    def test_every_finding_carries_a_case_line_that_replays_it(self):
        _, report = layout("sglang-24420", 4)
        lines = {finding["case"] for finding in report["findings"]}
        self.assertEqual(len(lines), 1)
        done = tplora("replay", lines.pop())
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("silent", done.stdout)
        self.assertIn("v delta of adapter a (slot 0) came from adapter b's q rows", done.stdout)

    def test_layer_kinds_are_listed_and_the_worst_is_shown(self):
        _, report = layout("sglang-24420", 4)
        kinds = {layer["kind"]: layer["verdict"] for layer in report["layers"]}
        self.assertEqual(kinds, {"full_attention": "silent", "linear_attention": "not_applicable"})
        code, report = layout("sglang-24420", 4, "--layer", "linear_attention")
        self.assertEqual((code, report["verdict"]), (3, "not_applicable"))

    def test_a_round_robin_kv_head_breaks_the_pairing_law(self):
        text = (ROOT / "configs/engines/sglang.json").read_text().replace("t//rep", "t % KV")
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "round robin.json"
            file.write_text(text)
            code, report = layout(str(file), 4)
            self.assertEqual((code, report["verdict"]), (1, "silent"))
            self.assertIn("pairing", {finding["law"] for finding in report["findings"]})
            done = tplora("replay", report["findings"][0]["case"])
            self.assertEqual(done.returncode, 1, done.stderr)

    def test_text_draws_a_row_map_and_marks_what_is_wrong(self):
        done = tplora("layout", "--model", MODEL, "--engine", "sglang", "--tp", "4")
        self.assertEqual(done.returncode, 0)
        self.assertIn("k head 1 (rows 256-511)", done.stdout)
        self.assertNotIn("!", done.stdout)
        done = tplora("layout", "--model", MODEL, "--engine", "sglang-24420", "--tp", "4")
        marked = [line for line in done.stdout.splitlines() if line.startswith("  !")]
        self.assertEqual(len(marked), 4)
        for line in marked:
            self.assertRegex(line, r"B +v .*0 of 256 rows.*adapter b's q rows \d+-\d+")
        self.assertNotIn("\x1b", done.stdout)

    def test_findings_stand_under_the_formula_once_for_all_ranks(self):
        done = tplora("layout", "--model", MODEL, "--engine", "sglang-24420", "--tp", "4")
        self.assertEqual(done.stdout.count("configs/bugs/sglang-24420.json#/replace/~1let~1K: K = n*D*T = 1024"), 1)
        self.assertIn("tp_ranks 0-3: v heads 0-1, rows 0-511 of adapter a (slot 0): law bounds", done.stdout)

    def test_a_published_bug_is_named_wherever_its_fault_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = str(pathlib.Path(folder) / "copy.json")
            with open(copy, "w") as file:
                json.dump({"extends": str(ROOT / "configs/engines/sglang.json"),
                           "replace": {"/let/K": "n*D*T", "/lora_b/buffers/B": "(H*gate + 2*KV)*D/T"}}, file)
            small = "H=8,KV=2,D=16,hidden=64"
            told = [tplora("layout", "--model", small, "--engine", copy, "--tp", "4"),
                    tplora("replay", f"model={small} engine={copy} tp=4 R=16 slots=2 "
                           "adapters=a:r16:alpha32:qkv,b:r16:alpha32:qkv tokens=a,b"),
                    tplora("prove", copy, "--max-heads", "4", "--max-tp", "4")]
            for done in told:
                self.assertIn("same fault as sglang-24420", done.stdout)
            _, report = layout(copy, 4, model=small)
            self.assertEqual(report["same_as"], ["sglang-24420"])

    def test_two_contracts_are_compared(self):
        done = tplora("layout", "--model", MODEL, "--engine", "sglang", "--vs", "sglang-24420", "--tp", "4")
        self.assertEqual(done.returncode, 1)
        self.assertIn("- sglang: consistent", done.stdout)
        self.assertIn("+ sglang-24420: silent", done.stdout)
        self.assertNotIn("weight", done.stdout)
        self.assertEqual(done.stdout.count("\n+   ! B        v"), 4)
        done = tplora("layout", "--model", MODEL, "--engine", "sglang", "--vs", "sglang-24420", "--tp", "2")
        self.assertEqual(done.returncode, 0)
        self.assertIn("the same plan on tp_ranks 0-1", done.stdout)

    def test_a_whole_case_is_drawn_with_its_steps(self):
        line = ("model=H=2,KV=2,D=1,hidden=16 engine=vllm-20873 tp=2 R=1 slots=1 adapters=a:r1:alpha2:qkv,b:r1:alpha2:qkv "
                "steps=load:a@0,load:b@0,activate:a@0 tokens=a,a,-,a")
        done = tplora("layout", "--case", line)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("  ! Bv       v   -             nothing", done.stdout)
        done = tplora("layout", "--case", line, "--vs", "vllm")
        self.assertIn("+ vllm: consistent", done.stdout)
        short = line.replace("vllm-20873", "megatron_bridge_canonical").replace("tokens=a,a,-,a", "tokens=a").replace("R=1", "R=2").replace(":r1:", ":r2:")
        self.assertIn("crash", tplora("layout", "--case", short).stdout)  # the line's one token, as it is
        self.assertEqual(tplora("layout", "--case", line.replace("b:r1:alpha2:qkv", "b:r1:alpha2:fused")).returncode, 2)
        layer = "model=google/gemma-4-E4B-it engine=sglang tp=2 layer="
        self.assertIn("head_dim 512", tplora("layout", "--case", layer + "full_attention").stdout)
        self.assertEqual(tplora("layout", "--case", layer + "nonsense").returncode, 2)
        for more in (["--model", MODEL], ["--engine", "vllm"], ["--tp", "2"]):
            self.assertEqual(tplora("layout", "--case", line, *more).returncode, 2)

    def test_steps_that_make_no_sense_are_refused(self):
        start = "model=H=2,KV=2,D=1,hidden=16 engine=vllm tp=2 adapters=a:r1:alpha2:qkv,b:r1:alpha2:none "
        for steps, why in (("activate:a@0", "was not loaded before"), ("rescale:a:alpha2", "was not loaded before"),
                           ("load:a@0,activate:a@1", "already resident"), ("load:a@0,rescale:a:alpha0", "lora_alpha of step"),
                           ("load:a@0,rescale:a@4", "expected load:"), ("load:a@0,evict:a@0", "expected load:"),
                           ("load:a@0,reload:a@0", "expected load:")):
            done = tplora("replay", start + "steps=" + steps)
            self.assertEqual(done.returncode, 2, steps)
            self.assertIn(why, done.stderr)

    def test_the_checkpoint_form_is_shown(self):
        _, report = layout("sglang", 2, model="openai-community/gpt2")
        self.assertEqual(report["checkpoint"], {"tensors": "attn.c_attn", "fusion": "qkv", "order": "blocks",
                                                "gate": "none", "transposed": True})
        _, report = layout("sglang", 2, model="tiiuae/falcon-40b")
        self.assertEqual(report["checkpoint"]["order"], "per_group")
        _, report = layout("sglang", 2)
        self.assertEqual(report["checkpoint"]["gate"], "per_head")

    def test_a_larger_lora_rank_than_the_buffers_is_refused_not_bad_input(self):
        code, report = layout("sglang", 2, "--lora-rank", "32", "--max-lora-rank", "16")
        self.assertEqual((code, report["verdict"]), (3, "refused"))


class Replay(unittest.TestCase):
    def test_an_empty_neighbour_slot_makes_the_v_delta_zero(self):
        done = tplora("replay", f"model={MODEL} layer=full_attention engine=sglang-24420 tp=4 R=16 slots=8 "
                                "adapters=a:r16:alpha32:qkv tokens=a,a,-,a data=wide seed=3")
        self.assertEqual(done.returncode, 1)
        self.assertIn("v delta of adapter a (slot 0) came from zeros of slot 1", done.stdout)

    def test_a_comparison_that_could_not_fail_is_vacuous(self):
        done = tplora("replay", "model=H=8,KV=2,D=4,hidden=32 engine=sglang tp=4 tokens=-,-")
        self.assertEqual(done.returncode, 3)
        self.assertIn("vacuous", done.stdout)

    def test_time_and_memory_come_behind_the_result_in_one_file(self):
        done = subprocess.run([PROGRAM, "replay", "model=H=8,KV=2,D=4,hidden=32 engine=sglang tp=4 adapters=a:r4:alpha4:qkv"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        self.assertIn("GB at most", done.stdout.splitlines()[-1])


class Lists(unittest.TestCase):
    def test_lists_name_what_is_there(self):
        self.assertIn(MODEL, tplora("list", "models").stdout.split("\n"))
        self.assertIn("sglang", tplora("list", "engines").stdout.split())
        self.assertIn("sglang-24420", tplora("list", "bugs").stdout.split())
        self.assertIn("sglang_triton", tplora("list", "programs").stdout.split())
        self.assertIn("default", tplora("list", "suites").stdout.split())

    def test_help_teaches_with_an_example(self):
        for command in ([], ["verify"], ["layout"], ["replay"], ["list"]):
            done = tplora(*command, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertIn("tplora", done.stdout)
            self.assertIn("Example", done.stdout)


class BadInput(unittest.TestCase):
    """Each gets exit code 2, nothing on stdout, and one sentence on stderr."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def file(self, text, name="file.json"):
        path = pathlib.Path(self.folder.name) / name
        path.write_text(text)
        return str(path)

    def refused(self, words, *arguments):
        done = tplora(*arguments)
        with self.subTest(arguments=arguments):
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stdout, "")
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            for word in words if isinstance(words, (list, tuple)) else [words]:
                self.assertIn(word, done.stderr)

    def layout(self, words, model=MODEL, engine="sglang", tp="4", more=()):
        self.refused(words, "layout", "--model", model, "--engine", engine, "--tp", tp, *more)

    def config(self, **keys):
        config = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8,
                  "num_key_value_heads": 2}
        config.update(keys)
        return self.file(json.dumps(config), "config.json")

    def contract(self, **edits):
        return self.file(json.dumps({"extends": str(ROOT / "configs/engines/sglang.json"), **edits}), "mine.json")

    def test_files_that_are_not_there_or_not_json(self):
        self.layout("no such file", model=self.folder.name + "/none/config.json")
        self.layout("directory", model=self.folder.name)
        self.layout(["config.json", "not valid JSON"], model=self.file('{"model_type": "llama", "hid', "config.json"))
        self.refused("no such file", "verify", self.folder.name + "/none.json")
        self.refused("directory", "verify", self.folder.name)
        self.refused(["--configs", "not a folder"], "--configs", self.folder.name + "/none", "list", "engines")
        self.refused(["--configs", "not a folder"], "--configs", "x" * 5000, "list", "engines")

    def test_integers_are_decimal_or_refused(self):
        for text in ("010", "0x10", "+8", "8.0", "1e1", "", "99999999999999999999"):
            self.layout([f"--tp {text}", "expected a decimal integer"], tp=text)
            self.refused(["--max-heads", "expected a decimal integer"], "prove", "sglang", "--max-heads", text)
            self.refused("--jobs", "verify", str(ROOT / "configs/suites/small.json"), "--jobs", text)
        self.refused(["tp=010", "expected a decimal integer from 1 to 1024"], "replay", "model=m engine=sglang tp=010")
        self.layout(["H=016", "decimal integer"], model="H=016,KV=2,D=4,hidden=16")

    def test_a_path_with_a_blank_works_everywhere(self):
        (pathlib.Path(self.folder.name) / "my 5%").mkdir()
        model = self.file(json.dumps({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
                                      "num_attention_heads": 8, "num_key_value_heads": 2}), "my 5%/config.json")
        suite = self.file(json.dumps({"format": "tplora-suite/1", "name": "blank", "cases": [
            {"models": [model], "engines": ["sglang"], "tp": [2], "case": "R=8 adapters=a:r8:alpha8:qkv"}]}), "suite.json")
        self.assertEqual(tplora("verify", suite).returncode, 0)
        done = tplora("layout", "--model", model, "--engine", "sglang", "--tp", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = tplora("replay", f"model={model.replace('%', '%25').replace(' ', '%20')} engine=sglang tp=2")
        self.assertIn(model.replace("%", "%25").replace(" ", "%20"), done.stdout)

    def test_model_configs(self):
        self.layout(["config.json#/num_attention_heads", "\"8\""], model=self.config(num_attention_heads="8"))
        self.layout("num_attention_heads", model=self.config(num_attention_heads=0))
        self.layout("num_key_value_heads", model=self.config(num_key_value_heads=-2))
        self.layout(["num_attention_heads", "expected an integer from 1 to 1048576"],
                    model=self.config(num_attention_heads=2**62, num_key_value_heads=2, head_dim=2**62))
        self.layout(["found 9223372036854775808", "expected a positive integer"],
                    model=self.config(num_attention_heads=2**63))
        self.layout(["num_attention_heads 8", "num_key_value_heads 3"], model=self.config(num_key_value_heads=3))
        self.layout("hidden_size", model=self.config(hidden_size=1.5))
        self.layout("no model is called", model="nobody/nothing")
        self.layout("nosuchfamily", model=self.config(model_type="nosuchfamily"))
        self.layout("D", model="H=8,KV=2,hidden=64")
        self.layout("head", model="H=8,KV=0,D=4,hidden=64")

    def test_numbers_of_the_command_line(self):
        self.layout("--tp 0", tp="0")
        self.layout("--lora-rank 0", more=("--lora-rank", "0"))
        self.layout("--lora-rank -4", more=("--lora-rank", "-4"))
        self.layout("--dp 3", more=("--dp", "3"))
        self.layout("no such layer kind", more=("--layer", "nothing"))

    def test_contracts(self):
        self.layout("engine \"nothing\" is not known", engine="nothing")
        self.layout(["mine.json", "unknown key \"surprise\""], engine=self.contract(surprise=1))
        self.layout(["mine.json#/replace/~1let~1h", "column 3"], engine=self.contract(replace={"/let/h": "H/"}))
        self.layout(["mine.json#/replace/~1let~1h", "divided by zero", "H=16"],
                    engine=self.contract(replace={"/let/h": "H // (KV - KV)"}))
        self.layout(["mine.json", "does not fit 64 bits"],
                    engine=self.contract(replace={"/lora_b/copies/1/from": "9223372036854775807 * H"}))
        self.layout(["rounding program \"nothing\" is not known"], engine=self.contract(program="nothing"))
        self.layout("leads back", engine=self.file(json.dumps({"extends": "self"}), "self.json"))

    def test_case_lines(self):
        start = "model=H=8,KV=2,D=4,hidden=32 engine=sglang tp=4 "
        self.refused("stands twice", "replay", start + "tp=2")
        self.refused("unknown key \"colour\"", "replay", start + "colour=red")
        self.refused("lora_rank", "replay", start + "adapters=a:r0:alpha1:q")
        self.refused("tp=0", "replay", "model=H=8,KV=2,D=4,hidden=32 engine=sglang tp=0")

    def test_suites(self):
        self.refused(["suite.json#/cases/0/models", "found 7"], "verify",
                     self.file(json.dumps({"format": "tplora-suite/1", "name": "s", "cases": [
                         {"models": 7, "engines": ["sglang"], "tp": [1], "case": "R=16"}]}), "suite.json"))
        self.refused("tplora-suite/1", "verify", self.file('{"format": "other"}', "suite.json"))

    def test_usage(self):
        self.assertEqual(tplora().returncode, 2)
        self.assertEqual(tplora("layout", "--nothing").returncode, 2)
        self.assertEqual(tplora("nothing").returncode, 2)


class Verify(unittest.TestCase):
    def suite(self, **keys):
        entry = {"models": [MODEL], "engines": ["sglang"], "tp": [4], "numbers": False,
                 "case": "R=16 adapters=a:r16:alpha32:qkv tokens=a,-"}
        entry.update(keys)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = pathlib.Path(folder.name) / "suite.json"
        file.write_text(json.dumps({"format": "tplora-suite/1", "name": "small", "cases": [entry]}))
        return str(file)

    def test_a_suite_as_expected_exits_0(self):
        done = tplora("verify", self.suite())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_an_unexpected_verdict_exits_1_and_is_told_once_with_its_case_line(self):
        done = tplora("verify", self.suite(engines=["sglang-24420"]))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.count("unexpected: "), 1)
        self.assertIn("tplora replay \"model=" + MODEL, done.stdout)

    def test_an_unexpected_fault_that_was_published_is_told_by_its_name(self):
        own = pathlib.Path(self.suite()).with_name("own.json")
        own.write_text(json.dumps({"format": "tplora-contract/1", "extends": str(ROOT / "configs/engines/sglang.json"),
                                   "replace": {"/let/K": "T*D*n", "/lora_b/buffers/B": "(gate*H + 2*KV)*D/tp_size"}}))
        done = tplora("verify", self.suite(engines=[str(own)]))
        self.assertEqual(done.returncode, 1)
        self.assertIn("same fault as sglang-24420", done.stdout)

    def test_blind_spots_are_named_and_strict_makes_them_fail(self):
        narrow = self.suite(models=["H=8,KV=4,D=4,hidden=16"], tp=[1])
        done = tplora("verify", narrow)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\n  sglang-24420 of sglang: .*; shown by model=")
        self.assertIn("; shown by model=H=8,KV=4,D=4,hidden=16 tp=8\n", done.stdout)
        self.assertEqual(tplora("verify", narrow, "--strict").returncode, 1)

    def test_the_page_of_findings_knows_every_engine_and_bug(self):
        page = (ROOT / "docs" / "findings.md").read_text()
        for kind, line in (("engines", "### {}\n"), ("bugs", "\n| {} | ")):
            for name in tplora("list", kind).stdout.split():
                self.assertIn(line.format(name), page, "run scripts/make_findings_doc.py")

    def test_bugs_end_with_a_table(self):
        done = tplora("verify", str(ROOT / "configs/suites/museum.json"), "--filter", "engine=vllm-20873")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"bug +engine +shape check +verdict +what was found\nvllm-20873 +vllm +blind +silent +q of adapter a: found zeros")

    def test_a_suite_in_which_nothing_ran_exits_3(self):
        done = tplora("verify", self.suite(), "--filter", "tp=64")
        self.assertEqual(done.returncode, 3)
        self.assertIn("0 cases", done.stdout)

    def test_time_rate_and_memory_go_to_stderr(self):
        done = tplora("verify", self.suite())
        self.assertRegex(done.stderr, r"\d+\.\d s, \d+ cases/s, \d+\.\d+ GB")


if __name__ == "__main__":
    unittest.main()
