#!/usr/bin/env python3
"""From the benchmark's JSON: the table of docs/performance.md on stdout, and a plot of shares of the core's peak.

    build/bench/tplora_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true \\
        --benchmark_out=bench.json --benchmark_out_format=json
    python3 scripts/plot_performance.py bench.json docs/performance.svg

Needs Matplotlib (Debian: python3-matplotlib) for the plot alone.
"""

import json
import sys

SERIES = {  # benchmark name -> what the table calls it
    "ours/fp32_chain_fp32": "ours, fp32 rows",
    "ours/fp32_chain_bf16": "ours, bf16 rows",
    "packed/fp32_chain_bf16": "ours, bf16 packed",
    "openblas": "OpenBLAS, fp32",
    "onednn": "oneDNN, fp32",
    "eigen": "Eigen, fp32",
    "packed/exact_bf16": "exact, bf16 packed",
    "packed/hopper_bf16": "tensor_core:hopper, bf16 packed",
}


def medians(path):
    with open(path, encoding="utf-8") as file:
        runs = json.load(file)["benchmarks"]
    found = {run["run_name"]: run for run in runs if run.get("aggregate_name", "median") == "median"}
    if "fma_peak" not in found or "read_bandwidth" not in found:
        sys.exit(f"{path}: no medians of fma_peak and read_bandwidth: run the whole benchmark with --benchmark_repetitions")
    return found


def rates(found, name):
    """shape (tokens, rows, columns) -> floating-point operations a second."""
    return {tuple(map(int, run[len(name) + 1:].split("/")[:3])): values["FLOP/s"]
            for run, values in found.items() if run.startswith(name + "/") and "FLOP/s" in values}


def table(found):
    peak, bandwidth = found["fma_peak"]["FLOP/s"], found["read_bandwidth"]["bytes/s"]
    print(f"FMA peak {peak / 1e9:.0f} GFLOP/s, read bandwidth {bandwidth / 1e9:.1f} GB/s; GFLOP/s, in brackets the share of the peak.\n")
    print("| tokens x rows x columns | " + " | ".join(SERIES.values()) + " |")
    print("|---" * (len(SERIES) + 1) + "|")
    all_rates = {name: rates(found, name) for name in SERIES}
    for shape in sorted(set().union(*all_rates.values()), reverse=True):
        cells = [all_rates[name].get(shape) for name in SERIES]
        print(f"| {' x '.join(map(str, shape))} | "
              + " | ".join(f"{rate / 1e9:.1f} ({rate / peak:.2f})" if rate else "-" for rate in cells) + " |")
    print()
    packed = all_rates["packed/fp32_chain_bf16"]
    for shape in sorted(packed, reverse=True):
        if shape[0] <= 16:
            bytes_a_second = packed[shape] / shape[0]  # two operations and two bytes a weight and token
            print(f"- {' x '.join(map(str, shape))}, bf16 packed: {bytes_a_second / 1e9:.1f} GB/s of weights, {bytes_a_second / bandwidth:.2f} of the bandwidth")


def plot(found, path):
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    peak = found["fma_peak"]["FLOP/s"]
    names = [name for name in SERIES if not name.startswith(("packed/exact", "packed/hopper"))]
    shapes = sorted(set().union(*(rates(found, name) for name in names)), reverse=True)
    figure, axes = plt.subplots(figsize=(10, 4.5))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        here = rates(found, name)
        axes.bar([x + i * width for x in range(len(shapes))], [here.get(shape, 0) / peak for shape in shapes], width, label=SERIES[name])
    axes.set_xticks([x + 0.4 for x in range(len(shapes))], ["x".join(map(str, shape)) for shape in shapes], rotation=20)
    axes.set_ylabel("share of the FMA peak")
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: plot_performance.py BENCH.json [PLOT.svg]")
    found = medians(sys.argv[1])
    table(found)
    if len(sys.argv) == 3:
        plot(found, sys.argv[2])


if __name__ == "__main__":
    main()
