#!/usr/bin/env python3
"""filter_parity.py make | check RULES: an independent reading of docs/transforms.md.

make writes documents as JSON lines on stdout. check reads what `dsprep filter --mark` made of them
(JSON lines with text and filter) and finds the failing rule of each document anew, the slow way.
"""
import json
import re
import sys
import unicodedata

STOPS = {"the", "be", "to", "of", "and", "that", "have", "with"}
ENDS = set(".!?\"'") | set("\u3002\uff01\uff1f\u201d\u2019\u2026\xbb\u0964\u061f\u06d4\u300d\uff61\u1362")


def documents():
    seed = 12345
    words = ["the", "of", "and", "valve", "report", "was", "replaced", "7", "bearing", "machine", "that", "#tag", "...",
             "it.", "Hot", "again,", "caf\xe9", "\u8f74\u627f", "\u2026", "x" * 12, "(see", "below)", "-", "\u2022"]

    def rnd(n):
        nonlocal seed
        seed = seed * 16807 % 2147483647
        return seed % n

    for i in range(1500):
        size, kinds = 1 + rnd(160), 2 + rnd(len(words) - 2)
        out = []
        for _ in range(size):
            out.append(words[rnd(kinds)] if rnd(12) else "w%d" % rnd(4000))
            out.append("\n" if rnd(11) == 0 else "\n\n" if rnd(60) == 0 else " ")
        if rnd(3) == 0:  # a part comes again
            out += out[: 2 * rnd(size)]
        if rnd(5) == 0:
            out.append("\nthis line comes often.\n" * rnd(5))
        text = "".join(out)
        yield {"id": "d%d" % i, "text": text if rnd(4) else text.replace("\n", "\r\n")}


def is_cjk(c):
    return "\u4e00" <= c <= "\u9fa5" or "\u3040" <= c <= "\u30ff"


def split_words(text):
    out = []
    for run in text.split():
        part = ""
        for c in run:
            if is_cjk(c):
                if part:
                    out.append(part)
                out.append(c)
                part = ""
            else:
                part += c
        if part:
            out.append(part)
    return out


def punct(c):
    return unicodedata.category(c)[0] in "PS"


def strip_punct(w):
    while w and punct(w[-1]):
        w = w[:-1]
    while w and punct(w[0]):
        w = w[1:]
    return w


def again(parts):
    seen, n, chars = set(), 0, 0
    for p in parts:
        if p in seen:
            n += 1
            chars += len(p)
        seen.add(p)
    return n, chars


def top_gram(words, n):
    count = {}
    for i in range(len(words) - n + 1):
        g = " ".join(words[i : i + n])
        count[g] = count.get(g, 0) + 1
    most = max(count.values(), default=0)
    return max((len(g) * c for g, c in count.items() if c == most), default=0) if most > 1 else 0


def dup_grams(words, n):
    seen, chars, i = set(), 0, 0
    while i + n <= len(words):
        g = tuple(words[i : i + n])
        if g in seen:
            chars += sum(map(len, g))
            i += n
        else:
            seen.add(g)
            i += 1
    return chars


def measures(text):
    """Rule name to (value, is it a least)."""
    words = split_words(text)
    real = [strip_punct(w) for w in words]
    real = [w for w in real if w]
    lines = [l[:-1] if l.endswith("\r") else l for l in text.split("\n")]
    tail = text.split("\n")[-1]
    if tail == "":
        lines = lines[:-1]
    else:
        lines[-1] = tail  # no LF behind it, so a CR is its own
    full = [l for l in lines if l.strip()]
    over = lambda a, b: a / b if b else 0
    n = len(words)
    paras, rlines = re.split("\n{2,}", text.strip()), re.split("\n+", text.strip())
    pd, pc = again(paras)
    ld, lc = again(rlines)
    m = {
        "gopher.words_min": (len(real), True),
        "gopher.words_max": (len(real), False),
        "gopher.word_length_min": (over(sum(map(len, real)), len(real)), True),
        "gopher.word_length_max": (over(sum(map(len, real)), len(real)), False),
        "gopher.hashes_max": (over(text.count("#"), n), False),
        "gopher.ellipses_max": (over(text.count("...") + text.count("\u2026"), n), False),
        "gopher.bullet_lines_max": (over(sum(l.strip()[:1] in ("-", "\u2022") and l.strip() != "" for l in lines), len(lines)), False),
        "gopher.ellipsis_lines_max": (over(sum(l.strip().endswith(("...", "\u2026")) for l in lines), len(lines)), False),
        "gopher.alpha_words_min": (over(sum(any(c.isalpha() for c in w) for w in words), n), True),
        "gopher.stop_words_min": (len(STOPS & set(real)), True),
        "gopher.dup_paragraphs_max": (over(pd, len(paras)), False),
        "gopher.dup_paragraph_chars_max": (over(pc, len(text)), False),
        "gopher.dup_lines_max": (over(ld, len(rlines)), False),
        "gopher.dup_line_chars_max": (over(lc, len(text)), False),
    }
    for k in (2, 3, 4):
        m["gopher.top_%d_gram_max" % k] = (over(top_gram(words, k), len(text)), False)
    for k in range(5, 11):
        m["gopher.dup_%d_grams_max" % k] = (over(dup_grams(words, k), len(text)), False)
    m["fineweb.lines_min"] = (len(full), True)
    m["fineweb.ended_lines_min"] = (over(sum(l[-1] in ENDS for l in full), len(full)), True)
    m["fineweb.short_lines_max"] = (over(sum(len(l) <= 30 for l in full), len(full)), False)
    m["fineweb.dup_line_chars_max"] = (over(again(full)[1], len(text) - text.count("\n")), False)
    m["fineweb.newlines_max"] = (over(text.count("\n"), n), False)
    return m


def main():
    if sys.argv[1] == "make":
        for d in documents():
            print(json.dumps(d))
        return 0
    limits = dict((k, float(v)) for k, v in (a.split("=") for a in sys.argv[2:]))
    bad, found, n = 0, {}, 0
    for line in sys.stdin:
        d = json.loads(line)
        m = measures(d["text"])
        want = next((r for r, (v, least) in m.items() if r in limits and (v < limits[r] if least else v > limits[r])), None)
        n += 1
        found[want] = found.get(want, 0) + 1
        if want != d["filter"]:
            bad += 1
            if bad <= 5:
                print("# %s: %r, not %r: %s" % (d["key"], d["filter"], want, m.get(want)))
    print("# %d documents, %d differ: %s" % (n, bad, found))
    return bad > 0 or n == 0 or len(found) < 3


sys.exit(main())
