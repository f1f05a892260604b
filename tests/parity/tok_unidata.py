#!/usr/bin/env python3
"""Writes tokenizer/pretokens/tok_unidata.c: the Unicode facts the tokenizer relies on, asked of the reference
implementation (the `tokenizers` module) code point by code point, so that ids do not depend on which
Unicode version some library of the machine happens to know.

    tests/parity/tok_unidata.py > tokenizer/pretokens/tok_unidata.c

Letters, numbers, punctuation, symbols, marks and white space are what its regex engine says; \\w of
added tokens is asked through a single_word token; canonical classes, decompositions and compositions
are those of Python's own data as far as its NFC agrees (its normaliser has an older Unicode version);
compatibility decompositions, small letters, accents and punctuation are what its normalizers and pre-tokenizer do.
"""
import json
import sys
import unicodedata as U

from tokenizers import Regex, Tokenizer
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P

CPS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def matching(rx):
    out = set()
    split = P.Split(Regex(rx), "removed")
    for i in range(0, len(CPS), 4096):
        s = "".join(map(chr, CPS[i : i + 4096]))
        left = set("".join(t for t, _ in split.pre_tokenize_str(s)))
        out |= {ord(c) for c in s if c not in left}
    return out


def word_chars():
    tok = Tokenizer.from_str(json.dumps(dict(
        version="1.0", truncation=None, padding=None, normalizer=None, pre_tokenizer=None,
        post_processor=None, decoder=None,
        added_tokens=[dict(id=1, content="~", single_word=True, lstrip=False, rstrip=False,
                           normalized=False, special=True)],
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
                   end_of_word_suffix=None, fuse_unk=False, byte_fallback=False,
                   vocab={"a": 0}, merges=[]))))
    out = set()
    for i in range(0, len(CPS), 8192):
        part = CPS[i : i + 8192]
        for c, e in zip(part, tok.encode_batch(["~" + chr(c) for c in part])):
            if 1 not in e.ids and chr(c) != "~":
                out.add(c)
    return out


def ranges(value):
    """value: code point -> small number; yields (first, count, number) of the non-zero runs."""
    out = []
    for c in sorted(value):
        v = value[c]
        if out and out[-1][0] + out[-1][1] == c and out[-1][2] == v:
            out[-1][1] += 1
        else:
            out.append([c, 1, v])
    return out


CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So".split()


def later():
    """What the reference knows and Unicode 14 does not, by general category."""
    assert U.unidata_version == "14.0.0", "this wants a Python that has Unicode 14"
    gc = {}
    for k in CATEGORIES:
        for c in matching(r"\p{%s}" % k):
            if U.category(chr(c)) == "Cn":
                gc[c] = k
            elif U.category(chr(c)) != k:
                print("# moved: %x %s -> %s" % (c, U.category(chr(c)), k), file=sys.stderr)
    return gc


def table(name, type_, rows):
    print("const %s %s[] = {" % (type_, name))
    line = "   "
    for r in rows:
        cell = " {" + ", ".join("0x%x" % x if isinstance(x, int) else '"%s"' % x for x in r) + "}," if not isinstance(r, int) else " 0x%x," % r
        if len(line) + len(cell) > 100:
            print(line)
            line = "   "
        line += cell
    print(line)
    print("};")
    print("const unsigned %s_n = %d;\n" % (name, len(rows)))


def compat(pool):
    nfd, nfkd = N.NFD().normalize_str, N.NFKD().normalize_str
    rows = []
    for c in CPS:
        d = nfkd(chr(c))
        if d != nfd(chr(c)):
            assert c < 0x3400 or c >= 0xA69C
            rows.append((c, len(pool), len(d)))
            pool += [ord(x) for x in d]
    return rows


def lower():
    fn = N.Lowercase().normalize_str
    pairs = [(c, fn(chr(c))) for c in CPS if fn(chr(c)) != chr(c)]
    assert [c for c, s in pairs if len(s) != 1] == [0x130] and fn("\u0130") == "i\u0307"
    return [(c, ord(s[0])) for c, s in pairs]


def numeric():
    """What the Digits pre-tokenizer takes for a number."""
    digits, out = P.Digits(individual_digits=True), set()
    for i in range(0, len(CPS), 4096):
        s = "a".join(map(chr, CPS[i : i + 4096]))
        out |= {ord(t) for t, _ in digits.pre_tokenize_str(s) if len(t) == 1 and t != "a"}
    return out


def vanishing(fn):
    """Code points that `fn`, which gives what is left of a text, leaves nothing of."""
    return {c: 1 for c in CPS if fn(chr(c)) == ""}


def main():
    nfc, nfd = N.NFC().normalize_str, N.NFD().normalize_str
    cls = {}
    for bit, rx in ((1, r"\p{L}"), (2, r"\p{N}"), (4, r"[\p{P}\p{S}]"), (8, r"\p{M}"), (16, r"\s")):
        for c in matching(rx):
            cls[c] = cls.get(c, 0) | bit
    for c in word_chars():
        cls[c] = cls.get(c, 0) | 32

    # A class counts only where the reference reorders: U+0334 has class 1, U+0345 has 240.
    ccc = {}
    for c in CPS:
        k = U.combining(chr(c))
        if k == 0:
            continue
        ch = chr(c)
        before = nfd("a" + ch + "\u0334") != "a" + ch + "\u0334"
        after = nfd("a\u0345" + ch) != "a\u0345" + ch
        if before or after or c in (0x334, 0x345):
            ccc[c] = k
        elif k == 1:
            ccc[c] = k if nfd("a\u0345" + ch) != "a\u0345" + ch else 0
    ccc = {c: k for c, k in ccc.items() if k}

    rows, pool, comp = [], [], []
    for c in CPS:
        if 0xAC00 <= c <= 0xD7A3:
            continue
        d = nfd(chr(c))
        if d != chr(c):
            rows.append((c, len(pool), len(d)))
            pool += [ord(x) for x in d]
        one = U.decomposition(chr(c))
        if one and not one.startswith("<") and len(one.split()) == 2:
            a, b = (int(x, 16) for x in one.split())
            if nfc(chr(a) + chr(b)) == chr(c):
                comp.append((a, b, c))
    comp.sort()
    compats = compat(pool)
    accents = vanishing(N.StripAccents().normalize_str)
    cut = P.Punctuation("removed")
    punct = vanishing(lambda s: "".join(t for t, _ in cut.pre_tokenize_str(s)))

    print("/* tok_unidata.c - generated by tests/parity/tok_unidata.py; do not edit. See tok_uni.h. */")
    print('#include "tok_uni.h"\n')
    table("ds_uni_cls", "ds_uni_range", ranges(cls))
    table("ds_uni_ccc", "ds_uni_range", ranges(ccc))
    table("ds_uni_decomp", "ds_uni_map", rows)
    table("ds_uni_compat", "ds_uni_map", compats)
    table("ds_uni_pool", "uint32_t", pool)
    table("ds_uni_comp", "ds_uni_pair", comp)
    table("ds_uni_lower", "ds_uni_to", lower())
    table("ds_uni_accents", "ds_uni_range", ranges(accents))
    table("ds_uni_punct", "ds_uni_range", ranges(punct))
    table("ds_uni_p", "ds_uni_range", ranges({c: 1 for c in matching(r"\p{P}")}))
    table("ds_uni_digits", "ds_uni_range", ranges({c: 1 for c in numeric() - matching(r"\p{N}")}))
    table("ds_uni_later", "ds_uni_gc", ranges(later()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
