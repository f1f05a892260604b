#!/usr/bin/env python3
"""dstrain against transformers + peft: tokens a second and peak memory, the same model, batch and precision, in one run.

    train.py BASE DATA.dsr [--batch 4] [--seq-len 512] [--steps 4] [--threads 2] [--device cpu|cuda]

BASE is a Hugging Face folder that dstrain init made, DATA.dsr a stream with tokens. Needs torch, transformers and peft; DS_BIN_DIR says
where dstrain is. Each side trains in a process of its own; the first step is left out. Memory is the process's, on a GPU the device's.
In bf16 there are two peers: one whose weights and moments are bf16 too, and for full fine-tuning one that keeps them in f32 as dstrain does
and computes in bf16 (autocast). On a GPU only bf16 is, and adapters beside a compiled model too; f16 stands alone there. A peer that fails or is not there
says so, and the rest goes on.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

PEER = r"""
import json, resource, sys, time
import torch
from transformers import AutoModelForCausalLM
base, method, batch, seq, steps, threads, dtype, device = sys.argv[1:9]
batch, seq, steps = int(batch), int(seq), int(steps)
torch.set_num_threads(int(threads))
mixed, compiled = dtype == "mixed", dtype == "compiled"
dtype = "bfloat16" if compiled else dtype
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32 if mixed else getattr(torch, dtype)).to(device)
wait = torch.cuda.synchronize if device == "cuda" else lambda: None
if method == "lora":
    from peft import LoraConfig, get_peft_model
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
model.train()
run = torch.compile(model) if compiled else model
opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
torch.manual_seed(1)
times = []
for _ in range(steps + 1):
    ids = torch.randint(0, model.config.vocab_size, (batch, seq)).to(device)
    wait()
    t = time.time()
    with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
        loss = run(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    opt.zero_grad(set_to_none=True)
    wait()
    times.append(time.time() - t)
peak = torch.cuda.max_memory_reserved() if device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"rate": batch * seq / min(times[1:]), "peak": peak}))
"""


def wait_for_step(child, metrics):
    """When the first step was done, or the child."""
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        try:
            with open(metrics) as f:
                if '"type":"step"' in f.read():
                    break
        except FileNotFoundError:
            pass
        time.sleep(0.01)
    return time.time()


def ours(binary, a, method, dtype, out, *more):
    run = os.path.join(out, "".join((method, dtype) + more))
    begun = time.time()
    child = subprocess.Popen([binary, "finetune", "--model", a.base, "--data", a.data, "--method", method, "--batch", str(a.batch),
                              "--seq-len", str(a.seq_len), "--steps", str(a.steps + 1), "--dtype", dtype, "--device", a.device,
                              "-j", str(a.threads), "-q", "-o", run, *more], stdout=subprocess.DEVNULL)
    first = wait_for_step(child, run + "/metrics.jsonl") - begun
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, "dstrain finetune --method " + method)
    with open(run + "/metrics.jsonl") as f:
        lines = [json.loads(line) for line in f]
    steps = [x for x in lines if x["type"] == "step"][1:]
    seconds = [x["seconds"] for x in steps]
    parts = {k: sum(x[k] for x in steps) / sum(seconds) for k in ("waited", "compute", "optimizer", "ledger")}
    peak = used.ru_maxrss * 1024
    for x in lines:
        if x["type"] == "device":
            peak = x["peak_bytes"]
    return a.batch * a.seq_len / min(seconds), peak, parts, first


def peer(a, method, dtype):
    """What it measured, or why it did not."""
    try:
        p = subprocess.run([sys.executable, "-c", PEER, a.base, method, str(a.batch), str(a.seq_len), str(a.steps), str(a.threads), dtype,
                            a.device],
                           capture_output=True, text=True, timeout=a.peer_time or None)
    except subprocess.TimeoutExpired:
        return None, "not done after %d seconds" % a.peer_time
    if p.returncode:
        return None, (p.stderr.strip().splitlines() or ["it failed"])[-1]
    return json.loads(p.stdout.splitlines()[-1]), None


def peers_of(device, method, dtype):
    if dtype == "f32":
        return ["float32"]
    if dtype == "f16":
        return []
    if method == "full":
        return ["bfloat16", "mixed"]
    return ["bfloat16", "compiled"] if device == "cuda" else ["bfloat16"]


def compare(a, binary, method, dtype, out):
    rate, peak, parts, first = ours(binary, a, method, dtype, out)
    print("%-5s %-5s tokens/s %8.0f   peak memory %6.0f MB   first step done after %.1f s" % (
        method, dtype, rate, peak / 1e6, first), flush=True)
    print("            of a step: forward and back %.1f %%, optimizer %.1f, waiting for data %.2f, ledger %.3f" % (
        100 * parts["compute"], 100 * parts["optimizer"], 100 * parts["waited"], 100 * parts["ledger"]), flush=True)
    if a.device == "cuda" and not a.quick:
        apart = ours(binary, a, method, dtype, out, "--graphs", "off")[0]
        print("            without graphs %8.0f: %.2f x" % (apart, rate / apart), flush=True)
    for name in peers_of(a.device, method, dtype) if a.peers is None else a.peers.split(",") if a.peers else []:
        theirs, why = peer(a, method, name)
        if why:
            print("            %-8s: %s" % (name, why), flush=True)
        else:
            print("            %-8s  %8.0f: %.2f x   peak memory %6.0f MB: %3.0f %%" % (
                name, theirs["rate"], rate / theirs["rate"], theirs["peak"] / 1e6, 100 * peak / theirs["peak"]), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("base")
    p.add_argument("data")
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--seq-len", type=int, default=512)
    p.add_argument("--steps", type=int, default=4)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    p.add_argument("--peer-time", type=int, default=0, help="seconds for one peer; 0: as many as it takes")
    p.add_argument("--quick", action="store_true", help="adapters in bf16 alone, with graphs")
    p.add_argument("--peers", help="which peers, by commas: bfloat16, compiled, mixed; nothing: none")
    a = p.parse_args()
    failed = False
    binary = os.path.join(os.environ.get("DS_BIN_DIR", "build/release/bin"), "dstrain")
    with tempfile.TemporaryDirectory() as out:
        for method in ("lora",) if a.quick else ("lora", "full"):
            for dtype in ("bf16",) if a.quick else ("bf16", "f16") if a.device == "cuda" else ("f32", "bf16"):
                try:
                    compare(a, binary, method, dtype, out)
                except subprocess.CalledProcessError as e:
                    failed = True
                    print("%-5s %-5s dstrain failed: %s" % (method, dtype, e), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
