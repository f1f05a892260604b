#!/usr/bin/env python3
"""Normalizers, pre-tokenizers and decoders one by one against the reference; exit 77 without its module `tokenizers`.

    tok_parts.py [--dstok PATH] [--rounds N] [--step N] [NAME...]

Every part gets a tokenizer of its own: ids that are the bytes of the normalised text, or a vocabulary that merges any two
bytes, which shows where pieces end. Compared over every code point, alone and between neighbours, and over random texts;
decoders over random tokens. Parts that dstok refuses must be refused by name.
"""
import argparse
import functools
import json
import os
import random
import subprocess
import sys
import tempfile

from tok_parity import CPS, all_pairs, differ, dstok_lines, exhaustive, text_of

try:
    from tokenizers import Tokenizer
except ImportError:
    print("tok_parts: skipped: no python module `tokenizers`")
    sys.exit(77)

BYTES = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)


def norm(*types):
    parts = [dict(type=t) if isinstance(t, str) else t for t in types]
    return parts[0] if len(parts) == 1 else dict(type="Sequence", normalizers=parts)


def replace(kind, a, b):
    return dict(type="Replace", pattern={kind: a}, content=b)


STRIP = dict(type="Strip", strip_left=True, strip_right=True)
NORMS = {
    "NFC": norm("NFC"), "NFD": norm("NFD"), "NFKC": norm("NFKC"), "NFKD": norm("NFKD"), "Lowercase": norm("Lowercase"),
    "StripAccents": norm("StripAccents"), "Nmt": norm("Nmt"), "Strip": STRIP,
    "Lowercase after NFKC": norm("NFKC", "Lowercase"), "accents of NFD": norm("NFD", "StripAccents"),
    "Nmt, NFKC, spaces": norm("Nmt", "NFKC", replace("Regex", " {2,}", " ")),
    "NFKD, StripAccents, Lowercase, NFC": norm("NFKD", "StripAccents", "Lowercase", "NFC"),
    "Replace a regex": replace("Regex", r"\s+", " "), "Replace by nothing": replace("Regex", r"[\p{M}\p{P}]", ""),
    "Replace around": replace("Regex", r"(?<=\p{L})\s(?=\p{N})", "|"),  # the reference fails on what is empty
    "Replace a text": replace("String", "a ", "\u2581\u2581"), "Prepend": dict(type="Prepend", prepend="\u2581"),
}
SPLIT = dict(type="Split", behavior="Isolated", invert=False)
PRES = {
    **{"Punctuation " + b: [dict(type="Punctuation", behavior=b)]
       for b in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")},
    "Punctuation": [dict(type="Punctuation", behavior="Isolated")],
    "Digits": [dict(type="Digits", individual_digits=False)], "digits": [dict(type="Digits", individual_digits=True)],
    "Whitespace": [dict(type="Whitespace")], "WhitespaceSplit": [dict(type="WhitespaceSplit")],
    "CharDelimiterSplit": [dict(type="CharDelimiterSplit", delimiter="a")],
    "CharDelimiterSplit wide": [dict(type="CharDelimiterSplit", delimiter="\u4e2d")],
    "BertPreTokenizer": [dict(type="BertPreTokenizer")],
    **{"Metaspace %s %s" % (s, split): [dict(type="Metaspace", replacement="\u2581", prepend_scheme=s, split=split)]
       for s in ("always", "first", "never") for split in (True, False)},
    "Metaspace behind a split": [dict(type="WhitespaceSplit"), dict(type="Metaspace", replacement="_",
                                                                      prepend_scheme="first", split=True)],
    "a Sequence": [dict(type="Digits", individual_digits=True), dict(type="Punctuation", behavior="Contiguous"),
                   dict(SPLIT, pattern=dict(Regex=r"\s?\p{L}{1,5}"), behavior="MergedWithPrevious"),
                   dict(type="CharDelimiterSplit", delimiter="\u3042")],
    "GPT-2 within": [dict(type="Punctuation", behavior="Isolated"), dict(BYTES, use_regex=True, add_prefix_space=True)],
}
DECODERS = {
    "Replace a regex": [replace("Regex", r"[aeiou]+", "*"), dict(type="Fuse")],
    "Replace what is empty": [replace("Regex", r"x*", "-")],
    "Strip left": [replace("String", "a", " "), dict(type="Strip", content=" ", start=1, stop=0)],
    "Strip right": [replace("String", "b", " "), dict(type="Fuse"), dict(type="Strip", content=" ", start=0, stop=2)],
    "Metaspace": [dict(type="Metaspace", replacement="a", prepend_scheme="always", split=True)],
    "bytes, then Replace": [dict(type="ByteFallback"), dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True,
                                                            use_regex=False), replace("Regex", r"\s", "_")],
}
REFUSED = [("normalizer", dict(type="Precompiled", precompiled_charsmap="AAAA")), ("normalizer", dict(type="ByteLevel")),
           ("pre_tokenizer", dict(type="UnicodeScripts")), ("pre_tokenizer", dict(type="FixedLength", length=5)),
           ("decoder", dict(type="WordPiece", prefix="##", cleanup=True)),
           ("decoder", dict(type="CTC", pad_token="<pad>", word_delimiter_token="|", cleanup=True))]


@functools.lru_cache
def vocabulary(pairs):
    spec = all_pairs(dict(version="1.0", truncation=None, padding=None, normalizer=None, pre_tokenizer=BYTES, decoder=None,
                          post_processor=None, added_tokens=[]))
    if not pairs:
        spec["model"]["merges"] = []
        spec["model"]["vocab"] = {t: i for t, i in spec["model"]["vocab"].items() if len(t) == 1}
    return json.dumps(spec)


def bare(pairs, **parts):
    """The file of a tokenizer that has these parts only."""
    spec = vocabulary(pairs)
    for member, part in parts.items():
        start = spec.index('"%s": ' % member) + len(member) + 4
        _, end = json.JSONDecoder().raw_decode(spec, start)
        spec = spec[:start] + json.dumps(part) + spec[end:]
    return spec


def written(folder, spec):
    path = os.path.join(folder, "t.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write(spec)
    return path


def encodes(a, folder, name, spec, texts):
    path = written(folder, spec)
    want = [e.ids for e in Tokenizer.from_file(path).encode_batch(texts)]
    return differ(name, texts, want, dstok_lines(a.dstok, path, texts, []))


def decodes(a, folder, name, spec, rng):
    path = written(folder, spec)
    ref, bad = Tokenizer.from_file(path), False
    for _ in range(a.rounds):
        ids = [rng.randrange(ref.get_vocab_size()) for _ in range(rng.randrange(1, 200))]
        got = subprocess.run([a.dstok, "decode", "-t", path, "--lossy", "-"], input=" ".join(map(str, ids)).encode(),
                             stdout=subprocess.PIPE).stdout.decode()
        bad |= differ(name, [str(ids)], [ref.decode(ids)], [got])
    return bad


def refuses(a, folder, member, part):
    step = dict(type="Sequence", pretokenizers=[part, BYTES]) if member == "pre_tokenizer" else part
    spec = bare(False, **{member: step})
    run = subprocess.run([a.dstok, "info", written(folder, spec)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if run.returncode == 0 or ("%s %s" % (member, part["type"])).encode() not in run.stderr:
        print("%s %s is not refused by name: %r" % (member, part["type"], run.stderr))
        return True
    return False


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--dstok", default=os.path.join(os.path.dirname(__file__), "../../build/release/bin/dstok"))
    ap.add_argument("--rounds", type=int, default=50)
    ap.add_argument("--step", type=int, default=1, help="take every STEP-th code point")
    ap.add_argument("names", nargs="*", help="the parts to compare (all)")
    a = ap.parse_args()
    rng = random.Random(2)
    made = [text_of(rng, ["A\u0130", "\u03a3\u03c3", "\ufb03x", "\uff9e", "\uff76\uff9e", "\u314f\u3131", "\ufdfa"],
                    rng.randrange(1, 60)).replace("\n", "\r") for _ in range(a.rounds * 10)]
    texts = list(exhaustive(a.step)) + made
    # Line ends are texts of their own, which costs a process each.
    texts += [t + "\n" + u + "\r\n\n" for t, u in zip(made[:a.rounds // 5 + 1], made[::-1])]
    assert all(chr(c) in texts[0] for c in CPS[:9] if c % a.step == 0)
    failed = []
    with tempfile.TemporaryDirectory() as w:
        for kind, parts, pairs in (("normalizer", NORMS, False), ("pre_tokenizer", PRES, True)):
            for name, part in parts.items():
                if a.names and name not in a.names:
                    continue
                if kind == "pre_tokenizer":
                    part = dict(type="Sequence", pretokenizers=part + [BYTES] * (part[-1]["type"] != "ByteLevel"))
                if encodes(a, w, "%s %s" % (kind, name), bare(pairs, **{kind: part}), texts):
                    failed.append(name)
        for name, part in DECODERS.items():
            if a.names and name not in a.names:
                continue
            if decodes(a, w, "decoder " + name, bare(True, decoder=dict(type="Sequence", decoders=part)), rng):
                failed.append(name)
        failed += [p["type"] for m, p in REFUSED if refuses(a, w, m, p)]
    print("tok_parts: %d parts, %s" % (len(NORMS) + len(PRES) + len(DECODERS) + len(REFUSED),
                                       "differ: " + ", ".join(failed) if failed else "all the same"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
