#!/usr/bin/env bash
# Fuzzes every reader of what users write, N seconds each, from tests/fuzz/corpus. Needs clang++
# with libFuzzer (Debian: clang and libclang-rt-14-dev). What is found lies in build-fuzz/found; make
# it a file of the corpus with a telling name, and mend the code.
# Usage: scripts/fuzz.sh [SECONDS [TARGET...]]
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(config contract formula case suite safetensors)

cmake -S . -B build-fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DTPLORA_FUZZ=ON >/dev/null || exit 1
cmake --build build-fuzz --target "${targets[@]/#/fuzz_}" || exit 1

failed=0
for target in "${targets[@]}"; do
  mkdir -p "build-fuzz/corpus/$target" build-fuzz/found
  "build-fuzz/tests/fuzz/fuzz_$target" "build-fuzz/corpus/$target" "tests/fuzz/corpus/$target" \
    -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="build-fuzz/found/$target-" -print_final_stats=1 \
    2>"build-fuzz/$target.log" || { failed=1; echo "$target: see build-fuzz/$target.log" >&2; }
  sed -nE "s/^stat::number_of_executed_units: */$target: executions /p;
           s/^stat::average_exec_per_sec: */$target: per second /p" "build-fuzz/$target.log"
done
exit "$failed"
