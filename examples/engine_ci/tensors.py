"""safetensors files with nothing but NumPy. bf16 has no NumPy type: its values travel as float32, its bits as uint16."""
import json

import numpy as np

TYPES = {"F32": np.float32, "F16": np.uint16, "BF16": np.uint16, "I32": np.int32}


def to_bf16(values):
    """float32 values, rounded to nearest even, as bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(values):
    """To bf16 and back, as a kernel that stores bf16 leaves them."""
    return from_bf16(to_bf16(values))


def load_bits(path):
    """{name: (type, array)}; values of 16-bit types as uint16 patterns."""
    with open(path, "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, about in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            blob = data[8 + size + begin:8 + size + end]
            tensors[name] = about["dtype"], np.frombuffer(blob, TYPES[about["dtype"]]).reshape(about["shape"])
    return tensors


def load(path):
    """{name: array}; values of 16-bit types as float32."""
    value_of = {"BF16": from_bf16, "F16": lambda bits: bits.view(np.float16).astype(np.float32)}
    return {name: value_of.get(kind, np.asarray)(array) for name, (kind, array) in load_bits(path).items()}


def save_bits(path, tensors, case=None):
    """{name: (type, array)}. `case`: the manifest's, so that no other golden is taken for this one's."""
    header, blobs, at = {"__metadata__": {"tplora_case": case}} if case else {}, [], 0
    for name, (kind, array) in sorted(tensors.items()):
        blob = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def save(path, tensors, case=None):
    """{name: float32 array}, all stored as bf16."""
    save_bits(path, {name: ("BF16", to_bf16(values)) for name, values in tensors.items()}, case)
