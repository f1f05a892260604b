#!/usr/bin/env python3
"""dstok against the reference implementation (python module `tokenizers`), exit 77 without it.

    tok_parity.py [--dstok PATH] [--rounds N] [--seed N] TOKENIZER.json...

Ids are compared over every code point alone and in the contexts that matter to the patterns, over random
texts made to hurt (white space, line ends, marks, digits, added tokens, contractions, CJK), and decoding
over random ids. Then all of it again with the same pipeline and a vocabulary that merges every pair of
bytes, which shows each boundary between pretokens.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    from tokenizers import Tokenizer
except ImportError:
    print("tok_parity: skipped: no python module `tokenizers`")
    sys.exit(77)

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
CPS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
BITS = ["a", "Z", " ", "  ", "\t", "\n", "\r", "\r\n", "\n\n", "'s", "'T", "'LL", "'re", "'\u017f", "1", "23",
        "4567", "\u0661", "\u2167", "\u00b2", "!", "...", "<", "|", "_", "\u00e9", "e\u0301", "\u0301",
        "\u0323\u0307", "\u4e2d", "\u6587\u5b57", "\u3042", "\u30ab\u3099", "\u30fb", "\u3002", "\u3000",
        "\uac00", "\u1100\u1161", "\u11a8", "\u00a0", "\u0085", "\u2028", "\u200d", "\u0000", "\u0001",
        "\U0001f999", "\U0001f469\u200d\U0001f680", "\u0e01\u0e33", "\u0915\u094d\u0937", "\u05d0\u05b8",
        "\u0627\u0651", "\u1f71", "\u212b", "\u0344", "\u0958", "\U000e0001", "\ue000", "\ufffd",
        "hello", " the", "world", "function", "\u180e", "\uff0c", "\uff11", "$", "\u20ac", "\u0378", "\u3040", "\u3098", "\u309b", "\u30a0", "\u3042\u30fb\u30a2"]


def text_of(rng, added, n):
    pool = BITS + added * 2
    return "".join(rng.choice(pool) if rng.random() < 0.93 else chr(rng.choice(CPS)) for _ in range(n))


def dstok_lines(dstok, path, texts, extra):
    """Ids of each text; texts with line ends go one by one."""
    out = [None] * len(texts)
    many = [i for i, t in enumerate(texts) if "\n" not in t]
    data = "".join(texts[i] + "\n" for i in many).encode()
    run = subprocess.run([dstok, "encode", "-t", path, "--lines", *extra, "-"], input=data, stdout=subprocess.PIPE)
    if run.returncode != 0:
        sys.exit("tok_parity: dstok failed on %s" % path)
    lines = run.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(many), (len(lines), len(many))
    for i, line in zip(many, lines):
        out[i] = [int(x) for x in line.split()]
    for i, t in enumerate(texts):
        if out[i] is None:
            run = subprocess.run([dstok, "encode", "-t", path, *extra, "-"], input=t.encode(), stdout=subprocess.PIPE)
            out[i] = [int(x) for x in run.stdout.decode().split()] if run.returncode == 0 else "failed"
    return out


def differ(name, texts, want, got):
    for t, w, g in zip(texts, want, got):
        if w != g:
            k = next((k for k in range(min(len(w), len(g))) if w[k] != g[k]), min(len(w), len(g)))
            print("%s: differs at id %d of %r: want %s, got %s" % (name, k, t[:300], w[k:k + 12], g[k:k + 12]))
            return True
    return False


def exhaustive(step):
    for head, tail in (("", ""), ("a", "b"), (" ", "a"), ("'", "x"), ("1", "2"), ("\u4e2d", "\u4e2d"), (".", "\r"),
                       ("  ", " "), ("e", "\u0301"), ("A\u030a", "\u1161"), ("\u3042", "\u30fb")):
        some = [c for c in CPS if c != 10 and c % step == 0]
        for i in range(0, len(some), 64):
            yield "\r".join(head + chr(c) + tail for c in some[i:i + 64])


def all_pairs(spec):
    """The same pipeline over a vocabulary of all bytes and all pairs of bytes, ranks shuffled."""
    keep = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = [chr(c) for c in keep] + [chr(0x100 + n) for n in range(68)]
    pairs = [(a, b) for a in alphabet for b in alphabet]
    random.Random(3).shuffle(pairs)
    vocab = {c: i for i, c in enumerate(alphabet)}
    for a, b in pairs:
        vocab[a + b] = len(vocab)
    j = dict(spec, added_tokens=[], post_processor=None)
    j["model"] = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None,
                      fuse_unk=False, byte_fallback=False, vocab=vocab, merges=[list(p) for p in pairs])
    return j


def check(dstok, path, rounds, seed, step):
    bad = check_one(dstok, path, path, rounds, seed, step)
    spec = json.load(open(path, encoding="utf-8"))
    if "ByteLevel" not in json.dumps(spec["pre_tokenizer"]):
        return bad
    spec = all_pairs(spec)
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as f:
        json.dump(spec, f)
        f.flush()
        bad |= check_one(dstok, f.name, path + " (all pairs)", rounds, seed, step)
    return bad


def check_one(dstok, path, name, rounds, seed, step):
    ref = Tokenizer.from_file(path)
    spec = json.load(open(path, encoding="utf-8"))
    added = [a["content"] for a in spec["added_tokens"]]
    rng = random.Random(seed)
    bad = False
    texts = list(exhaustive(step))
    want = [e.ids for e in ref.encode_batch(texts)]
    bad |= differ(name + ": code points", texts, want, dstok_lines(dstok, path, texts, []))
    some = rng.sample(added, min(len(added), 30))
    texts = [text_of(rng, some, rng.randrange(1, 80)).replace("\n", "\r") for _ in range(rounds * 20)]
    want = [e.ids for e in ref.encode_batch(texts)]
    bad |= differ(name + ": random lines", texts, want, dstok_lines(dstok, path, texts, []))
    want = [e.ids for e in ref.encode_batch(texts, add_special_tokens=False)]
    bad |= differ(name + ": no special", texts, want, dstok_lines(dstok, path, texts, ["--no-special"]))
    texts = [text_of(rng, some, 20000) + "\n" for _ in range(max(1, rounds // 50))]
    texts.append("a" * 20000 + "\n" + " " * 5000 + "\n" + "\u4e2d" * 5000 + "\n" + "9" * 2000 + "\n")
    want = [e.ids for e in ref.encode_batch(texts)]
    bad |= differ(name + ": long texts", texts, want, dstok_lines(dstok, path, texts, []))
    for skip in (False, True):
        ids = [rng.choice(range(ref.get_vocab_size())) for _ in range(rounds * 20)]
        ids = [i for i in ids if ref.id_to_token(i) is not None]
        want = ref.decode(ids, skip_special_tokens=skip)
        got = subprocess.run([dstok, "decode", "-t", path, "--lossy", *(["--skip-special"] if skip else []), "-"],
                             input=" ".join(map(str, ids)).encode(), stdout=subprocess.PIPE).stdout.decode()
        bad |= differ(name + ": decode", [str(ids)], [want], [got])
    print("%s: %s" % (name, "differs" if bad else "same"))
    return bad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--dstok", default=os.path.join(os.path.dirname(__file__), "../../build/release/bin/dstok"))
    ap.add_argument("--rounds", type=int, default=100)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--step", type=int, default=1, help="take every STEP-th code point")
    ap.add_argument("files", nargs="*")
    a = ap.parse_args()
    shared = os.environ.get("DS_SHARED", os.path.join(os.path.dirname(__file__), "../../../shared"))
    files = a.files or [os.path.join(shared, "data/tokenizers", n, "tokenizer.json")
                        for n in ("deepseek-v3", "qwen2.5", "llama-3")]
    files = [f for f in files if os.path.exists(f)]
    if not files:
        print("tok_parity: skipped: no tokenizer.json to compare")
        return 77
    return 1 if any([check(a.dstok, f, a.rounds, a.seed, a.step) for f in files]) else 0


if __name__ == "__main__":
    sys.exit(main())
