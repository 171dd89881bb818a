#!/usr/bin/env python3
"""Records what the config classes of transformers make of every config of this repository.

    pip install transformers==5.24.0
    tests/models/record_classes.py tests/models/transformers-5.24.0.json

Of the decoder's config (get_text_config): num_attention_heads, num_key_value_heads, head_dim and num_hidden_layers as an engine that asks
for these names is answered. null: there is no such attribute, or it is None. "by layer": the class refuses to tell one number for all layers.
Only configs are built, no model. tests/model_classes_test.cpp holds the model reader against the record, without transformers."""

import argparse
import json
import logging
import pathlib
import warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NAMES = ("num_attention_heads", "num_key_value_heads", "head_dim", "num_hidden_layers")


def answer(config, name):
    try:
        value = getattr(config, name, None)
    except RuntimeError:  # heterogeneous configs refuse a global read
        return "by layer"
    return value if isinstance(value, int) else None


def decoder(mapping, keys):
    """The decoder's config. Some files here are reduced to the decoder's keys under the wrapper's model_type."""
    inner = next((keys[key] for key in ("text_config", "llm_config") if isinstance(keys.get(key), dict)), None)
    made = mapping[keys["model_type"]].from_dict(keys)
    text = made.get_text_config()
    if text is not made and inner is None:
        return type(text).from_dict(keys)
    if (text is made or isinstance(text, dict)) and inner is not None and inner.get("model_type") in mapping:
        return mapping[inner["model_type"]].from_dict(inner)
    return text


def defaults(mapping):
    """The same answers of every class with attention heads, for a config that says nothing."""
    answers = {}
    for model_type in sorted(mapping.keys()):
        try:
            config = mapping[model_type]()
        except Exception:  # some classes want keys: they have no default
            continue
        if isinstance(answer(config, "num_attention_heads"), int) and config.get_text_config() is config:
            answers[model_type] = [answer(config, key) for key in NAMES]
    return answers


def nulls(mapping, types):
    """Which of the two keys with a default that is computed each class refuses to take a null for."""
    refused = {}
    for model_type in types:
        keys = []
        for key in ("num_key_value_heads", "head_dim"):
            try:
                mapping[model_type].from_dict({key: None})
            except Exception:  # whatever it does not like
                keys.append(key)
        if keys:
            refused[model_type] = keys
    return refused


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("record", type=pathlib.Path)
    options = arguments.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    models, left_out = {}, {}
    for path in sorted((ROOT / "configs/models").glob("*/*.json")):
        name = f"{path.parent.name}/{path.stem}"
        keys = json.loads(path.read_text())
        model_type = keys.get("model_type")
        if model_type not in CONFIG_MAPPING:
            left_out[name] = f"no class for model_type {model_type}"
            continue
        try:
            config = decoder(CONFIG_MAPPING, keys)
        except Exception as error:  # whatever a class does not like in a reduced config
            left_out[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
            continue
        models[name] = [answer(config, key) for key in NAMES]
    by_class = defaults(CONFIG_MAPPING)
    lines = [f'  {json.dumps(name)}: {json.dumps(values)}' for name, values in models.items()]
    null = [f'  {json.dumps(name)}: {json.dumps(keys)}' for name, keys in nulls(CONFIG_MAPPING, by_class).items()]
    classes = [f'  {json.dumps(name)}: {json.dumps(values)}' for name, values in by_class.items()]
    options.record.write_text(
        f'{{\n"package": "transformers {transformers.__version__}",\n"answers": {json.dumps(NAMES)},\n"models": {{\n'
        + ",\n".join(lines) + '\n},\n"defaults": {\n' + ",\n".join(classes) + '\n},\n"refused_nulls": {\n' + ",\n".join(null) + '\n},\n"left_out": {\n'
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(why)}" for name, why in left_out.items()) + "\n}\n}\n")
    print(f"{len(models)} configs and {len(by_class)} classes recorded, {len(left_out)} configs left out")


if __name__ == "__main__":
    main()
