"""The GPU's side of check_kernels.py: GEMM loops in Triton, and the linears that PyTorch hands to cuBLAS.

All of them compute x [T, K] * w [N, K] transposed, as a linear layer does."""
import os

import torch
import triton
import triton.language as tl
from torch.autograd import DeviceType

# Triton's interpreter computes on the CPU, with NumPy's sums: enough to see that indices are right, on integers.
DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"


@triton.jit(do_not_specialize=["tokens"])
def gemm_loop(x, w, y, tokens, columns, depth, BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
              ADD_AFTERWARDS: tl.constexpr):
    t = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    k = tl.arange(0, BLOCK_K)
    x_rows = x + t[:, None] * depth
    w_rows = w + n[None, :] * depth
    acc = tl.zeros((BLOCK_T, BLOCK_N), dtype=tl.float32)
    for start in range(0, depth, BLOCK_K):
        at = start + k
        a = tl.load(x_rows + at[None, :], mask=(t[:, None] < tokens) & (at[None, :] < depth), other=0.0)
        b = tl.load(w_rows + at[:, None], mask=(n[None, :] < columns) & (at[:, None] < depth), other=0.0)
        if ADD_AFTERWARDS:
            acc += tl.dot(a, b)
        else:
            acc = tl.dot(a, b, acc)
    tl.store(y + t[:, None] * columns + n[None, :], acc, mask=(t[:, None] < tokens) & (n[None, :] < columns))


# (tokens, columns, k) of a tile, and whether the source adds the dot or hands the accumulator to it. 16 rows are too few for wgmma.
LOOPS_16_BIT = [(16, 64, 16, False), (16, 64, 64, False), (16, 64, 256, False), (64, 64, 32, False), (64, 64, 128, False),
                (128, 128, 64, False), (64, 64, 64, True)]
LOOPS_FP8 = [(64, 64, 32, False), (64, 64, 64, False), (64, 64, 128, False), (128, 64, 64, False)]


def run_loop(loop, x, w):
    """(results fp32 [T, N], name of the kernel with the instruction that was really used)"""
    block_t, block_n, block_k, add = loop
    y = torch.empty(len(x), len(w), dtype=torch.float32, device=x.device)
    grid = (triton.cdiv(len(x), block_t), triton.cdiv(len(w), block_n))
    compiled = gemm_loop[grid](x, w, y, len(x), len(w), x.shape[1], BLOCK_T=block_t, BLOCK_N=block_n, BLOCK_K=block_k,
                               ADD_AFTERWARDS=add, num_warps=8 if block_t == 128 else 4)
    ptx = compiled.asm["ptx"] if hasattr(compiled, "asm") else ""
    instruction = "wgmma" if "wgmma.mma_async" in ptx else "mma.sync" if "mma.sync" in ptx else "no matrix unit"
    return y, f"Triton {block_t}x{block_n}x{block_k}{' acc += dot' if add else ''} ({instruction})"


def linear(x, w):
    return torch.nn.functional.linear(x, w)


def linear_fp32(x, w):
    """The same product with the accumulator handed out unrounded."""
    return torch.mm(x, w.t(), out_dtype=torch.float32)


def scaled_mm(x, w, one, fast):
    """fp8 operands; `one` is the scale of both, so that the result is the accumulator."""
    return torch._scaled_mm(x, w.t(), one, one, out_dtype=torch.float32, use_fast_accum=fast)


def profiled(calls):
    """Runs every call; [(result or the exception, names of its kernels)].

    One profile for all, since starting one takes longer than the kernels: a sine between the calls marks where one ends."""
    marker = torch.zeros(1, device=DEVICE)
    results = []
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for call in calls:
            torch.sin(marker)
            try:
                results.append(call())
            except Exception as error:  # a shape or type that the library refuses is a row of the table, not an end
                results.append(error)
        torch.cuda.synchronize()
    try:
        names = kernel_names(profile, len(calls))
    except Exception as error:  # names are information; the comparison does not hang on them
        print(f"no kernel names: {error}", flush=True)
        names = [[] for _ in calls]
    return list(zip(results, names))


def kernel_names(profile, calls):
    """For each marked stretch the names of its kernels, or empty lists if the profiler did not see every mark."""
    kernels = sorted((e for e in profile.events() if e.device_type == DeviceType.CUDA), key=lambda e: e.time_range.start)
    stretches = []
    for kernel in kernels:
        if "sin" in kernel.name and "elementwise" in kernel.name:
            stretches.append([])
        elif stretches and not kernel.name.startswith(("Mem", "Activity")) and "elementwise" not in kernel.name:
            stretches[-1].append(kernel.name)
    return stretches if len(stretches) == calls else [[] for _ in range(calls)]
