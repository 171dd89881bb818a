"""What the scripts that read engines' sources share: the classes of a folder of model files, the classes that a model_type has, and the
comparison with a contract's variants."""

import ast
import collections
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# A type of several maps is a wrapper: its own class is that of the later map. With another one in `architectures` it is another model, for
# which variants have a condition of their own.
AUTO = ("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES",
        "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES")
# Classes that published configs name where transformers' maps have none.
PUBLISHED = {"bailing_moe_v2": {"BailingMoeV2ForCausalLM"}, "internlm3": {"InternLM3ForCausalLM"},
             "qwen3_omni_moe": {"Qwen3OmniMoeForConditionalGeneration"}}


class Sources:
    """The classes of some packages of an unpacked wheel. A class is (module, name): two modules may have classes of one name. A base is looked
    up in the module itself, then where it is imported from; one from outside the packages is none."""

    def __init__(self, root, packages):
        self.nodes, self.imports, self.trees = {}, {}, {}
        for package in packages:
            for path in sorted((root / package.replace(".", "/")).rglob("*.py")):
                self.read(path, ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))

    def read(self, path, module):
        self.trees[module] = tree = ast.parse(path.read_text())
        self.imports[module] = names = {}
        package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self.nodes.setdefault((module, node.name), node)
            elif isinstance(node, ast.ImportFrom):
                above = package[:len(package) - node.level + 1] if node.level else []
                source = ".".join(above + (node.module.split(".") if node.module else []))
                for alias in node.names:
                    names[alias.asname or alias.name] = (source, alias.name)

    def find(self, module, expression):
        """The class that an expression in a module names, else None."""
        while isinstance(expression, ast.Subscript):
            expression = expression.value
        if isinstance(expression, ast.Attribute) and isinstance(expression.value, ast.Name):  # module.Class
            return self.named(".".join(self.imports[module].get(expression.value.id, ("", ""))), expression.attr)
        return self.named(module, expression.id) if isinstance(expression, ast.Name) else None

    def named(self, module, name):
        for _ in range(8):  # names that are handed on
            if (module, name) in self.nodes:
                return module, name
            module, name = self.imports.get(module, {}).get(name, (None, None))
        return None

    def bases(self, one):
        return [base for base in (self.find(one[0], base) for base in self.nodes[one].bases) if base]

    def nearest(self, one, holds):
        """The class itself or the nearest of its bases for which `holds`, else None."""
        return one if holds(one) else next((found for found in (self.nearest(base, holds) for base in self.bases(one)) if found), None)


def compare(types, served, kind, said):
    """Prints of each model_type what its classes do beside what the contract says; how many differ. To claim less than is known is no
    mistake."""
    differ = 0
    for model_type, names in sorted(types.items()):
        classes = sorted({served[name] for name in names if name in served}, key=str)
        kinds = {kind(one) if one else "unknown" for one in classes}  # None: a class that the sources do not show
        found = kinds.pop() if len(kinds) == 1 else "unknown"
        told = said.get(model_type, "unknown")
        wrong = told not in (found, "unknown")
        differ += wrong
        if classes or wrong:
            shown = ", ".join(one[1] if one else "?" for one in classes)
            print(f"{model_type}: {told}: {shown} ({found}){'  <- differs' if wrong else ''}")
    return differ


def classes_of_types(transformers):
    types = collections.defaultdict(set)
    auto = ast.parse((transformers / "transformers/models/auto/modeling_auto.py").read_text())
    maps = {getattr(node.targets[0], "id", ""): node.value for node in auto.body if isinstance(node, ast.Assign)}
    for name in AUTO:
        for model_type, names in ast.literal_eval(maps[name].args[0]):
            types[model_type] = {names} if isinstance(names, str) else set(names)
    for path in (ROOT / "configs/models").glob("*/*.json"):
        config = json.loads(path.read_text())
        types[config.get("model_type")] |= set(config.get("architectures") or [])
    for model_type, names in PUBLISHED.items():
        types[model_type] |= names
    return {model_type: names for model_type, names in types.items() if model_type}
