"""What the scripts that read engines' sources share: the classes that a model_type has."""

import ast
import collections
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
AUTO = ("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
        "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES")
# Classes of remote code, as the published config.json names them.
REMOTE = {"internlm3": {"InternLM3ForCausalLM"}}


def classes_of_types(transformers):
    types = collections.defaultdict(set)
    auto = ast.parse((transformers / "transformers/models/auto/modeling_auto.py").read_text())
    for node in auto.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in AUTO:
            for model_type, names in ast.literal_eval(node.value.args[0]):
                types[model_type] |= {names} if isinstance(names, str) else set(names)
    for path in (ROOT / "configs/models").glob("*/*.json"):
        config = json.loads(path.read_text())
        types[config.get("model_type")] |= set(config.get("architectures") or [])
    for model_type, names in REMOTE.items():
        types[model_type] |= names
    return {model_type: names for model_type, names in types.items() if model_type}
