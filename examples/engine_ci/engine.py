#!/usr/bin/env python3
"""A small inference engine in NumPy, to show how an engine's CI uses `tplora golden` and `tplora check`.

    tplora golden "CASE" --data labels --out golden
    python3 examples/engine_ci/engine.py golden candidate
    tplora check golden candidate

It knows nothing of the oracle: it reads config.json and the weights of golden/checkpoint and the adapters of golden/adapters with its own
loader, cuts them for each rank by its own rules, keeps them in slots of its own, runs its forward on golden/inputs.safetensors, and saves
what each rank holds and gives. Of the manifest it takes what a deployment would say: tp_size, slots, and who is loaded where.

--bug puts one published mistake into it (docs/museum.md):
    sglang-24420     the B buffer is total/tp rows although K and V are replicated, and K is skipped by its replicated width
    sglang-8103      a slot keeps the rows of its last tenant where the next adapter has none
    sglang-40835     use_rslora is not read
    ggufplugin-103   every rank keeps rank 0's shard of the base weight
"""
import argparse
import json
import math
from pathlib import Path

import numpy as np

import tensors

BUGS = ["none", "sglang-24420", "sglang-8103", "sglang-40835", "ggufplugin-103"]


class Model:
    """A Llama's attention: what config.json and model.safetensors say."""

    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text())
        self.q_heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_dim, self.hidden = config["head_dim"], config["hidden_size"]
        weights = tensors.load(folder / "model.safetensors")
        self.weight = {part: next(w for name, w in weights.items() if name.endswith(f"{part}_proj.weight")) for part in "qkv"}


class Adapter:
    """What adapter_config.json and adapter_model.safetensors say."""

    def __init__(self, folder, bug):
        config = json.loads((folder / "adapter_config.json").read_text())
        rslora = config["use_rslora"] and bug != "sglang-40835"
        self.rank = config["r"]
        self.scaling = np.float32(config["lora_alpha"] / (math.sqrt(self.rank) if rslora else self.rank))
        stored = tensors.load(folder / "adapter_model.safetensors")
        self.a, self.b = {}, {}
        for name, values in stored.items():
            part = name.split("_proj")[0][-1]
            (self.a if "lora_A" in name else self.b)[part] = values


class Rank:
    """One tensor-parallel rank: its shard, its slots, its forward."""

    def __init__(self, model, tp_size, tp_rank, slots, max_rank, bug):
        self.model, self.bug, self.max_rank = model, bug, max_rank
        self.q = model.q_heads // tp_size * model.head_dim
        replicas = max(tp_size // model.kv_heads, 1)
        self.kv = max(model.kv_heads // tp_size, 1) * model.head_dim
        self.first = {"q": tp_rank * self.q, "k": tp_rank // replicas * self.kv, "v": tp_rank // replicas * self.kv}
        self.rows = {"q": self.q, "k": self.kv, "v": self.kv}
        base = {part: 0 for part in "qkv"} if bug == "ggufplugin-103" else self.first
        self.weight = np.concatenate([model.weight[part][base[part]:base[part] + self.rows[part]] for part in "qkv"])
        self.width = sum(self.rows.values())
        total = (model.q_heads + 2 * model.kv_heads) * model.head_dim
        self.b_rows = total // tp_size if bug == "sglang-24420" else self.width
        self.a_slots = np.zeros((slots, 3, max_rank, model.hidden), np.float32)
        # One block of memory for all slots: whoever reads past one slot reads the next.
        self.b_memory = np.zeros((slots * self.b_rows + self.width, max_rank), np.float32)
        self.slots = slots

    def load(self, slot, adapter):
        at = 0
        for place, part in enumerate("qkv"):
            rows = self.rows[part]
            target = self.b_memory[slot * self.b_rows + at:slot * self.b_rows + min(at + rows, self.b_rows)]
            if part in adapter.a:
                self.a_slots[slot, place] = 0
                self.a_slots[slot, place, :adapter.rank] = adapter.a[part]
                first = self.first[part]
                if self.bug == "sglang-24420" and part == "v":  # behind a K of the replicated width: past the end
                    first += len(adapter.b["k"])
                slice_ = adapter.b[part][first:first + len(target)]
                target[:len(slice_), :adapter.rank] = slice_
            elif self.bug != "sglang-8103":
                self.a_slots[slot, place] = 0
                target[:] = 0
            at += rows

    def forward(self, x, slot_of_token, scaling_of_slot):
        y = tensors.rounded(x @ self.weight.T)
        for slot in sorted(set(slot_of_token) - {-1}):
            tokens = np.flatnonzero(slot_of_token == slot)
            b = self.b_memory[slot * self.b_rows:slot * self.b_rows + self.width]
            at = 0
            for place, part in enumerate("qkv"):
                columns = slice(at, at + self.rows[part])
                u = tensors.rounded(x[tokens] @ self.a_slots[slot, place].T)
                delta = tensors.rounded(scaling_of_slot[slot] * (u @ b[columns].T))
                y[tokens, columns] = tensors.rounded(y[tokens, columns] + delta)
                at += self.rows[part]
        return y

    def saved(self, y):
        b = self.b_memory[:self.slots * self.b_rows].reshape(self.slots, self.b_rows, self.max_rank)
        a = self.a_slots.reshape(self.slots, 3 * self.max_rank, self.model.hidden)
        return {"weight": self.weight, "lora_a": a, "lora_b": b, "y": y}


def steps_of(manifest):
    """The deployment's orders, in turn: (adapter, slot)."""
    words = dict(word.split("=", 1) for word in manifest["case"].split())
    return [step[len("load:"):].split("@") for step in words["steps"].split(",") if step.startswith("load:")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("golden", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bug", choices=BUGS, default="none")
    args = parser.parse_args()
    manifest = json.loads((args.golden / "manifest.json").read_text())
    model = Model(args.golden / "checkpoint")
    inputs = tensors.load(args.golden / "inputs.safetensors")
    adapters = {path.name: Adapter(path, args.bug) for path in sorted((args.golden / "adapters").iterdir())}
    args.out.mkdir(parents=True)
    for tp_rank in range(manifest["tp_size"]):
        rank = Rank(model, manifest["tp_size"], tp_rank, manifest["slots"], manifest["max_lora_rank"], args.bug)
        scaling = {}
        for name, slot in steps_of(manifest):
            rank.load(int(slot), adapters[name])
            scaling[int(slot)] = adapters[name].scaling
        y = rank.forward(inputs["x"], inputs["slot_of_token"], scaling)
        tensors.save(args.out / f"rank{tp_rank}.safetensors", rank.saved(y), manifest["case"])


if __name__ == "__main__":
    main()
