"""The qkv projections of real models, read from configs/models/index.json: hidden_size, and the rows that a rank holds."""
import json
from dataclasses import dataclass
from pathlib import Path

INDEX = Path(__file__).resolve().parents[2] / "configs" / "models" / "index.json"

MODELS = [
    "Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen3.5-35B-A3B", "HuggingFaceTB/SmolLM3-3B", "openai/gpt-oss-20b", "Qwen/Qwen2.5-7B-Instruct",
    "THUDM/glm-4-9b-chat", "google/gemma-2-9b", "tiiuae/falcon-7b", "meta-llama/Meta-Llama-3.1-8B", "mistralai/Mistral-7B-v0.1",
    "Qwen/Qwen3-8B", "Qwen/Qwen3.5-9B", "microsoft/phi-4", "XiaomiMiMo/MiMo-V2-Flash", "Qwen/Qwen2.5-72B", "meta-llama/Meta-Llama-3.1-70B",
]


@dataclass(frozen=True)
class Projection:
    model: str
    hidden_size: int
    q_heads: int
    kv_heads: int
    q_head_rows: int    # rows of one query head, its gate included
    k_head_rows: int
    v_head_rows: int

    @property
    def rows(self):
        return self.q_heads * self.q_head_rows + self.kv_heads * (self.k_head_rows + self.v_head_rows)

    def divides(self, tp_size):
        kv = self.kv_heads
        return self.q_heads % tp_size == 0 and (kv % tp_size == 0 or tp_size % kv == 0)

    def rank_rows(self, tp_size, tp_rank):
        """Rows of [q; k; v] that this rank holds; K and V are replicated where there are fewer KV heads than ranks."""
        q, kv = self.q_heads // tp_size, max(self.kv_heads // tp_size, 1)
        first_kv = tp_rank * self.kv_heads // tp_size
        k_start = self.q_heads * self.q_head_rows
        v_start = k_start + self.kv_heads * self.k_head_rows
        pieces = [(tp_rank * q * self.q_head_rows, q * self.q_head_rows),
                  (k_start + first_kv * self.k_head_rows, kv * self.k_head_rows),
                  (v_start + first_kv * self.v_head_rows, kv * self.v_head_rows)]
        return [row for first, rows in pieces for row in range(first, first + rows)]


def projection(model):
    entry = json.loads(INDEX.read_text())["models"].get(model)
    if not entry or not entry.get("expect"):
        raise SystemExit(f"{INDEX} has no expected geometry for {model}")
    layer = entry["expect"][0]
    return Projection(model, layer["hidden_size"], layer["num_attention_heads"], layer["num_key_value_heads"],
                      layer["head_dim"] * layer["q_multiplier"], layer["head_dim"], layer["v_head_dim"])
