#!/usr/bin/env python3
"""dstok against the reference implementation over much text; exit 77 without the python module `tokenizers`.

    tok_bulk.py [--dstok PATH] [--mb N] [--seed N] -t TOKENIZER.json [TEXT...]

The files' bytes (JSON lines give their "text") are mixed with made text in the ratio five to one: words of many scripts,
emoji, marks, all code points in random order, random valid UTF-8, and runs of one thing. Documents of about 128 KiB; the
ids of each must be the same. Prints what was compared, and up to ten differences.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

try:
    from tokenizers import Tokenizer
except ImportError:
    print("tok_bulk: skipped: no python module `tokenizers`")
    sys.exit(77)

DOC = 128 << 10
SCRIPTS = [(0x4E00, 0x9FA5, 6), (0x3040, 0x30FF, 4), (0xAC00, 0xD7A3, 4), (0x0600, 0x06FF, 5), (0x0E00, 0x0E5B, 8),
           (0x0400, 0x04FF, 7), (0x0370, 0x03FF, 7), (0x0590, 0x05FF, 6), (0x0900, 0x097F, 6), (0x1F300, 0x1FAFF, 3),
           (0x0041, 0x007A, 8), (0x0030, 0x0039, 9), (0x00C0, 0x024F, 6), (0x0300, 0x036F, 2), (0x2000, 0x206F, 2),
           (0x1100, 0x11FF, 3), (0xFF00, 0xFFEF, 4), (0x20000, 0x2A6DF, 3), (0x3000, 0x303F, 2), (0x0021, 0x002F, 3)]
BETWEEN = [" "] * 12 + ["", "  ", "\n", "\n\n", "\r\n", "\t", "\u3000", "\u00a0", ", ", ". ", "\uff0c", "\u3002", "'s ", "'LL", "-", "_",
                         "/", "(", ") ", "\"", "\u201c", "\u201d", "1", "42", "2024", "   \n   ", " \n", "!\n\n", "\u200d", "<", ">"]


def words(rng, size):
    out, n = [], 0
    while n < size:
        lo, hi, most = rng.choice(SCRIPTS)
        w = "".join(chr(rng.randint(lo, hi)) for _ in range(rng.randint(1, most))) + rng.choice(BETWEEN)
        out.append(w)
        n += len(w.encode("utf-8", "surrogatepass"))
    return "".join(out)


def anything(rng, size):
    return "".join(chr(rng.choice((rng.randrange(0x80), rng.randrange(0x800), rng.randrange(0xD800),
                                   rng.randrange(0xE000, 0x110000)))) for _ in range(size // 3))


def runs(rng, size):
    out, n = [], 0
    while n < size:
        lo, hi, _ = rng.choice(SCRIPTS)
        unit = rng.choice([chr(rng.randint(lo, hi)), rng.choice(BETWEEN) or "a", "ab", "\u4e2d\u6587", "a\u0301", "0", "\n", " "])
        w = unit * rng.choice((3, 15, 16, 17, 63, 64, 65, 200, 1000))
        out.append(w)
        n += len(w.encode())
    return "".join(out)


def made(rng):
    points = []
    while True:
        if len(points) < 30000:
            points = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
            rng.shuffle(points)
        k = rng.randrange(8)
        if k < 4:
            yield words(rng, DOC)
        elif k == 4:
            yield anything(rng, DOC)
        elif k == 5:
            yield runs(rng, DOC)
        else:
            cut = points[-30000:]
            del points[-30000:]
            yield "".join(map(chr, cut))


def pieces(path):
    if path.endswith(".jsonl"):
        part = []
        n = 0
        with open(path, encoding="utf-8") as f:
            for line in f:
                text = json.loads(line).get("text", "").encode("utf-8", "replace").decode("utf-8")
                part.append(text)
                n += len(text)
                if n > DOC:
                    yield "\n".join(part)
                    part, n = [], 0
        yield "\n".join(part)
        return
    with open(path, "rb") as f:
        left = b""
        while True:
            data = f.read(DOC)
            if not data:
                break
            text = left + data
            keep = 0
            while keep < 4:
                try:
                    yield text[:len(text) - keep].decode()
                    left = text[len(text) - keep:] if keep else b""
                    break
                except UnicodeDecodeError:
                    keep += 1
            else:
                return


def mixed(rng, files):
    more = made(rng)
    while True:
        n = 0
        for path in files:
            for text in pieces(path):
                yield text
                n += 1
                if n % 5 == 0:
                    yield next(more)
        if not files:
            yield next(more)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--dstok", default=os.path.join(os.path.dirname(__file__), "../../build/release/bin/dstok"))
    ap.add_argument("--mb", type=float, default=64)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("-t", "--tokenizer", required=True)
    ap.add_argument("files", nargs="*")
    a = ap.parse_args()
    rng = random.Random(a.seed)
    ref = Tokenizer.from_file(a.tokenizer)
    done = bad = ids = docs = 0
    t0 = time.time()
    source = mixed(rng, a.files)
    with tempfile.TemporaryDirectory() as w:
        while done < a.mb * 1e6 and bad < 10:
            texts = [next(source) for _ in range(32)]
            names = [os.path.join(w, "%02d" % i) for i in range(len(texts))]
            for name, text in zip(names, texts):
                with open(name, "wb") as f:
                    done += f.write(text.encode())
            got = subprocess.run([a.dstok, "encode", "-t", a.tokenizer, *names], stdout=subprocess.PIPE, check=True)
            got = [list(map(int, line.split())) for line in got.stdout.decode().split("\n")[:-1]]
            want = [e.ids for e in ref.encode_batch_fast(texts)]
            assert len(got) == len(want)
            ids += sum(map(len, want))
            docs += len(texts)
            for text, x, y in zip(texts, want, got):
                if x != y:
                    bad += 1
                    k = next((k for k in range(min(len(x), len(y))) if x[k] != y[k]), min(len(x), len(y)))
                    print("differs at id %d: want %s, got %s, around %r" % (
                        k, x[k:k + 8], y[k:k + 8], ref.decode(x[max(0, k - 8):k + 8])), flush=True)
    print("%s: %d documents, %d bytes, %d ids, %d documents differ, %.0f s" % (
        a.tokenizer, docs, done, ids, bad, time.time() - t0))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
