#!/usr/bin/env python3
"""dstrain against transformers + peft: tokens a second and peak memory, the same model, batch and precision, in one run.

    train.py BASE DATA.dsr [--batch 4] [--seq-len 512] [--steps 4] [--threads 2] [--device cpu|cuda]

BASE is a Hugging Face folder that dstrain init made, DATA.dsr a stream with tokens. Needs torch, transformers and peft; DS_BIN_DIR says
where dstrain is. Each side trains in a process of its own; the first step is left out. On a GPU its memory is not compared.
In bf16 there are two peers: one whose weights and moments are bf16 too, and for full fine-tuning one that keeps them in f32 as dstrain does
and computes in bf16 (autocast).
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

PEER = r"""
import json, resource, sys, time
import torch
from transformers import AutoModelForCausalLM
base, method, batch, seq, steps, threads, dtype, device = sys.argv[1:9]
batch, seq, steps = int(batch), int(seq), int(steps)
torch.set_num_threads(int(threads))
mixed = dtype == "mixed"
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32 if mixed else getattr(torch, dtype)).to(device)
wait = torch.cuda.synchronize if device == "cuda" else lambda: None
if method == "lora":
    from peft import LoraConfig, get_peft_model
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
model.train()
opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
torch.manual_seed(1)
times = []
for _ in range(steps + 1):
    ids = torch.randint(0, model.config.vocab_size, (batch, seq)).to(device)
    wait()
    t = time.time()
    with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    opt.zero_grad(set_to_none=True)
    wait()
    times.append(time.time() - t)
print(json.dumps({"rate": batch * seq / min(times[1:]), "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


def ours(binary, a, method, dtype, out):
    run = os.path.join(out, method + dtype)
    subprocess.run(["/usr/bin/env", "time", "-v", "-o", run + ".time", binary, "finetune", "--model", a.base, "--data", a.data,
                    "--method", method, "--batch", str(a.batch), "--seq-len", str(a.seq_len), "--steps", str(a.steps + 1), "--rank", "16",
                    "--dtype", dtype, "--device", a.device, "-j", str(a.threads), "-q", "-o", run], check=True, stdout=subprocess.DEVNULL)
    with open(run + "/metrics.jsonl") as f:
        lines = [json.loads(line) for line in f]
    steps = [x for x in lines if x["type"] == "step"][1:]
    seconds = [x["seconds"] for x in steps]
    parts = {k: sum(x[k] for x in steps) / sum(seconds) for k in ("waited", "compute", "optimizer", "ledger")}
    with open(run + ".time") as f:
        peak = int(re.search(r"Maximum resident set size \(kbytes\): (\d+)", f.read()).group(1)) * 1024
    return a.batch * a.seq_len / min(seconds), peak, parts


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("base")
    p.add_argument("data")
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--seq-len", type=int, default=512)
    p.add_argument("--steps", type=int, default=4)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    a = p.parse_args()
    binary = os.path.join(os.environ.get("DS_BIN_DIR", "build/release/bin"), "dstrain")
    with tempfile.TemporaryDirectory() as out:
        for method in ("full", "lora"):
            for dtype, peers in (("f32", ["float32"]), ("bf16", ["bfloat16", "mixed"] if method == "full" else ["bfloat16"])):
                rate, peak, parts = ours(binary, a, method, dtype, out)
                for theirs in peers:
                    peer = json.loads(subprocess.run(
                        [sys.executable, "-c", PEER, a.base, method, str(a.batch), str(a.seq_len), str(a.steps), str(a.threads), theirs,
                         a.device],
                        check=True, capture_output=True, text=True).stdout.splitlines()[-1])
                    memory = "" if a.device == "cuda" else "   peak memory %6.0f MB against %6.0f: %3.0f %%" % (
                        peak / 1e6, peer["peak"] / 1e6, 100 * peak / peer["peak"])
                    print("%-5s %-5s tokens/s %8.0f against %8.0f of %-8s: %.2f x%s" % (
                        method, dtype, rate, peer["rate"], theirs, rate / peer["rate"], memory), flush=True)
                print("            of a step: forward and back %.1f %%, optimizer %.1f, waiting for data %.2f, ledger %.3f" % (
                    100 * parts["compute"], 100 * parts["optimizer"], 100 * parts["waited"], 100 * parts["ledger"]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
