#!/usr/bin/env bash
# Cross-builds for 64-bit Arm, runs a suite under emulation and prints its digest there, below that of
# this machine's own build: one value. Usage: scripts/aarch64_digest.sh [SUITE [verify options...]]; the
# suite is small.json unless named. Needs the packages g++-aarch64-linux-gnu and qemu-user-static. The
# arm64 libraries are unpacked below build-aarch64; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:-configs/suites/small.json}
shift || true
options=("$@")
folder=$PWD/build-aarch64
root=$folder/root
cross=/usr/aarch64-linux-gnu

if [ ! -d "$root" ]; then
  mkdir -p "$folder"/apt/{lists,cache/archives}/partial
  apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root
    -o Dir::State="$folder/apt" -o Dir::State::Status=/dev/null -o Dir::Cache="$folder/apt/cache")
  "${apt[@]}" update
  mapfile -t packages < <(grep -e '-dev$' scripts/packages.txt)
  "${apt[@]}" install -y --download-only --no-install-recommends "${packages[@]}" >/dev/null
  for package in "$folder"/apt/cache/archives/*.deb; do
    dpkg -x "$package" "$root.part"
  done
  mv "$root.part" "$root"
fi

cmake --preset release >/dev/null
cmake --build --preset release --target tplora >/dev/null
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DTPLORA_TESTS=OFF -DTPLORA_EXAMPLES=OFF \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_LIBRARY_ARCHITECTURE=aarch64-linux-gnu \
  -DCMAKE_FIND_ROOT_PATH="$root;$cross" -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER \
  -DCMAKE_FIND_ROOT_PATH_MODE_{INCLUDE,PACKAGE}=ONLY >/dev/null
cmake --build "$folder" --target tplora >/dev/null

expected=
row() { # NAME SET JOBS PROGRAM...
  local digest
  digest=$("${@:4}" verify "$suite" --instruction-set "$2" --jobs "$3" "${options[@]}" 2>/dev/null |
    sed -n 's/^digest \([0-9a-f]*\).*/\1/p')
  printf '%-8s %-8s %s threads  %s\n' "$1" "$2" "$3" "$digest"
  expected=${expected:-$digest}
  [ -n "$digest" ] && [ "$digest" = "$expected" ] || { echo "the digests differ" >&2; exit 1; }
}
sets_of() { # PROGRAM...
  "$@" verify "$suite" --instruction-set '?' 2>&1 | sed -n 's/.*one of: //p' | tr -d ,
}
emulated=(qemu-aarch64-static -L "$cross" "$folder/tplora")
read -r best _ < <(sets_of build/tplora)
row "$(uname -m)" "$best" 1 build/tplora
for set in $(sets_of "${emulated[@]}"); do
  for jobs in 1 2; do
    row aarch64 "$set" "$jobs" "${emulated[@]}"
  done
done
