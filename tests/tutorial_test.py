#!/usr/bin/env python3
"""Runs docs/tutorial.md: writes its files, runs its commands, looks for what it says they print."""

import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
BLOCK = re.compile(r"^```(\w+) (\w+)=(\S+)\n(.*?)^```$", re.M | re.S)


def run_console(text, code, folder):
    """The commands behind "$ ", and the words that each must print."""
    problems = []
    for step in re.split(r"^\$ tplora ", text, flags=re.M)[1:]:
        command, *words = step.strip().split("\n")
        done = subprocess.run([PROGRAM, *shlex.split(command)], cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode != code:
            problems.append(f"{command}: exit {done.returncode}, the tutorial says {code}\n{done.stdout}{done.stderr}")
        problems += [f"{command}: does not print \"{word}\"\n{done.stdout}" for word in words if word not in done.stdout]
    return problems


def main():
    problems, commands = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, key, value, text in BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text()):
            if (kind, key) == ("json", "file"):
                (pathlib.Path(folder) / value).write_text(text)
            elif (kind, key) == ("console", "exit"):
                commands += text.count("$ tplora")
                problems += run_console(text, int(value), folder)
    print("\n".join(problems))
    print(f"{commands} commands, {len(problems)} problems")
    return 1 if problems or commands < 5 else 0


if __name__ == "__main__":
    sys.exit(main())
