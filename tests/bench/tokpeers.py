#!/usr/bin/env python3
"""Tokenizers in one run: this one and the peers that are installed (python modules tokenizers, tiktoken, gigatoken).

    tokpeers.py TOKTIME TOKENIZER.json TEXT... [--threads N] [--peers a,b] [--mb N] [--passes N]

TOKTIME is the program made of tests/bench/bench_tok.c. Every text is cut into documents of about 64 KiB, the same for all.
Cold: the first pass of a new tokenizer; warm: the best of the --passes after it (caches grow for some). Hugging Face and tiktoken keep no caches that
matter, and take the first --mb megabytes only. tiktoken gets the merges of the file and its patterns as one alternation,
which is as much work, though not always the same ids. With one thread times are the processor's, so that what else runs counts
less; how well several threads scale is told by processor time too.
"""
import argparse
import json
import os
import subprocess
import time

ap = argparse.ArgumentParser()
ap.add_argument("toktime")
ap.add_argument("tokenizer")
ap.add_argument("texts", nargs="+")
ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--peers", default="tokenizers,tiktoken,gigatoken")
ap.add_argument("--mb", type=float, default=6)
ap.add_argument("--passes", type=int, default=6)
a = ap.parse_args()
os.environ["RAYON_NUM_THREADS"] = str(a.threads)
os.environ["TOKENIZERS_PARALLELISM"] = "true" if a.threads > 1 else "false"
clock = time.process_time if a.threads == 1 else time.perf_counter
DOC = 64 << 10


def documents(data):
    out, at = [], 0
    while at < len(data):
        nl = data.find(b"\n", at + DOC)
        end = nl + 1 if nl >= 0 else len(data)
        out.append(data[at:end])
        at = end
    return out


def few(docs, mb):
    n, out = 0, []
    for d in docs:
        if n >= mb * 1e6:
            break
        out.append(d)
        n += len(d)
    return out


def timed(docs, fn, passes):
    rates = []
    for _ in range(passes):
        t = clock()
        fn()
        rates.append(sum(map(len, docs)) / 1e6 / (clock() - t))
    return rates[0], max(rates[1:] or rates)


def hugging_face(path, docs):
    from tokenizers import Tokenizer
    tok = Tokenizer.from_file(path)
    docs = few(docs, a.mb)
    texts = [d.decode() for d in docs]
    return timed(docs, lambda: tok.encode_batch_fast(texts), 2)


def byte_alphabet():
    keep = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in keep]
    return {**{chr(b): b for b in keep}, **{chr(0x100 + i): b for i, b in enumerate(rest)}}


def tiktoken(path, docs):
    import tiktoken as tk
    spec = json.load(open(path, encoding="utf-8"))
    back = byte_alphabet()
    to_bytes = lambda s: bytes(back[c] for c in s)
    ranks = {bytes([b]): i for i, b in enumerate(range(256))}
    for m in spec["model"]["merges"]:
        x, y = m.split(" ") if isinstance(m, str) else m
        ranks.setdefault(to_bytes(x) + to_bytes(y), len(ranks))
    pats = [p["pattern"]["Regex"] for p in spec["pre_tokenizer"]["pretokenizers"] if p["type"] == "Split"]
    enc = tk.Encoding("x", pat_str="|".join(pats), mergeable_ranks=ranks, special_tokens={})
    docs = few(docs, a.mb * 3)
    texts = [d.decode() for d in docs]
    if a.threads > 1:
        return timed(docs, lambda: enc.encode_ordinary_batch(texts, num_threads=a.threads), 2)
    return timed(docs, lambda: [enc.encode_ordinary(t) for t in texts], 2)


def gigatoken(path, docs):
    import gigatoken as gt
    tok = gt.Tokenizer.from_json(open(path, "rb").read())
    return timed(docs, lambda: tok.encode_batch(docs, parallel=a.threads > 1), 1 + a.passes)


def ours(path, text, threads):
    out = subprocess.run([a.toktime, path, text, str(threads), str(1 + a.passes)], stdout=subprocess.PIPE, check=True).stdout.split()
    rates = {"wall": (float(out[4]), float(out[7])), "cpu": (float(out[5]), float(out[8]))}
    return rates, (float(out[1]) * 1e3, float(out[2]) * 1e3)


PEERS = {"tokenizers": hugging_face, "tiktoken": tiktoken, "gigatoken": gigatoken}
for text in a.texts:
    if os.path.getsize(text) == 0:
        print("%-10s no text of this kind" % os.path.basename(text))
        continue
    rates, load = ours(a.tokenizer, text, a.threads)
    cold, warm = rates["wall" if a.threads > 1 else "cpu"]
    name = os.path.basename(text)
    print("%-10s dstok       %8.1f cold %8.1f warm MB/s, load %.1f ms (%.1f of the processor)" %
          (name, cold, warm, *load), flush=True)
    if a.threads > 1:
        one = ours(a.tokenizer, text, 1)[0]["cpu"]
        print("%-10s dstok       %d threads: %.2f cold, %.2f warm of as many times one thread, by processor time" % (
            name, a.threads, *(rates["cpu"][i] / one[i] / a.threads for i in (0, 1))), flush=True)
    data = documents(open(text, "rb").read())
    for peer in a.peers.split(","):
        try:
            c, w = PEERS[peer](a.tokenizer, data)
        except ImportError:
            print("%-10s %-11s not installed" % (name, peer))
            continue
        print("%-10s %-11s %8.1f cold %8.1f warm MB/s: dstok %.1f x cold, %.1f x warm" % (name, peer, c, w, cold / c,
              warm / w), flush=True)
