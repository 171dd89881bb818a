#!/usr/bin/env bash
# Installs the build into a folder, builds the project of docs/api.md against it, word for word, and
# runs both programs from there.
# Usage: consumer_test.sh BUILD_FOLDER [COMPILER_FLAGS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
complain() { echo "$*" >&2; exit 1; }

block() { awk -v fence="\`\`\`$1" '$0 == fence {inside = 1; next} /^```$/ {inside = 0} inside' "$here/../docs/api.md"; }
mkdir "$folder/consumer"
block cmake > "$folder/consumer/CMakeLists.txt"
block cpp > "$folder/consumer/main.cpp"
# The libraries go into shared libraries too, as Python modules are.
cat >> "$folder/consumer/CMakeLists.txt" <<'CMAKE'
file(WRITE ${CMAKE_BINARY_DIR}/module.cpp "#include <tplora/tplora.hpp>
int silent(const tplora::Configs& configs) {
  const auto report = tplora::check_case(configs, \"model=H=4,KV=2,D=8,hidden=16 engine=sglang tp=4\");
  return report ? static_cast<int>(report->verdict) : -1;
}
")
add_library(module SHARED ${CMAKE_BINARY_DIR}/module.cpp)
target_link_libraries(module PRIVATE tplora::tplora)
target_link_options(module PRIVATE -Wl,--no-undefined)
CMAKE

cmake --install "$1" --prefix "$folder/usr" >/dev/null
cmake -S "$folder/consumer" -B "$folder/build" -G Ninja -DCMAKE_PREFIX_PATH="$folder/usr" \
  -DCMAKE_CXX_FLAGS="${2:-}" >/dev/null
cmake --build "$folder/build" >"$folder/log" || { cat "$folder/log" >&2; exit 1; }

said=$("$folder/build/consumer")
expect() { grep -qF -- "$1" <<<"$said" || complain "the consumer does not say \"$1\":"$'\n'"$said"; }
expect "tplora 0.1.0: sglang-24420, "
expect "published bugs, the first "
expect "full_attention: silent"
expect "  a shape assertion alone would pass"
expect '"format": "tplora-layout/1"'
expect "128 weights in two rows of v"
expect "tp_rank 2, v head 1, rows 256-511 of adapter a (slot 0): found"
expect "tp_rank 3: q heads from 6, KV head 1, ["
expect "the smallest: model=H="
[ "$(tail -1 <<<"$said")" = consistent ] || complain "the consumer's last word: $said"
# Nothing but the interface is installed.
installed=$(cd "$folder/usr/include" && find . -name '*.hpp' | sort | tr '\n' ' ')
[ "$installed" = "./tplora/sim/base/range.hpp ./tplora/sim/base/result.hpp ./tplora/sim/layout/proof_range.hpp \
./tplora/sim/layout/verdict.hpp ./tplora/sim/model/geometry.hpp ./tplora/tplora.hpp " ] ||
  complain "installed headers: $installed"

cd "$folder"
usr/bin/tplora list engines | grep -qx sglang
usr/bin/tplora layout --model Qwen/Qwen3-4B --engine sglang --tp 2 | grep -q consistent
# The installed program finds the installed configs, not the source tree's.
usr/bin/tplora --help | grep -q "$folder/usr/share/tplora/configs"
