#!/usr/bin/env python3
"""Texts to measure tokenizers on: en.txt, zh.txt, code.txt and logs.txt in a folder, each up to MB megabytes.

    toktexts.py OUT MB [RECORDS.jsonl]

English, Chinese and code are the records' texts (or, without them, the files below /usr/share/doc, /usr/share/man and
/usr/include), told apart by what they are made of; logs are generated, from a fixed seed. Texts are joined by blank lines.
"""
import gzip
import json
import os
import random
import re
import sys

CJK = re.compile("[\u4e00-\u9fa5]")
BRACE = re.compile(r"[;{}()=]|->|::|#include|^\s*(?:def|if|for|return|import|fn|let)\b", re.M)


def kind(text):
    part = text[:4000]
    n = max(1, len(part))
    if len(CJK.findall(part)) > 0.3 * n:
        return "zh"
    signs = len(BRACE.findall(part)) / n
    if signs > 0.04:
        return "code"
    spaces = part.count(" ") / n
    return "en" if signs < 0.012 and spaces > 0.12 and part.isascii() else None


def records(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            yield json.loads(line).get("text", "")


def documents():
    for top in ("/usr/share/doc", "/usr/share/man", "/usr/include", "/usr/lib/python3"):
        for folder, below, names in os.walk(top):
            below.sort()
            for name in sorted(names):
                try:
                    path = os.path.join(folder, name)
                    with (gzip.open if name.endswith(".gz") else open)(path, "rb") as f:
                        yield f.read(4 << 20).decode("utf-8")
                except (OSError, UnicodeDecodeError, EOFError):
                    pass


def logs(size):
    rnd = random.Random(5)
    words = "accept auth backend cache close commit connect deny disk error fetch flush handler init join kernel link".split()
    user = ["alice", "bob", "root", "www-data", "svc_%d"]
    total = 0
    t = 1700000000000
    while total < size:
        t += rnd.randrange(900)
        s, ms = divmod(t, 1000)
        stamp = "2023-11-%02dT%02d:%02d:%02d.%03dZ" % (14 + s // 86400 % 16, s // 3600 % 24, s // 60 % 60, s % 60, ms)
        ip = "%d.%d.%d.%d" % tuple(rnd.randrange(256) for _ in range(4))
        k = rnd.randrange(5)
        if k == 0:
            line = '%s - - [%s] "GET /api/v%d/%s/%d?id=%08x HTTP/1.1" %d %d "-" "curl/7.%d.0"' % (
                ip, stamp, rnd.randrange(4), rnd.choice(words), rnd.randrange(10**6), rnd.getrandbits(32),
                rnd.choice((200, 200, 304, 404, 500)), rnd.randrange(10**6), rnd.randrange(90))
        elif k == 1:
            line = "%s host%02d %s[%d]: %s %s for %s from %s port %d" % (
                stamp, rnd.randrange(40), rnd.choice(words), rnd.randrange(32768), rnd.choice(words), rnd.choice(words),
                rnd.choice(user).replace("%d", str(rnd.randrange(999))), ip, rnd.randrange(65536))
        elif k == 2:
            line = '{"ts":%d.%03d,"level":"%s","msg":"%s %s","dur_ms":%.3f,"trace":"%032x"}' % (
                s, ms, rnd.choice(("info", "warn", "error")), rnd.choice(words), rnd.choice(words),
                rnd.random() * 1000, rnd.getrandbits(128))
        elif k == 3:
            line = "[%12.6f] %s 0000:%02x:%02x.%d: %s at 0x%012x-0x%012x (%d pages)" % (
                t / 1e6 % 1e5, rnd.choice(words), rnd.randrange(256), rnd.randrange(32), rnd.randrange(8),
                rnd.choice(words), rnd.getrandbits(47), rnd.getrandbits(47), rnd.randrange(4096))
        else:
            line = "%s sensor=%05d temp=%.2f rpm=%d p=%.4e v=%.3f status=0x%04X" % (
                stamp, rnd.randrange(10**5), rnd.gauss(60, 12), rnd.randrange(9000), rnd.random() * 1e6,
                rnd.gauss(230, 2), rnd.getrandbits(16))
        total += len(line) + 1
        yield line


def main():
    out, size = sys.argv[1], int(float(sys.argv[2]) * 1e6)
    os.makedirs(out, exist_ok=True)
    files = {k: open(os.path.join(out, k + ".txt"), "wb") for k in ("en", "zh", "code")}
    left = {k: size for k in files}
    for text in records(sys.argv[3]) if len(sys.argv) > 3 else documents():
        k = kind(text)
        if k is None or left[k] <= 0:
            continue
        data = text.encode("utf-8", "surrogatepass")
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            continue
        left[k] -= files[k].write(data + b"\n\n")
        if max(left.values()) <= 0:
            break
    for f in files.values():
        f.close()
    with open(os.path.join(out, "logs.txt"), "w") as f:
        for line in logs(size):
            f.write(line + "\n")


if __name__ == "__main__":
    main()
