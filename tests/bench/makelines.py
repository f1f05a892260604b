#!/usr/bin/env python3
"""Seeded inputs for the benchmarks: the same arguments give the same bytes.

  makelines.py words N SEED          N JSON lines of about 300 bytes ({"id","text"}), Zipf-like words
  makelines.py plain N SEED          the same without ids
  makelines.py logs N SEED           N log lines of 40 kinds, as JSON lines without ids
  makelines.py drift IN OUT SEED [POOL]   IN with 1 % of its lines deleted and 1 % new ones, scattered. New lines come
                                     from POOL (SEED says where in it), or are made like `words`.
"""
import json
import random
import sys


def vocabulary(rnd, n=20000):
    syl = [c + v for c in "bcdfghklmnprstvz" for v in "aeiou"] + ["an", "en", "ir", "os", "ut", "al"]
    words = set()
    while len(words) < n:
        words.add("".join(rnd.choice(syl) for _ in range(rnd.randint(1, 4))))
    words = sorted(words)
    rnd.shuffle(words)
    cum, total = [], 0.0
    for i in range(n):
        total += 1.0 / (i + 3)
        cum.append(total)
    return words, cum


def texts(seed):
    words, cum = vocabulary(random.Random(20261126))
    rnd = random.Random(seed)
    while True:
        line = []
        for _ in range(rnd.randint(3, 6)):
            sentence = " ".join(rnd.choices(words, cum_weights=cum, k=rnd.randint(6, 14)))
            line.append(sentence.capitalize() + ".")
        yield " ".join(line), rnd


def lines(n, seed, ids):
    for i, (text, rnd) in enumerate(texts(seed)):
        if i == n:
            return
        record = {"id": "%016x" % rnd.getrandbits(64), "text": text} if ids else {"text": text}
        yield json.dumps(record, separators=(",", ":")) + "\n"


def logs(n, seed):
    rnd = random.Random(seed)
    words, _ = vocabulary(random.Random(7), 400)
    kinds = [" ".join(rnd.choice(words) for _ in range(rnd.randint(4, 9))) for _ in range(40)]
    for i in range(n):
        text = "host%d %s[%d]: %s id=%d from 10.%d.%d.%d" % (
            rnd.randint(1, 20), rnd.choice(words), rnd.randint(100, 9999), rnd.choice(kinds), rnd.getrandbits(20),
            rnd.randint(0, 255), rnd.randint(0, 255), rnd.randint(0, 255))
        yield json.dumps({"text": text}, separators=(",", ":")) + "\n"


def drift(path, out, seed, pool):
    rnd = random.Random(seed)
    with open(path, encoding="utf8", newline="\n") as f:
        old = f.readlines()
    fresh = max(1, len(old) // 100)
    if pool:
        with open(pool, encoding="utf8", newline="\n") as f:
            stock = f.readlines()
        start = seed * fresh % max(1, len(stock) - fresh)
        new = stock[start:start + fresh]
    else:
        new = list(lines(fresh, 1000003 + seed, '"id"' in old[0][:12]))
    gone = set(rnd.sample(range(len(old)), fresh))
    at = {}
    for line in new:
        at.setdefault(rnd.randrange(len(old)), []).append(line)
    with open(out, "w", encoding="utf8", newline="\n") as f:
        for i, line in enumerate(old):
            f.writelines(at.get(i, []))
            if i not in gone:
                f.write(line)
    with open(out + ".new", "w", encoding="utf8", newline="\n") as f:
        f.writelines(new)


def main(argv):
    if len(argv) >= 4 and argv[1] in ("words", "plain"):
        sys.stdout.writelines(lines(int(argv[2]), int(argv[3]), argv[1] == "words"))
    elif len(argv) >= 4 and argv[1] == "logs":
        sys.stdout.writelines(logs(int(argv[2]), int(argv[3])))
    elif len(argv) >= 5 and argv[1] == "drift":
        drift(argv[2], argv[3], int(argv[4]), argv[5] if len(argv) > 5 else None)
    else:
        sys.stderr.write(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
