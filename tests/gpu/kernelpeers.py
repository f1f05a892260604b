#!/usr/bin/env python3
"""Single kernels beside those of torch on the same device: cuBLAS, cuDNN, flash attention, and a copy of memory.

    kernelpeers.py KERNELS.jsonl [PEERS.jsonl]

KERNELS.jsonl is what bench_kernels printed: its shapes are what is measured here. PEERS.jsonl gets a line for each measurement. Prints a
table: time, TFLOP/s or GB/s, and what share of the peer's speed that is, or of the copy's bandwidth, with the goal where it is missed. A
peer that fails says so, and the rest goes on. A product of two terms has as peer one over the sum of their depths; peers give bf16 where
ours is f32.
"""
import json
import re
import statistics
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

RUNS, SECONDS, WARM = 5, 0.01, 3
PRODUCTS = ("matmul", "matmul2", "linear", "linear_back", "dropout_matmul")
GOALS = {"cublas": 90, "cudnn": 60, "copy": 85}  # percent
INTENSE = 150  # FLOPs a byte from which memory is not what a product waits for
CACHE = 64 << 20  # bytes that may come from a device's cache: they say nothing of its memory
BACKENDS = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}


def numbers(*shape, grad=False):
    return (torch.rand(shape, device="cuda", dtype=torch.bfloat16) * 2 - 1).requires_grad_(grad)


def seconds(call, n):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(n):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1e-3 / n


def measure(call):
    """Seconds of a call: of runs of calls without waiting, the median."""
    for _ in range(WARM):
        call()
    n = int(SECONDS / seconds(call, 1)) + 1
    return statistics.median(seconds(call, n) for _ in range(RUNS))


def parse(shape):
    dims = {m[1]: int(m[2]) for m in re.finditer(r"\b([a-z])(\d+)\b", shape)}
    return dims, {w for w in shape.split() if not re.fullmatch(r"[a-z]\d+", w)}


def matrix(rows, cols, transposed):
    return numbers(cols, rows).t() if transposed else numbers(rows, cols)


def product(kernel, dims, words):
    tb = "tb" in words or kernel in ("linear", "dropout_matmul")
    depth = dims["k"] + dims.get("r", 0)
    a, b = matrix(dims["m"], depth, "ta" in words or kernel == "linear_back"), matrix(depth, dims["n"], tb)
    out = torch.empty(dims["m"], dims["n"], device="cuda", dtype=torch.bfloat16)
    return measure(lambda: torch.mm(a, b, out=out))


def groups(dims, words):
    """Experts that have as many rows each."""
    e, r = dims["e"], dims["r"]
    ends = torch.tensor([r * (x + 1) // e for x in range(e)], device="cuda", dtype=torch.int32)
    if "ta" in words:
        a, b = numbers(r, dims["m"]).t(), numbers(r, dims["n"])
    else:
        b = numbers(e, dims["n"], dims["k"]).transpose(1, 2) if "tb" in words else numbers(e, dims["k"], dims["n"])
        a = numbers(r, dims["k"])
    return measure(lambda: torch._grouped_mm(a, b, offs=ends))


def attend(backend, dims, back, shared):
    """shared: query heads read heads of k and v that are stored once; else k and v are repeated beforehand."""
    n, length, kv = dims["t"] // dims["l"], dims["l"], dims["g"] if shared else dims["h"]
    q, k, v = (numbers(n, length, heads, width, grad=back).transpose(1, 2)
               for heads, width in ((dims["h"], dims["q"]), (kv, dims["q"]), (kv, dims["v"])))

    def forward():
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=kv != dims["h"])
    with sdpa_kernel(backend):
        if not back:
            return measure(forward)
        o = forward()
        do = torch.randn_like(o)
        return measure(lambda: torch.autograd.grad(o, (q, k, v), do, retain_graph=True))


def attend_somehow(backend, dims, back):
    try:
        return attend(backend, dims, back, True)
    except RuntimeError:
        return attend(backend, dims, back, False)


def peers(kernel, shape):
    """(name, seconds or why not) of each peer."""
    dims, words = parse(shape)
    if kernel in PRODUCTS:
        todo = [("cublas", lambda: product(kernel, dims, words))]
    elif kernel == "matmul_groups":
        todo = [("grouped", lambda: groups(dims, words))]
    elif kernel in ("attention", "attention_back"):
        todo = [(name, lambda b=b: attend_somehow(b, dims, kernel == "attention_back")) for name, b in BACKENDS.items()]
    else:
        todo = []
    for name, call in todo:
        try:
            yield name, call()
        except Exception as e:  # whatever a library throws: the others go on
            yield name, (str(e).splitlines() or [type(e).__name__])[0]


def copy_bandwidth():
    """Bytes a second, read and written, of a copy of 1 GiB."""
    a, b = torch.empty(1 << 29, device="cuda", dtype=torch.bfloat16), numbers(1 << 29)
    return 2 * a.nbytes / measure(lambda: a.copy_(b))


def share(name, percent):
    short = f" (goal: {GOALS[name]})" if percent < GOALS.get(name, 0) else ""
    return f"{percent:.0f} % of {name}{short}"


def row(ours, bandwidth, out):
    """Measures the peers of one line, and prints it with them."""
    speed = f"{ours['tflops']:.0f} TFLOP/s" if ours["tflops"] else f"{ours['gbs']:.0f} GB/s"
    shares = []
    for name, took in peers(ours["kernel"], ours["shape"]):
        line = {"kernel": ours["kernel"], "shape": ours["shape"], "peer": name}
        line.update({"failed": took} if isinstance(took, str) else {"us": round(took * 1e6, 2)})
        print(json.dumps(line), file=out)
        shares.append(f"{name}: {took}" if isinstance(took, str) else share(name, took * 1e8 / ours["us"]))
    if ours["gbs"] * ours["us"] * 1e3 > CACHE and ours["tflops"] * 1e3 < INTENSE * ours["gbs"]:
        shares.append(share("copy", ours["gbs"] * 1e11 / bandwidth))
    print(f"{ours['kernel']:15} {ours['shape']:36} {ours['us']:10.1f} us {speed:>15}  {', '.join(shares)}", flush=True)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        lines = [json.loads(line) for line in f if line.startswith("{")]
    with open(sys.argv[2] if len(sys.argv) > 2 else "/dev/null", "w", encoding="utf-8") as out:
        bandwidth = copy_bandwidth()
        print(json.dumps({"kernel": "copy", "shape": "1 GiB", "peer": "torch", "gbs": round(bandwidth * 1e-9, 1)}), file=out)
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: a copy moves {bandwidth * 1e-9:.0f} GB/s")
        for ours in lines:
            if "kernel" in ours:
                row(ours, bandwidth, out)


main()
