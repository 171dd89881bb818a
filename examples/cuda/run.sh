#!/usr/bin/env bash
# Holds the CUDA example against the oracle at rank shapes of real models. Needs nvcc, a Hopper GPU, and tplora (with options if
# need be):
#   bash examples/cuda/run.sh build/tplora [SECONDS]
# Exit code 1 if any output differs, 2 if something could not run. No case is started after SECONDS (300).
set -u
read -ra tplora <<<"${1:?usage: run.sh TPLORA [SECONDS]}"
limit=${2:-300}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)")
trap 'rm -rf "$work"' EXIT
nvcc -std=c++17 -O2 -gencode=arch=compute_90,code=sm_90 "$here/qkv_lora.cu" -o "$work/qkv_lora_cuda" || exit 2

adapters="a:r16:alpha32:qkv,b:r8:alpha12:qv,c:r24:alpha10:qkv"
tokens="a,b,-,c,a,a,-,b,c,a,a,a,a,c,b,a,-,a,a,a,a,a,a,a,c"
worst=0 ran=0
while read -r layer tp; do
  for dtype in bf16 fp16; do
    for kind in "accumulator=tensor_core:hopper data=wide" "accumulator=fp32_chain data=integers"; do
      if [ "$SECONDS" -ge "$limit" ]; then
        echo "time is up after $ran cases"
        exit "$worst"
      fi
      case="model=$layer engine=sglang tp=$tp R=32 slots=3 adapters=$adapters tokens=$tokens steps=load:a@0,load:b@1,load:c@2 dtype=$dtype $kind seed=11"
      rm -rf "$work/golden" "$work/candidate"
      "${tplora[@]}" golden "${case/+/ }" --out "$work/golden" --only inputs,ranks >/dev/null &&
        "$work/qkv_lora_cuda" "$work/golden" "$work/candidate" &&
        "${tplora[@]}" check "$work/golden" "$work/candidate" | sed -n 1,2p
      code=$((PIPESTATUS[0]))
      [ "$code" -gt "$worst" ] && worst=$code
      ran=$((ran + 1))
    done
  done
done <<'CASES'
Qwen/Qwen2.5-0.5B-Instruct 1
Qwen/Qwen2.5-0.5B-Instruct 2
Qwen/Qwen3.5-35B-A3B+layer=full_attention 1
Qwen/Qwen3.5-35B-A3B+layer=full_attention 2
Qwen/Qwen3.5-35B-A3B+layer=full_attention 4
Qwen/Qwen3.5-35B-A3B+layer=full_attention 8
openai/gpt-oss-20b 1
openai/gpt-oss-20b 4
openai/gpt-oss-20b 8
Qwen/Qwen2.5-7B-Instruct 2
Qwen/Qwen2.5-7B-Instruct 4
meta-llama/Meta-Llama-3.1-8B 1
meta-llama/Meta-Llama-3.1-8B 8
CASES
echo "$ran cases"
[ "$ran" -gt 0 ] || exit 2
exit "$worst"
