#!/usr/bin/env bash
# Builds with warnings as errors and runs every test. Ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh || exit 1
cmake --preset dev || exit 1
cmake --build --preset dev || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
ctest --test-dir build-dev --output-on-failure --no-tests=error | tee "$log"
code=${PIPESTATUS[0]}
# ctest's own closing line counts test programs; a reader wants one plain line.
failed=$(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\1/p' "$log")
total=$(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\2/p' "$log")
echo "$((${total:-0} - ${failed:-0})) passed, ${failed:-0} failed"
exit "$code"
