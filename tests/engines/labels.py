"""What scripts that dump an engine share: row labels, runs of them, the wheel, the file (README.md has the format)."""
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PARTS = ["q", "k", "v", "shared"]
STEP = 100_000  # a row's label: STEP times its part, plus the row, plus 1; float32 holds it
GEOMETRY = ["H", "KV", "D", "Dv", "gate", "hidden"]


def unpack(package, release, source, members=lambda name: True):
    """Puts the wheel's sources first on the import path; downloads the wheel where no folder is given."""
    if source is None:
        source = tempfile.mkdtemp()
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", source, f"{package}=={release}"],
                       check=True)
        with zipfile.ZipFile(next(Path(source).glob("*.whl"))) as wheel:
            wheel.extractall(source, [name for name in wheel.namelist() if members(name)])
    sys.path.insert(0, str(source))


def part_rows(case):
    return {"q": case["H"] * case["gate"] * case["D"], "k": case["KV"] * case["D"], "v": case["KV"] * case["Dv"]}


def rows_of(part, rows, columns):
    """Every element of row i says part and i."""
    import torch
    return (torch.arange(rows, dtype=torch.float32) + PARTS.index(part) * STEP + 1)[:, None].repeat(1, columns)


def runs(weight):
    """[at, rows, part, first_row] of a labelled weight, as long as they can be, zero rows left out."""
    found = []
    for at, row in enumerate(weight.tolist()):
        assert len(set(row)) == 1, "the columns of a row disagree"
        if row[0] == 0:
            continue
        part, source_row = divmod(int(row[0]) - 1, STEP)
        last = found[-1] if found else None
        if last and last[2] == PARTS[part] and last[0] + last[1] == at and last[3] + last[1] == source_row:
            last[1] += 1
        else:
            found.append([at, 1, PARTS[part], source_row])
    return found


def write(out, contract, package, release, ran, stubbed, cases):
    dump = {"format": "tplora-engine-dump/1", "contract": contract, "package": package, "release": release, "ran": ran,
            "stubbed": stubbed, "cases": cases}
    Path(out).write_text(json.dumps(dump, separators=(",", ":")) + "\n")
    for ends in ("loaded", "refused", "crash"):
        print(ends, sum(case["ends"] == ends for case in cases))
