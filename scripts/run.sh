#!/usr/bin/env bash
# From nothing to the main job: packages, Release build, the default suite.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
cmake --preset release >&2
cmake --build --preset release --target tplora >&2
build/tplora verify configs/suites/default.json
