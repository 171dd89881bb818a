#!/usr/bin/env bash
# Builds with each compiler and build type, and prints the digest of a suite under each, with each
# instruction set of this machine and one or two threads: one table, one value. Usage:
# scripts/digests.sh [SUITE [verify options...]]; the suite is small.json unless named. Needs clang++
# beside g++. Instruction sets without a fused multiply-add take minutes on large suites.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:-configs/suites/small.json}
shift || true
first=
for compiler in g++ clang++; do
  for type in Debug Release; do
    folder=build-digest-$compiler-$type
    cmake -S . -B "$folder" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE="$type" \
      -DTPLORA_TESTS=OFF >/dev/null
    cmake --build "$folder" --target tplora >/dev/null
    # The question is refused with the list, and an exit code that must not end this script.
    sets=$("$folder/tplora" verify "$suite" --instruction-set '?' 2>&1 | sed -n 's/.*one of: //p' | tr -d ,) || true
    for set in $sets; do
      for jobs in 1 2; do
        digest=$("$folder/tplora" verify "$suite" --instruction-set "$set" --jobs "$jobs" "$@" 2>/dev/null |
          sed -n 's/^digest \([0-9a-f]*\).*/\1/p')
        printf '%-8s %-8s %-8s %s threads  %s\n' "$compiler" "$type" "$set" "$jobs" "$digest"
        first=${first:-$digest}
        [ -n "$digest" ] && [ "$digest" = "$first" ] || { echo "the digests differ" >&2; exit 1; }
      done
    done
  done
done
