#!/usr/bin/env python3
"""Runs docs/tutorial.md: writes its files, runs its commands, and looks for what it promises.

Blocks: ```json file=NAME``` is written, ```sh exit=N``` is run in the same folder and must end with N,
```text expect``` lists lines of which each must occur in the output of the command before it."""

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.M | re.S)


def run(command, program, folder):
    words = command.split()
    assert words[0] == "tplora", command
    done = subprocess.run([program, *words[1:]], cwd=folder, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    text = (ROOT / "docs" / "tutorial.md").read_text()
    problems, commands, expectations, output = [], 0, 0, ""
    with tempfile.TemporaryDirectory() as folder:
        for language, info, body in BLOCK.findall(text):
            if language == "json":
                name = re.search(r"file=(\S+)", info).group(1)
                (pathlib.Path(folder) / name).write_text(body)
            elif language == "sh":
                wanted = int(re.search(r"exit=(\d)", info).group(1))
                code, output = run(body.strip(), program, folder)
                commands += 1
                if code != wanted:
                    problems.append(f"{body.strip()}: exit code {code}, expected {wanted}\n{output}")
            elif language == "text":
                for line in body.strip().splitlines():
                    expectations += 1
                    if line not in output:
                        problems.append(f"the tutorial promises \"{line}\", found\n{output}")
    if commands < 4 or expectations < 8:
        problems.append(f"only {commands} commands and {expectations} promises were found")
    print("\n".join(problems))
    print(f"{commands} commands, {expectations} promises, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
