"""What the scripts for real engines share: the golden folder as a deployment reads it, and the loop over ranks."""
import argparse
import json
import sys
from pathlib import Path

import tensors

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "engines"))  # dump_sglang, dump_vllm: engines on a CPU


class Golden:
    """Of the manifest only what a deployment says: tp_size, slots, who is loaded where. All else is in checkpoint and adapters."""

    def __init__(self, path):
        self.path = path
        manifest = json.loads((path / "manifest.json").read_text())
        self.case, self.tp_size, self.slots = manifest["case"], manifest["tp_size"], manifest["slots"]
        self.max_lora_rank = manifest["max_lora_rank"]
        words = dict(word.split("=", 1) for word in self.case.split())
        self.steps = [step.split(":") for step in words["steps"].split(",")]
        if any(step[0] not in ("load", "evict") or (step[0] == "load") != ("@" in step[1]) for step in self.steps):
            raise SystemExit(f"steps={words['steps']}: expected load:NAME@SLOT and evict:NAME alone")
        inputs = tensors.load(path / "inputs.safetensors")
        names = [adapter["name"] for adapter in manifest["adapters"]]
        self.x = inputs["x"]
        self.users = [names[number] if number >= 0 else None for number in inputs["adapter_of_token"]]
        config = json.loads((path / "checkpoint" / "config.json").read_text())
        self.config = config.get("text_config", config)
        self.weight, self.bias = {}, {}
        for name, values in tensors.load(path / "checkpoint" / "model.safetensors").items():
            layer, module, kind = name.rsplit(".", 2)
            if module not in ("q_proj", "k_proj", "v_proj"):
                raise SystemExit(f"{name}: expected q_proj, k_proj and v_proj alone")
            (self.weight if kind == "weight" else self.bias)[module[0]] = values
            self.module = f"{layer}.qkv_proj"
        self.number = int(next(word for word in layer.split(".") if word.isdigit()))

    @property
    def heads(self):
        """Query heads (where q holds a gate, twice as many), KV heads, head_dim, v_head_dim."""
        kv = self.config["num_key_value_heads"]
        head_dim = self.config.get("head_dim") or self.config["hidden_size"] // self.config["num_attention_heads"]
        return len(self.weight["q"]) // head_dim, kv, head_dim, len(self.weight["v"]) // kv

    def fill(self, layer):
        """Gives the layer its weights through the engine's own loaders, part by part as a checkpoint has them."""
        import torch
        for parameter, parts in ((layer.weight, self.weight), (getattr(layer, "bias", None), self.bias)):
            for part, values in parts.items():
                parameter.weight_loader(parameter, torch.tensor(values), part)

    def adapter(self, name):
        return str(self.path / "adapters" / name)

    def play(self, load, evict):
        """The deployment's orders in turn: load(name, slot) into an empty slot, evict(name). Gives back each slot's last tenant."""
        tenants = {}
        for verb, what in self.steps:
            if verb == "load":
                name, slot = what.split("@")
                for gone in {tenant for at, tenant in tenants.items() if at == int(slot) or tenant == name}:
                    evict(gone)
                load(name, int(slot))
                tenants = {at: tenant for at, tenant in tenants.items() if tenant != name} | {int(slot): name}
            else:
                evict(what)
                tenants = {slot: name for slot, name in tenants.items() if name != what}
        return tenants


def main(doc, package, start, hold):
    """start(release, source) makes the release importable; hold(golden, tp_rank, forward) gives what the rank holds, by name."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", required=True, help=f"of {package}")
    parser.add_argument("--source", help="unpacked wheel")
    parser.add_argument("--no-forward", action="store_true", help="do not run the layer, save no y")
    parser.add_argument("golden", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    golden = Golden(args.golden)
    args.out.mkdir(parents=True)
    start(args.release, args.source)
    for tp_rank in range(golden.tp_size):
        try:
            held = hold(golden, tp_rank, not args.no_forward)
        except Exception as error:  # what the engine says is what is wanted
            said = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"{package} {args.release} at tp_rank {tp_rank}: {said}")
            raise SystemExit(1) from None
        tensors.save(args.out / f"rank{tp_rank}.safetensors", {name: value.float().numpy() for name, value in held.items()},
                     golden.case)
