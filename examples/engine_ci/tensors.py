"""safetensors files with nothing but NumPy. bf16 has no NumPy type: its values travel as float32, its bits as uint16."""
import json

import numpy as np

TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I32": np.int32}


def to_bf16(values):
    """float32 values, rounded to nearest even, as bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(values):
    """To bf16 and back, as a kernel that stores bf16 leaves them."""
    return from_bf16(to_bf16(values))


def load(path):
    """{name: array}; bf16 as float32 of the same values."""
    with open(path, "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    tensors = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        begin, end = about["data_offsets"]
        array = np.frombuffer(data[8 + size + begin:8 + size + end], TYPES[about["dtype"]]).reshape(about["shape"])
        tensors[name] = from_bf16(array) if about["dtype"] == "BF16" else array
    return tensors


def save(path, tensors, case=None):
    """{name: float32 array}, all stored as bf16. `case`: the manifest's, so that no other golden is taken for this one's."""
    header, blobs, at = {"__metadata__": {"tplora_case": case}} if case else {}, [], 0
    for name, values in sorted(tensors.items()):
        blob = to_bf16(values).tobytes()
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))
