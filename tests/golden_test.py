#!/usr/bin/env python3
"""`golden` and `check` as a kernel author and an engine's CI use them: files in, files out, a verdict that explains. With NumPy alone."""

import hashlib
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build" / "tplora")
sys.path.insert(0, str(ROOT / "examples" / "engine_ci"))
import tensors  # noqa: E402

MODEL = "model=H=8,KV=2,D=16,hidden=64 engine=sglang tp=4"
EIGHT = "tokens=a,a,a,a,a,a,a,a,b,b,b,b,b,b,b,b"
PAIR = f"R=8 slots=2 adapters=a:r4:alpha8:qkv,b:r8:alpha8:qkv {EIGHT}"
WIDE = "R=8 slots=3 adapters=a:r4:alpha8:qkv,b:r8:alpha16:qv tokens=a,a,b,-,b"


class Case(unittest.TestCase):
    """A folder for goldens and candidates."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_program(self, *arguments, **options):
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, **options)

    def golden(self, line, name="golden", *more):
        made = self.run_program("golden", line, "--out", self.folder / name, *more)
        self.assertEqual(made.returncode, 0, made.stderr)
        return self.folder / name

    def check(self, golden, candidate, *more):
        return self.run_program("check", golden, candidate, *more)

    def candidate(self, golden, names, edit=None, ranks=None):
        """The golden's own tensors, edited."""
        manifest = json.loads((golden / "manifest.json").read_text())
        out = self.folder / "candidate"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        for rank in manifest["ranks"]:
            number = rank["tp_rank"]
            if ranks is None or number in ranks:
                have = tensors.load(golden / rank["file"])
                chosen = {name: np.array(have[name]) for name in names}
                chosen = (edit(number, chosen, have) if edit else None) or chosen
                tensors.save(out / rank["file"], chosen)
        return out

    def wrong(self, golden, candidate, *words):
        """Exit code 1, and each of the words in what is said."""
        told = self.check(golden, candidate)
        self.assertEqual(told.returncode, 1, told.stdout + told.stderr)
        for word in words:
            self.assertIn(word, told.stdout)
        return told.stdout


class Golden(Case):
    def test_files_are_what_the_manifest_says(self):
        golden = self.golden(f"{MODEL} {WIDE}")
        manifest = json.loads((golden / "manifest.json").read_text())
        on_disk = {str(path.relative_to(golden)) for path in golden.rglob("*") if path.is_file()}
        self.assertEqual(on_disk, set(manifest["files"]) | {"manifest.json"})
        for name, about in manifest["files"].items():
            data = (golden / name).read_bytes()
            self.assertEqual(hashlib.sha256(data).hexdigest(), about["sha256"])
            self.assertEqual(len(data), about["bytes"])

    def test_expected_values_are_numpys_from_the_checkpoint(self):
        """By another program: x and the checkpoint's and adapters' tensors, cut by heads."""
        golden = self.golden(f"{MODEL} {WIDE}", "golden", "--data", "integers")
        weights = tensors.load(golden / "checkpoint/model.safetensors")
        x = tensors.load(golden / "inputs.safetensors")["x"]
        users = tensors.load(golden / "inputs.safetensors")["adapter_of_token"]
        part_y = {}
        for part in "qkv":
            y = tensors.rounded(x @ weights[f"model.layers.0.self_attn.{part}_proj.weight"].T)
            for number, name in enumerate("ab"):
                stored = tensors.load(golden / f"adapters/{name}/adapter_model.safetensors")
                key = f"base_model.model.model.layers.0.self_attn.{part}_proj.lora_"
                if key + "A.weight" in stored:
                    u = tensors.rounded(x @ stored[key + "A.weight"].T)
                    delta = tensors.rounded(np.float32(2) * (u @ stored[key + "B.weight"].T))
                    y[users == number] = tensors.rounded(y + delta)[users == number]
            part_y[part] = y
        for rank in range(4):
            kv = rank // 2 * 16
            expected = np.hstack([part_y["q"][:, rank * 32:rank * 32 + 32], part_y["k"][:, kv:kv + 16], part_y["v"][:, kv:kv + 16]])
            self.assertTrue(np.array_equal(tensors.load(golden / f"rank{rank}.safetensors")["y"], expected))

    def test_expected_values_never_come_from_the_contract(self):
        healthy = self.golden(f"{MODEL} {WIDE}")
        made = self.run_program("golden", f"{MODEL} {WIDE}".replace("engine=sglang", "engine=sglang-24420"), "--out",
                                self.folder / "bug", "--as-engine")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn("does not keep the laws here (silent)", made.stdout)
        for rank in range(4):
            right = tensors.load(healthy / f"rank{rank}.safetensors")
            same = tensors.load(self.folder / f"bug/rank{rank}.safetensors")
            self.assertEqual({name for name in right if name.startswith("pool")}, {"pool.a.A", "pool.b.B"})
            self.assertEqual(set(same), {name for name in right if not name.startswith("pool")})
            for name, values in same.items():
                self.assertTrue(np.array_equal(values, right[name]), name)
            engine = tensors.load(self.folder / f"bug/as_engine/rank{rank}.safetensors")
            self.assertFalse(np.array_equal(engine["y"], right["y"]))

    def test_a_fused_checkpoint_is_in_its_own_order(self):
        golden = self.golden("model=bigcode/gpt_bigcode-santacoder engine=uneven_ranks tp=1 tokens=- data=labels")
        (name, weight), = [(name, w) for name, w in tensors.load(golden / "checkpoint/model.safetensors").items() if "weight" in name]
        self.assertTrue(name.startswith("transformer.h.0.attn.c_attn"), name)
        config = json.loads((golden / "checkpoint/config.json").read_text())
        self.assertEqual(config["model_type"], "gpt_bigcode")
        self.assertIn(2304, weight.shape)

    def test_same_bytes_for_any_number_of_threads(self):
        one = self.golden(f"{MODEL} {WIDE}", "one", "--jobs", "1")
        four = self.golden(f"{MODEL} {WIDE}", "four", "--jobs", "4")
        for path in one.rglob("*"):
            if path.is_file():
                self.assertEqual(path.read_bytes(), (four / path.relative_to(one)).read_bytes())

    def test_pieces_and_ranks(self):
        golden = self.golden(f"{MODEL} {WIDE}", "golden", "--ranks", "1,3", "--only", "ranks")
        self.assertEqual({path.name for path in golden.iterdir()}, {"manifest.json", "rank1.safetensors", "rank3.safetensors"})
        whole = self.golden(f"{MODEL} {WIDE}", "whole")
        self.assertEqual((golden / "rank3.safetensors").read_bytes(), (whole / "rank3.safetensors").read_bytes())

    def test_refused(self):
        line = f"{MODEL} {WIDE}"
        for words, arguments in {
            "it exists already": [line, "--out", self.folder],
            "not one of the 4 tp_ranks": [line, "--out", self.folder / "x", "--ranks", "4"],
            "expected tp_ranks": [line, "--out", self.folder / "x", "--ranks", "1-"],
            "expected labels, integers or wide": [line, "--out", self.folder / "x", "--data", "wode"],
            "3 ranks for 8 query heads": [line.replace("tp=4", "tp=3"), "--out", self.folder / "x"],
            "multiplies by the factor 0.25333": [line.replace("engine=sglang", "engine=vllm").replace("r4:alpha8", "r3:alpha0.76")
                                                 + " dtype=fp32", "--out", self.folder / "x", "--data", "integers"],
            "it is another model's": [line.replace("alpha8:qkv", "alpha8:qkv:v_rows64"), "--out", self.folder / "x"],
        }.items():
            told = self.run_program("golden", *arguments)
            self.assertEqual((told.returncode, told.stdout), (2, ""), arguments)
            self.assertIn(words, told.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_full_disk_leaves_nothing(self):
        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        told = self.run_program("golden", f"{MODEL} {WIDE}", "--out", self.folder / "x", preexec_fn=small_files, restore_signals=False)
        self.assertEqual((told.returncode, told.stdout), (4, ""), told.stderr)
        self.assertIn("cannot be written", told.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])


class Check(Case):
    def test_the_golden_itself_is_right(self):
        golden = self.golden(f"{MODEL} {WIDE}")
        names = ["y", "y_base", "delta", "u.q", "weight", "lora_b", "lora_a.k", "pool.b.B"]
        told = self.check(golden, self.candidate(golden, names))
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)

    def test_cheats(self):
        """What passes where nobody looks closely."""
        def zero(rank, chosen, have):
            chosen["y"][:] = 0

        def constant(rank, chosen, have):
            chosen["y"][:] = 1

        def nan(rank, chosen, have):
            chosen["y"][:] = np.nan

        def base_only(rank, chosen, have):
            chosen["y"] = have["y_base"]

        def copied_input(rank, chosen, have):
            x = tensors.load(golden / "inputs.safetensors")["x"]
            chosen["y"] = np.resize(x, chosen["y"].shape)

        def first_rank_only(rank, chosen, have):
            chosen["y"] = tensors.load(golden / "rank0.safetensors")["y"]

        def one_bit(rank, chosen, have):
            bits = chosen["y"].view(np.uint32)
            bits[-1, -1] ^= 1 << 16

        def negative_zero(rank, chosen, have):
            chosen["delta"][have["delta"] == 0] = -0.0
            return {"delta": chosen["delta"]}

        golden = self.golden(f"{MODEL} {WIDE}")
        for cheat in (zero, constant, nan, base_only, copied_input, first_rank_only, one_bit):
            with self.subTest(cheat.__name__):
                self.wrong(golden, self.candidate(golden, ["y"], cheat))
        self.wrong(golden, self.candidate(golden, ["delta"], negative_zero))
        self.wrong(golden, self.candidate(golden, ["y"], ranks=[0]), "y is missing of tp_ranks 1, 2, 3")
        self.assertEqual(self.check(golden, self.candidate(golden, ["y"], ranks=[0]), "--partial").returncode, 0)

    def test_every_block_of_a_large_tensor_is_compared(self):
        golden = self.golden("model=H=8,KV=2,D=16,hidden=16384 engine=sglang tp=4 adapters=a:r4:alpha8:qkv tokens=a", "golden", "--ranks", "0",
                             "--only", "ranks")

        def last(rank, chosen, have):
            chosen["weight"][-1, -1] += 1
        told = self.wrong(golden, self.candidate(golden, ["weight"], last), "Mismatched elements: 1 / 1048576", "(63, 16383)")
        self.assertNotIn("bit-equal", told)

    def test_an_earlier_golden_is_stale(self):
        old = self.golden(f"{MODEL} {WIDE} seed=2", "old")
        golden = self.golden(f"{MODEL} {WIDE}")
        self.wrong(golden, self.candidate(old, ["y"]))
        told = self.check(golden, old)  # its files say of which case they are
        self.assertEqual(told.returncode, 2)
        self.assertIn("says that it is of case", told.stderr)

    def test_a_probe_that_shows_nothing_is_vacuous(self):
        golden = self.golden(f"{MODEL} R=8 adapters=a:r4:alpha8:qkv tokens=-,-")
        told = self.check(golden, self.candidate(golden, ["y"]))
        self.assertEqual(told.returncode, 3)
        self.assertIn("no token uses an adapter", told.stdout)

    def test_bad_input(self):
        golden = self.golden(f"{MODEL} {WIDE}")

        def refused(words, candidate):
            told = self.check(golden, candidate)
            self.assertEqual((told.returncode, told.stdout), (2, ""))
            self.assertIn(words, told.stderr)
            self.assertEqual(told.stderr.count("\n"), 1)

        def transposed(rank, chosen, have):
            chosen["y"] = np.ascontiguousarray(chosen["y"].T)
        refused("is it transposed?", self.candidate(golden, ["y"], transposed))
        refused("the golden has no tensor of that name", self.candidate(golden, ["y"], lambda r, c, h: {"z": c["y"]}))
        refused("cannot be read", self.folder / "nothing")
        refused("has no tensors", self.folder)
        candidate = self.candidate(golden, ["y"])
        np.save(candidate / "rank0.y.npy", np.zeros((5, 64), np.float32))
        refused("given twice", candidate)
        candidate = self.candidate(golden, ["y"], ranks=[1])
        np.save(candidate / "rank0.y.npy", np.zeros((5, 64), np.float64))
        refused("dtype F64: expected BF16", candidate)
        np.save(candidate / "rank7.y.npy", np.zeros((5, 64), np.float32))
        refused("is of tp_rank 7", candidate)
        data = bytearray((golden / "rank0.safetensors").read_bytes())
        data[-1] ^= 1
        (golden / "rank0.safetensors").write_bytes(data)
        refused("the golden was changed or is torn", self.candidate(golden, ["y"]))
        (golden / "manifest.json").unlink()
        refused("manifest.json", self.folder / "candidate")

    def test_names_give_everything_that_was_given(self):
        golden = self.golden(f"{MODEL} {PAIR}")
        bug = self.golden(f"{MODEL} {PAIR}".replace("engine=sglang", "engine=sglang-24420"), "bug", "--as-engine")

        def of_bug(*names):
            def edit(rank, chosen, have):
                engine = tensors.load(bug / f"as_engine/rank{rank}.safetensors")
                chosen.update({name: engine["pool.b.B" if name == "lora_b" else name] for name in names})
            return edit
        name = "published bug sglang-24420"
        self.wrong(golden, self.candidate(golden, ["y", "lora_b"], of_bug("y", "lora_b")), name)
        self.wrong(golden, self.candidate(golden, ["y"], of_bug("y")), name)
        for names, edit in (
            (["y"], lambda rank, chosen, have: of_bug("y")(rank, chosen, have) if rank == 0 else None),
            (["y", "lora_b"], of_bug("lora_b")),
            (["y", "lora_b"], of_bug("y")),
            (["y", "weight"], lambda rank, chosen, have: {**chosen, "y": tensors.load(
                bug / f"as_engine/rank{rank}.safetensors")["y"], "weight": chosen["weight"][::-1].copy()}),
        ):
            self.assertNotIn(name, self.wrong(golden, self.candidate(golden, names, edit)))

    def test_what_a_reader_refuted(self):
        """Digits of B that round to one value; lora_rank above R; too few tokens for labels; hidden_size below 12; no bound; a manifest that
        was changed."""
        rounds = self.golden("model=H=8,KV=2,D=64,hidden=64 engine=vllm tp=4 R=8 adapters=a:r8:alpha12:qkv tokens=a,a,a,a,a,a,a,a", "rounds",
                             "--data", "labels")
        self.assertEqual(self.check(rounds, self.candidate(rounds, ["lora_b", "lora_a.q", "y"])).returncode, 0)
        told = self.run_program("golden", f"{MODEL} R=4 adapters=a:r8:alpha8:qkv", "--out", self.folder / "x")
        self.assertEqual((told.returncode, told.stdout), (2, ""))
        self.assertIn("no slot holds it", told.stderr)
        few = self.golden(f"{MODEL} R=8 slots=2 adapters=a:r8:alpha8:qkv,b:r8:alpha8:qkv tokens=a,a,b,b", "few", "--data", "labels")
        told = self.check(few, self.candidate(few, ["y"]))
        self.assertEqual(told.returncode, 3)
        self.assertIn("these tokens do not tell rows of adapter a in full", told.stdout)
        self.assertEqual(self.check(few, self.candidate(few, ["lora_b"])).returncode, 0)  # which tokens there are is nothing to a slot
        small = self.golden("model=H=8,KV=2,D=16,hidden=8 engine=sglang tp=4 R=8 adapters=a:r8:alpha8:qkv tokens=a", "small", "--data", "labels")
        self.assertEqual(self.check(small, self.candidate(small, ["lora_a.q", "lora_a.v", "lora_b"])).returncode, 0)
        loose = self.golden(f"{MODEL} R=8 adapters=a:r8:alpha8:qkv tokens=a,- accumulator=tensor_core:group=64,fraction=1", "loose")

        def zero(rank, chosen, have):
            chosen["y"][:] = 0
        told = self.check(loose, self.candidate(loose, ["y"], zero), "--judge", "bound")
        self.assertEqual(told.returncode, 2)
        self.assertIn("have no bound", told.stderr)
        manifest = few / "manifest.json"
        manifest.write_text(manifest.read_text().replace("seed=1", "seed=2"))
        told = self.check(few, self.folder / "candidate")
        self.assertEqual(told.returncode, 2)
        self.assertIn("changed by hand", told.stderr)

    def test_a_neighbours_rows_are_named_whatever_its_factor(self):
        golden = self.golden("model=H=8,KV=2,D=16,hidden=64 engine=vllm tp=4 R=8 slots=2 adapters=a:r4:alpha8:qkv,b:r8:alpha8:qkv " + EIGHT,
                             "golden", "--data", "labels")

        def neighbours(rank, chosen, have):
            chosen["lora_b"][0, 48:] = have["lora_b"][1, :16]
        self.wrong(golden, self.candidate(golden, ["lora_b"], neighbours), "adapter a's delta comes from q rows 0-15 of adapter b",
                   "law no residue")

    def test_own_rows_under_a_neighbours_factor_are_no_label(self):
        """vLLM multiplies B by the factor at load. Rows that were not multiplied read as labels under b's factor of 1, but as a's, which b's never are."""
        golden = self.golden("model=H=8,KV=2,D=16,hidden=64 engine=vllm tp=4 R=8 slots=2 adapters=a:r4:alpha8:qkv,b:r8:alpha8:qkv " + EIGHT,
                             "golden", "--data", "labels")

        def unscaled(rank, chosen, have):
            chosen["lora_b"][0] /= 2
        self.wrong(golden, self.candidate(golden, ["lora_b"], unscaled),
                   "slot 0, q heads 0-1, rows 0-31 (columns 0-31): adapter a's delta comes from values that are no label")

    def test_npy_holds_bf16_as_patterns(self):
        golden = self.golden(f"{MODEL} {WIDE}", "golden", "--ranks", "2")
        file = self.folder / "y.npy"
        y = tensors.load(golden / "rank2.safetensors")["y"]
        np.save(file, tensors.to_bf16(y))
        self.assertEqual(self.check(golden, file).returncode, 0)
        np.save(file, tensors.to_bf16(np.roll(y, 1)))
        self.assertEqual(self.check(golden, file).returncode, 1)

    def test_labels_say_what_stands_there(self):
        golden = self.golden(f"{MODEL} {PAIR}", "golden", "--data", "labels")

        def k_for_v(rank, chosen, have):
            chosen["y"][:8, 48:] = have["y"][:8, 32:48]
        self.wrong(golden, self.candidate(golden, ["y"], k_for_v),
                   "v head 0, rows 0-15 (columns 48-63): the base weight (tokens of adapter a) comes from k rows 0-15 of the base weight",
                   "v head 0, rows 0-15 (columns 48-63): adapter a's delta comes from k rows 0-15 of adapter a, expected its own rows 0-15",
                   "Mismatched elements: 32 / 1024 (3.1%)")

        def other_slot(rank, chosen, have):
            chosen["lora_b"] = chosen["lora_b"][::-1].copy()
        self.wrong(golden, self.candidate(golden, ["lora_b"], other_slot),
                   "slot 0, q heads 0-1, rows 0-31 (columns 0-31): adapter a's delta comes from q rows 0-31 of adapter b",
                   "law no residue")

        def a_stacked(rank, chosen, have):
            return {"lora_a": np.concatenate([have["lora_a.q"][:, :5], have["lora_a.v"], have["lora_a.k"]], axis=1)}
        told = self.wrong(golden, self.candidate(golden, ["y"], a_stacked), "slot 1: of adapter b's A of q, rows 5-7 are expected")
        self.assertNotIn("slot 0", told)  # q's four rows, then v's, then k's: an order that is the engine's affair

    def test_another_computation_is_named(self):
        line = ("model=H=8,KV=2,D=16,hidden=3072 engine=sglang tp=4 R=8 slots=3 adapters=a:r4:alpha12:qkv,b:r8:alpha24:qv "
                "tokens=a,a,b,-,b,a,a,b,b,a,a,b,b,a,a,b,b,a,a,b,b,a,a,b,b,a,a,b,b,a,a,b,b,a,a,b,b")
        golden = self.golden(line, "golden", "--only", "ranks")
        for words, other in {
            "the factor applied twice": line.replace("alpha12", "alpha36").replace("alpha24:qv", "alpha72:qv"),
            "accumulator=tensor_core:hopper,split=4 (declared": line + " accumulator=tensor_core:hopper,split=4",
            "program vllm (declared": line.replace("engine=sglang", "engine=vllm"),
            "adapter b in the place of a": line.replace("a,a,b", "b,b,b").replace("b,a,", "b,b,").replace(",a,b", ",b,b"),
        }.items():
            with self.subTest(words):
                shutil.rmtree(self.folder / "other", ignore_errors=True)
                self.wrong(golden, self.candidate(self.golden(other, "other", "--only", "ranks"), ["y"]), words)

        def exchanged(rank, chosen, have):
            chosen["y"][[1, 3]] = have["y"][[3, 1]]
        self.wrong(golden, self.candidate(golden, ["y"], exchanged), "token 1 has the outputs of token 3")

    def test_judges(self):
        """A right kernel that sums in another order is within the bound; one without its delta is not."""
        line = ("model=H=8,KV=2,D=16,hidden=512 engine=sglang tp=4 R=8 slots=3 adapters=a:r4:alpha12:qkv,b:r8:alpha24:qkv "
                "tokens=a,a,b,-,b,a accumulator=tensor_core:hopper")
        golden = self.golden(line, "golden", "--only", "ranks")
        names = ["y", "y_base", "delta", "u.q"]
        other = self.candidate(self.golden(line + ",split=8", "other", "--only", "ranks"), names)
        self.assertEqual(self.check(golden, other).returncode, 1)
        for judge in ("bound", "exact"):
            told = self.check(golden, other, "--judge", judge)
            self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
            self.assertRegex(told.stdout, "units in the last place from the exact result")
        self.assertEqual(self.check(golden, other, "--judge", "exact", "--ulps", "0").returncode, 1)

        def base_only(rank, chosen, have):
            chosen["y"] = have["y_base"]
        for judge in ("bound", "exact"):
            self.assertEqual(self.check(golden, self.candidate(golden, ["y"], base_only), "--judge", judge).returncode, 1)

        def nan(rank, chosen, have):
            chosen["y"][0, 0] = np.nan
        self.assertEqual(self.check(golden, self.candidate(golden, ["y"], nan), "--judge", "bound").returncode, 1)
        exact = self.candidate(self.golden(line.replace("tensor_core:hopper", "exact"), "exact", "--only", "ranks"), ["u.q"])
        told = json.loads(self.check(golden, exact, "--judge", "exact", "--ulps", "0", "--json").stdout)
        self.assertEqual([one["greatest_ulps"] for one in told["tensors"] if one["mismatched"]], [])

    def test_json(self):
        golden = self.golden(f"{MODEL} {PAIR}", "golden", "--data", "labels")

        def k_for_v(rank, chosen, have):
            chosen["y"][:, 48:] = have["y"][:, 32:48]
        told = json.loads(self.check(golden, self.candidate(golden, ["y"], k_for_v), "--json").stdout)
        self.assertEqual((told["format"], told["verdict"]), ("tplora-check/1", "wrong"))
        self.assertEqual(told["tensors"][0]["mismatched"], 64)
        place = told["places"][0]
        self.assertEqual((place["part"], place["rows"], place["heads"], place["found"]["part"]), ("v", [0, 15], [0, 0], "k"))


class EngineCi(Case):
    """examples/engine_ci: an engine's own loader and forward, without a contract of it."""

    def engine(self, line, bug):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        golden = self.golden(line, "golden", "--data", "labels")
        subprocess.run([sys.executable, ROOT / "examples/engine_ci/engine.py", golden, self.folder / "out", "--bug", bug], check=True)
        return golden, self.folder / "out"

    def test_four_published_bugs(self):
        rslora = PAIR.replace("R=8", "R=16").replace("a:r4:alpha8:qkv,b:r8:alpha8:qkv", "a:r4:alpha8:qkv:rslora,b:r16:alpha16:qkv:rslora")
        tenant = ("R=8 slots=2 adapters=a:r4:alpha8:qkv,b:r8:alpha8:q,c:r4:alpha4:qkv steps=load:a@0,load:c@1,evict:a,load:b@0 "
                  "tokens=b,b,b,b,b,b,b,b,c,c,c,c,c,c,c,c")
        told = {
            "sglang-24420": (PAIR, ["lora_b has 48 rows on tp_ranks 0, 1, 2, 3, and 64 columns for it (law fit)",
                                    "adapter a's delta comes from q rows 0-15 of adapter b",
                                    "bit-equal to what published bug sglang-24420 gives here"]),
            "sglang-8103": (tenant, ["k head 0, rows 0-15 (columns 32-47): adapter b's delta comes from k rows 0-15 of adapter a, "
                                     "expected none, the adapter does not target it (law no residue)"]),
            "sglang-40835": (rslora, ["bit-equal under use_rslora ignored", "bit-equal to what published bug sglang-40835 gives here"]),
            "ggufplugin-103": (PAIR, ["tp_rank 2: weight, k head 1, rows 16-31 (columns 32-47): the base weight comes from k rows 0-15"]),
        }
        for bug, (scenario, words) in told.items():
            with self.subTest(bug):
                golden, out = self.engine(f"{MODEL} {scenario}", "none")
                self.assertEqual(self.check(golden, out).returncode, 0)
                golden, out = self.engine(f"{MODEL} {scenario}", bug)
                self.wrong(golden, out, *words)


class Adapters(Case):
    """tplora adapter, on what the real peft library saved (tests/adapters/make.py)."""

    def adapter(self, name, *more, model="llama", engine="sglang", folder=ROOT / "tests/adapters"):
        return self.run_program("adapter", folder / name, "--model", ROOT / f"tests/adapters/{model}.json", "--engine", engine, *more)

    def test_verdicts(self):
        for name, code, words in (
            ("plain", 0, ["tp 1, 2, 4: consistent", "tp 3, 5, 6, 7, 8: refused", "q of lora_rank 4, k of lora_rank 4, v of lora_rank 4"]),
            ("qv_and_mlp", 0, ["q of lora_rank 4, v of lora_rank 4", "not looked at: down_proj, o_proj"]),
            ("rslora", 1, ["tp 1, 2, 4: silent", "expected alpha / sqrt(lora_rank) = 8 / sqrt(4)", "sglang-40835"]),
            ("patterns", 1, ["k of lora_rank 2", "tp 1, 2, 4: crash", "has_k=1, r_k=2, r=4", "k_r2:v_alpha16"]),
            ("first_layer", 0, ["all layers 0: q of", "1 of the 2 layers of this kind are adapted"]),
            ("layers_differ", 1, ["all layers 0: q of lora_rank 4", "all layers 1: q of lora_rank 2", "r_q=2, r=4"]),
            ("saved_modules", 3, ["not judged: modules_to_save lm_head", "not looked at: base_model.model.lm_head.weight"]),
        ):
            with self.subTest(name):
                told = self.adapter(name)
                self.assertEqual(told.returncode, code, told.stdout + told.stderr)
                for word in words:
                    self.assertIn(word, told.stdout)

    def with_options(self, **options):
        folder = self.folder / "-".join(options)
        shutil.copytree(ROOT / "tests/adapters/plain", folder)
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, **options}))
        return folder

    def test_options_that_are_more_than_rows_times_a_factor(self):
        for options, word in (({"bias": "lora_only"}, "bias lora_only"), ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights pissa_niter_4"),
                              ({"modules_to_save": ["lm_head"]}, "modules_to_save lm_head")):
            with self.subTest(options):
                folder = self.with_options(**options)
                for engine, how in (("vllm", "refused at every tp_size: "), ("sglang", "not judged: ")):
                    told = self.adapter("", "--tp", "1,2", engine=engine, folder=folder)
                    self.assertEqual(told.returncode, 3, told.stdout + told.stderr)
                    self.assertIn(how + word, told.stdout)
                    self.assertEqual("consistent" in told.stdout, engine == "sglang")
        folder = self.with_options(modules_to_save=["score"], init_lora_weights="gaussian")
        told = self.adapter("", "--tp", "1,2", engine="vllm", folder=folder)
        self.assertEqual(told.returncode, 3, told.stdout)  # vLLM takes it; whether it puts the module there is another question
        self.assertIn("tp 1, 2: consistent", told.stdout)

    def test_rank_pattern_counts_against_max_lora_rank(self):
        told = self.adapter("patterns", "--tp", "1,2", "--max-lora-rank", "3", engine="vllm")
        self.assertEqual(told.returncode, 3, told.stdout + told.stderr)
        self.assertIn("rank_pattern's included", told.stdout)
        told = self.adapter("qv_and_mlp", "--tp", "1", "--max-lora-rank", "64", engine="vllm")
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)

    def test_fused_adapter_of_a_conv1d_checkpoint(self):
        told = self.adapter("fused", "--tp", "1,2,4", model="gpt2", engine="trtllm_fused")
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
        self.assertIn("one fused module", told.stdout)

    def test_an_engine_with_a_published_bug(self):
        told = self.adapter("plain", "--tp", "4", engine="sglang-24420")
        self.assertEqual(told.returncode, 1)
        self.assertIn("law bounds", told.stdout)

    def test_an_adapter_of_more_layers(self):
        config = json.loads((ROOT / "tests/adapters/llama.json").read_text())
        config["num_hidden_layers"] = 1
        (self.folder / "one.json").write_text(json.dumps(config))
        told = self.run_program("adapter", ROOT / "tests/adapters/plain", "--model", self.folder / "one.json", "--engine", "sglang", "--tp", "2")
        self.assertEqual(told.returncode, 1)
        self.assertIn("does not fit: it adapts layer 1, which the model does not have", told.stdout)

    def test_another_models_adapter(self):
        told = self.run_program("adapter", ROOT / "tests/adapters/plain", "--model", "Qwen/Qwen3-4B", "--engine", "sglang", "--tp", "2")
        self.assertEqual(told.returncode, 1)
        self.assertIn("A is for an input of 32, and the layer's has hidden_size 2560", told.stdout)
        self.assertIn("B has 16 rows, and the layer's k has 1024", told.stdout)

    def test_refused(self):
        def refused(words, *arguments, **named):
            told = self.adapter(*arguments, **named)
            self.assertEqual((told.returncode, told.stdout), (2, ""))
            self.assertIn(words, told.stderr)
        refused("use_dora: such an adapter is not q, k and v times a factor", "dora")
        refused("layer_replication: such an adapter", "replicated")
        refused("no such file", "nothing")
        refused("expected tp_sizes from 1 to 1024", "plain", "--tp", "0-4")
        for words, change in {
            "expected \"LORA\"": lambda c: c.update(peft_type="IA3"),
            "r: found 0": lambda c: c.update(r=0),
            "expected a number above 0 of at most six decimals": lambda c: c.update(lora_alpha=-1),
        }.items():
            copy = self.folder / "changed"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(ROOT / "tests/adapters/plain", copy)
            config = json.loads((copy / "adapter_config.json").read_text())
            change(config)
            (copy / "adapter_config.json").write_text(json.dumps(config))
            told = self.adapter("changed", folder=self.folder)
            self.assertEqual((told.returncode, told.stdout), (2, ""))
            self.assertIn(words, told.stderr)
        (copy / "adapter_config.json").write_text((ROOT / "tests/adapters/plain/adapter_config.json").read_text())
        (copy / "adapter_model.safetensors").write_bytes(b"\x10")
        refused("has 1 bytes", "changed", folder=self.folder)


class OwnTensors(Case):
    """--base and --adapter: a sharded checkpoint and adapters that the peft library wrote."""

    LINE = f"model={ROOT / 'tests/adapters/llama.json'} engine=sglang tp=2 R=8 slots=3 tokens=a,a,b,- seed=7"
    ADAPTERS = ("--adapter", ROOT / "tests/adapters/plain", "--adapter", ROOT / "tests/adapters/rslora")

    def base(self, prefix="model.", dtype="BF16", edit=None):
        """A checkpoint of the fixtures' model, its two layers over two files and an index."""
        random = np.random.default_rng(3)
        folder = self.folder / "base"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        weight_map = {}
        for layer in range(2):
            values = {f"{prefix}layers.{layer}.self_attn.{name}_proj.weight": random.standard_normal((rows, 32), np.float32)
                      for name, rows in {"q": 32, "k": 16, "v": 16}.items()}
            (edit or (lambda _: None))(values)
            name = f"model-0000{layer + 1}-of-00002.safetensors"
            stored = {key: (dtype, tensors.to_bf16(value) if dtype == "BF16" else value) for key, value in values.items()}
            tensors.save_bits(folder / name, stored)
            weight_map |= dict.fromkeys(values, name)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
        return folder

    def expected(self, base, layer, prefix="model."):
        """y by part, and the size of its terms, by NumPy alone: what `sglang`'s program rounds, from the users' own files."""
        index = json.loads((base / "model.safetensors.index.json").read_text())["weight_map"]
        x = tensors.load(self.folder / "golden/inputs.safetensors")["x"]
        parts = {}
        for part in "qkv":
            name = f"{prefix}layers.{layer}.self_attn.{part}_proj.weight"
            weight = tensors.rounded(tensors.load(base / index[name])[name])
            y = tensors.rounded((x.astype(np.float64) @ weight.T.astype(np.float64)).astype(np.float32))
            size = np.abs(y)
            for tokens, adapter in (([0, 1], "plain"), ([2], "rslora")):
                folder = ROOT / "tests/adapters" / adapter
                config = json.loads((folder / "adapter_config.json").read_text())
                stored = tensors.load(folder / "adapter_model.safetensors")
                key = f"base_model.model.model.layers.{layer}.self_attn.{part}_proj.lora_"
                if key + "A.weight" not in stored:
                    continue
                a, b = (tensors.rounded(stored[key + half]).astype(np.float64) for half in ("A.weight", "B.weight"))
                scaling = config["lora_alpha"] / (np.sqrt(config["r"]) if config["use_rslora"] else config["r"])
                u = tensors.rounded((x[tokens].astype(np.float64) @ a.T).astype(np.float32))
                delta = tensors.rounded(np.float32(scaling) * (u.astype(np.float64) @ b.T).astype(np.float32))
                size[tokens] += np.abs(delta)
                y[tokens] = tensors.rounded(y[tokens] + delta)
            parts[part] = y, size
        return parts

    def test_expected_values_are_numpys_from_the_users_own_files(self):
        for layer in (0, 1):
            shutil.rmtree(self.folder / "golden", ignore_errors=True)
            base = self.base()
            golden = self.golden(self.LINE, "golden", "--base", base, *self.ADAPTERS, "--layer-index", str(layer))
            due = self.expected(base, layer)
            for rank in range(2):
                y = tensors.load(golden / f"rank{rank}.safetensors")["y"]
                cut, size = (np.hstack([due[part][i][:, rank * rows:rank * rows + rows] for part, rows in (("q", 16), ("k", 8), ("v", 8))]) for i in (0, 1))
                # NumPy sums in its own order: within a unit in the last place of bf16, and mostly equal.
                self.assertLess(np.max(np.abs(y - cut) / size), 2 ** -7)
                self.assertGreater(np.mean(y == cut), 0.95)
            manifest = json.loads((golden / "manifest.json").read_text())
            self.assertEqual((manifest["data"], manifest["modules"]["layer"]), ("file", f"model.layers.{layer}."))
            self.assertIn("data=file", manifest["case"])
            self.assertTrue(any("values of adapter a are no bf16 and were rounded" in note for note in manifest["notes"]), manifest["notes"])

    def test_the_folder_holds_the_users_values(self):
        base = self.base()
        golden = self.golden(self.LINE, "golden", "--base", base, *self.ADAPTERS, "--layer-index", "1")
        mine = tensors.load_bits(golden / "checkpoint/model.safetensors")
        theirs = tensors.load_bits(base / "model-00002-of-00002.safetensors")
        self.assertEqual(set(mine), set(theirs))
        for name, (kind, values) in theirs.items():
            self.assertEqual(kind, mine[name][0])
            self.assertTrue(np.array_equal(values, mine[name][1]), name)
        stored = tensors.load(ROOT / "tests/adapters/plain/adapter_model.safetensors")
        for name, values in tensors.load(golden / "adapters/a/adapter_model.safetensors").items():
            self.assertIn(".layers.1.", name)
            self.assertTrue(np.array_equal(values, tensors.rounded(stored[name])), name)

    def test_check_reads_the_golden_alone(self):
        """The bound, and the search for another computation, need the tensors again."""
        base = self.base()
        shutil.copy(ROOT / "tests/adapters/llama.json", base / "config.json")
        line = self.LINE.replace(str(ROOT / "tests/adapters/llama.json"), str(base / "config.json"))
        golden = self.folder / "golden"
        made = self.run_program("golden", "--base", base, *self.ADAPTERS, line, "--out", golden)  # the line may stand anywhere
        self.assertEqual(made.returncode, 0, made.stderr)
        shutil.rmtree(base)
        mine = self.candidate(golden, ["y", "y_base", "delta", "lora_b"])
        for judge in ("bits", "bound", "exact"):
            told = self.check(golden, mine, "--judge", judge)
            self.assertEqual(told.returncode, 0, told.stdout + told.stderr)

        def twice(rank, chosen, have):
            chosen["y"] = tensors.rounded(have["y_base"] + 4 * have["delta"])
        self.assertEqual(self.check(golden, self.candidate(golden, ["y"], twice), "--judge", "bound").returncode, 1)

        other = self.golden(self.LINE.replace("a,a,b,-", "b,b,b,-"), "other", "--base", self.base(), *self.ADAPTERS)
        ours = self.golden(self.LINE, "ours", "--base", self.base(), *self.ADAPTERS)
        self.wrong(ours, self.candidate(other, ["y"]), "adapter b in the place of a")

        with open(golden / "checkpoint/model.safetensors", "r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)
            file.seek(-1, 2)
            file.write(bytes([last[0] ^ 1]))
        told = self.check(golden, mine)
        self.assertEqual((told.returncode, told.stderr.count("\n")), (2, 1), told.stderr)
        self.assertIn("checkpoint/model.safetensors", told.stderr)

    def test_fused_rows_and_a_transposed_checkpoint(self):
        """A golden's own checkpoint and adapters, taken for a user's, give the same folder."""
        for line, adapters in {
            "model=bigcode/gpt_bigcode-santacoder engine=uneven_ranks tp=1 tokens=-": "",
            "model=openai-community/gpt2 engine=trtllm_fused tp=2 R=8 tokens=a,-": "adapters=a:r8:alpha16:fused",
            "model=Qwen/Qwen3.5-35B-A3B layer=full_attention engine=sglang tp=4 R=8 tokens=a,-": "adapters=a:r8:alpha16:qkv",
        }.items():
            with self.subTest(line):
                shutil.rmtree(self.folder / "made", ignore_errors=True)
                shutil.rmtree(self.folder / "own", ignore_errors=True)
                made = self.golden(f"{line} {adapters}".strip(), "made", "--ranks", "0")
                more = ["--adapter", made / "adapters/a"] if adapters else []
                own = self.golden(line, "own", "--base", made / "checkpoint", *more, "--ranks", "0")
                first, second = (tensors.load_bits(folder / "rank0.safetensors") for folder in (made, own))
                self.assertEqual(set(first), set(second))
                for name, (_, values) in first.items():
                    self.assertTrue(np.array_equal(values, second[name][1]), name)

    def test_another_prefix(self):
        base = self.base(prefix="language_model.model.")
        self.golden(self.LINE, "golden", "--base", base, *self.ADAPTERS)
        y, size = self.expected(base, 0, prefix="language_model.model.")["q"]
        found = tensors.load(self.folder / "golden/rank0.safetensors")["y"][:, :16]
        self.assertLess(np.max(np.abs(found - y[:, :16]) / size[:, :16]), 2 ** -7)

    def test_an_adapter_of_some_layers_is_taken_for_those(self):
        line = self.LINE.replace("tokens=a,a,b,-", "tokens=a,-")
        self.golden(line, "golden", "--base", self.base(), "--adapter", ROOT / "tests/adapters/first_layer", "--layer-index", "0")

    def test_names_of_adapters(self):
        golden = self.golden(self.LINE.replace("tokens=a,a,b,-", "tokens=mine,b"), "golden", "--base", self.base(),
                             "--adapter", f"mine={ROOT / 'tests/adapters/plain'}", "--adapter", ROOT / "tests/adapters/rslora")
        self.assertTrue((golden / "adapters/mine/adapter_model.safetensors").exists())

    def test_refused(self):
        plain = ROOT / "tests/adapters/plain"

        def nan(values):
            next(iter(values.values()))[3, 5] = np.nan

        def wide(values):
            for key in [name for name in values if "k_proj" in name]:
                values[key] = np.zeros((32, 32), np.float32)

        def twice(values):
            for key in list(values):
                values["vision." + key] = values[key]

        def missing(values):
            for key in [name for name in values if "v_proj" in name]:
                del values[key]

        def biased(values):
            for key in list(values):
                values[key.replace("weight", "bias")] = np.zeros(len(values[key]), np.float32)
        line, named = self.LINE.replace("tokens=a,a,b,-", "tokens=a,-"), ["--adapter", plain]
        for words, arguments in {
            "--base with it": (line, named),
            "data=labels: the tensors are somebody's own": (line + " data=labels", ["--base", "BASE", *named]),
            "expected none beside --base": (line, ["--base", self.base(), *named, "--data", "wide"]),
            "has neither model.safetensors nor": (line, ["--base", self.folder, *named]),
            "no adapter is called \"b\"": (self.LINE, ["--base", "BASE", *named]),
            "expected none beside adapters from folders": (line + " adapters=a:r4:alpha8:qkv", ["--base", "BASE", *named]),
            "--layer-index 2: expected a layer of kind": (line, ["--base", "BASE", *named, "--layer-index", "2"]),
            "adapts neither q, k nor v of layer 1; those of layers 0": (line, ["--base", "BASE", "--adapter", ROOT / "tests/adapters/first_layer", "--layer-index", "1"]),
            "which check reads again": (line, ["--base", "BASE", *named, "--only", "ranks"]),
            "use_dora": (line, ["--base", "BASE", "--adapter", ROOT / "tests/adapters/dora"]),
        }.items():
            with self.subTest(words):
                base = self.base()
                told = self.run_program("golden", arguments[0], *[base if one == "BASE" else one for one in arguments[1]], "--out", self.folder / "no")
                self.assertEqual((told.returncode, told.stderr.count("\n")), (2, 1), told.stderr)
                self.assertIn(words, told.stderr)
                self.assertFalse((self.folder / "no").exists())
        for words, changed in {
            "self_attn.k_proj: target_modules and layers_to_transform leave it out": {"target_modules": ["q_proj"]},
            "exclude_modules: what PEFT would leave out": {"exclude_modules": ["k_proj"]},
            "leave it out, and PEFT does not load it": {"layers_to_transform": 1},
        }.items():
            with self.subTest(words):
                other = self.folder / "other"
                shutil.copytree(plain, other, dirs_exist_ok=True)
                config = json.loads((other / "adapter_config.json").read_text()) | changed
                (other / "adapter_config.json").write_text(json.dumps(config))
                told = self.run_program("golden", line, "--base", self.base(), "--adapter", other, "--out", self.folder / "no")
                self.assertEqual((told.returncode, told.stderr.count("\n")), (2, 1), told.stderr)
                self.assertIn(words, told.stderr)
                if "exclude_modules" not in changed:
                    told = self.run_program("adapter", other, "--model", ROOT / "tests/adapters/llama.json", "--engine", "vllm", "--tp", "2")
                    self.assertEqual(told.returncode, 1, told.stdout + told.stderr)
                    self.assertIn("PEFT does not load it", told.stdout)
                shutil.copytree(plain, other, dirs_exist_ok=True)
        for words, edit in {
            "element 101 of the row-major [32, 32] is nan": nan,
            "shape [32, 32]: expected [16, 32]": wide,
            "--tensor-prefix to say which": twice,
            "has no tensor model.layers.0.self_attn.v_proj.weight": missing,
            "has a bias layers.0.self_attn.q_proj.bias": biased,
        }.items():
            with self.subTest(words):
                told = self.run_program("golden", line, "--base", self.base("decoder.model." if edit is twice else "model.", edit=edit), *named, "--out", self.folder / "no")
                self.assertEqual((told.returncode, told.stderr.count("\n")), (2, 1), told.stderr)
                self.assertIn(words, told.stderr)
        told = self.run_program("verify", "--case", line.replace("tokens=a,-", "tokens=- data=file"))
        self.assertEqual(told.returncode, 2)


class Pages(Case):
    """docs/kernel-authors.md and docs/engine-ci.md, word for word, up to where a GPU or an engine is needed."""

    def setUp(self):
        super().setUp()
        (self.folder / "bin").mkdir()
        (self.folder / "bin/tplora").symlink_to(pathlib.Path(PROGRAM).resolve())
        (self.folder / "bin/python3").symlink_to(sys.executable)
        (self.folder / "examples").symlink_to(ROOT / "examples")

    def commands(self, page):
        text = (ROOT / "docs" / page).read_text()
        return [line.strip() for line in text.splitlines() if line.startswith("       ") and line.split()[0] in ("tplora", "python3")]

    def shell(self, command):
        return subprocess.run(command, shell=True, cwd=self.folder, capture_output=True, text=True,
                              env={"PATH": f"{self.folder}/bin:/usr/bin:/bin"})

    def test_engine_ci(self):
        golden, engine, check = self.commands("engine-ci.md")
        for command in (golden, engine):
            done = self.shell(command)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = self.shell(check)
        self.assertEqual((done.returncode, done.stdout.splitlines()[0]), (0, "right"), done.stdout + done.stderr)
        shutil.rmtree(self.folder / "out")
        self.assertEqual(self.shell(engine + " --bug sglang-24420").returncode, 0)
        done = self.shell(check)
        self.assertEqual(done.returncode, 1)
        page = (ROOT / "docs/engine-ci.md").read_text()
        shown = [line[4:] for line in page.splitlines() if line.startswith("    ") and not line.startswith("     tplora")]
        shown = shown[shown.index("wrong"):]
        for line in shown:
            if not line.strip().startswith(("tplora", "python3")):
                self.assertIn(line, done.stdout)

    def test_kernel_authors(self):
        golden, check = self.commands("kernel-authors.md")
        done = self.shell(golden)
        self.assertEqual(done.returncode, 0, done.stderr)
        (self.folder / "mine").mkdir()
        for path in (self.folder / "golden").glob("rank*.safetensors"):  # what a right kernel writes
            tensors.save(self.folder / "mine" / path.name, {"y": tensors.load(path)["y"]})
        self.assertEqual(self.shell(check).stdout.splitlines()[0], "right")


if __name__ == "__main__":
    unittest.main()
