#!/usr/bin/env python3
"""`dstok train` against Hugging Face's BpeTrainer: seconds, peak memory, and whether vocabulary and merges are the same.

    toktrain.py DSTOK TEXT... [--mb N] [--vocab-size N] [--threads N]

Of each text the first N megabytes, cut into files of about 64 KiB at line ends, the same for both; each trains in a process of its own.
Needs the python module tokenizers, else exit 77. Times are the processor's, those that pass behind them.
"""
import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time

PEER = r"""
import json, os, sys
from tokenizers import Tokenizer, models, trainers, pre_tokenizers
ours, out, folder, size = sys.argv[1:5]
like = Tokenizer.from_file(ours)
t = Tokenizer(models.BPE())
t.pre_tokenizer = like.pre_tokenizer
special = [a["content"] for a in json.load(open(ours, encoding="utf-8"))["added_tokens"]]
def texts():
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8", newline="") as f:
            yield f.read()
t.train_from_iterator(texts(), trainers.BpeTrainer(vocab_size=int(size), min_frequency=2, special_tokens=special, show_progress=False,
                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
t.save(out)
"""

SAME = r"""
import json, sys
def model(path):
    m = json.load(open(path, encoding="utf-8"))["model"]
    return m["vocab"], [x if isinstance(x, list) else x.split(" ") for x in m["merges"]]
print(model(sys.argv[1]) == model(sys.argv[2]))
"""


def cut(path, mb, folder):
    """Never much of it in memory: a process that is started has its parent's peak."""
    total = n = 0
    with open(path, "rb") as f:
        while total < mb * 1e6:
            part = f.read(64 << 10) + f.readline()
            if not part:
                break
            with open(os.path.join(folder, "%06d.txt" % n), "wb") as out:
                out.write(part)
            total, n = total + len(part), n + 1
    return total


def timed(*args, env=None):
    t = time.monotonic()
    p = subprocess.Popen(args, env=env)
    _, status, use = os.wait4(p.pid, 0)
    if status != 0:
        raise SystemExit("%s: failed" % args[0])
    return use.ru_utime + use.ru_stime, time.monotonic() - t, use.ru_maxrss / 1024


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("dstok")
    ap.add_argument("texts", nargs="+")
    ap.add_argument("--mb", type=float, default=64)
    ap.add_argument("--vocab-size", type=int, default=32000)
    ap.add_argument("--threads", type=int, default=os.cpu_count())
    a = ap.parse_args()
    if importlib.util.find_spec("tokenizers") is None:
        print("training a tokenizer: no python module tokenizers")
        return 77
    env = dict(os.environ, RAYON_NUM_THREADS=str(a.threads), TOKENIZERS_PARALLELISM="true" if a.threads > 1 else "false")
    bad = 0
    for text in a.texts:
        with tempfile.TemporaryDirectory() as w:
            folder, ours, theirs = (os.path.join(w, x) for x in ("texts", "ours.json", "theirs.json"))
            os.mkdir(folder)
            size = cut(text, a.mb, folder)
            cpu, wall, mem = timed(a.dstok, "train", "-q", "-j", str(a.threads), "--vocab-size", str(a.vocab_size), "-o", ours, folder)
            pcpu, pwall, pmem = timed(sys.executable, "-c", PEER, ours, theirs, folder, str(a.vocab_size), env=env)
            same = subprocess.run([sys.executable, "-c", SAME, ours, theirs], check=True, stdout=subprocess.PIPE).stdout == b"True\n"
            bad += not same
            print("%-10s training %d tokens on %.1f MB: dstok %.1f s (%.1f), %.0f MB; tokenizers %.1f s (%.1f), %.0f MB: %.1f x (%.1f), "
                  "%.2f of the memory, %s" % (os.path.basename(text), a.vocab_size, size / 1e6, cpu, wall, mem, pcpu, pwall, pmem, pcpu / cpu,
                                              pwall / wall, mem / pmem, "the same tokens and merges" if same else "DIFFERENT"), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
