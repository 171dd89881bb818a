#!/usr/bin/env bash
# Installs the build into a folder, builds a project against it, runs both programs from there.
# Usage: consumer_test.sh BUILD_FOLDER [COMPILER_FLAGS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake --install "$1" --prefix "$folder/usr" >/dev/null
cmake -S "$here/consumer" -B "$folder/build" -G Ninja -DCMAKE_PREFIX_PATH="$folder/usr" \
  -DCMAKE_CXX_FLAGS="${2:-}" >/dev/null
cmake --build "$folder/build"
said=$("$folder/build/consumer")
[ "$said" = silent ] || { echo "the consumer says \"$said\", expected silent" >&2; exit 1; }
cd "$folder"
usr/bin/tplora list engines | grep -qx sglang
usr/bin/tplora layout --model Qwen/Qwen3-4B --engine sglang --tp 2 | grep -q consistent
# The installed program finds the installed configs, not the source tree's.
usr/bin/tplora --help | grep -q "$folder/usr/share/tplora/configs"
