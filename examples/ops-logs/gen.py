#!/usr/bin/env python3
"""Logs of a made-up shop, one day after the other: gen.py SEED DAY LINES >app.log

Days are alike but for what their number brings: from day 5 on the database is slow, so that there are timeouts,
retries and stack traces where there were hardly any. Customers' addresses and cards are in the lines, as they are in
real ones. The same arguments give the same bytes.
"""
import random
import sys

NAMES = "anna ben chen dora emil fatima goran hana ivan jule".split()
HOSTS = "example.com example.org mail.example.net".split()
ITEMS = "valve bearing belt gasket pump filter coupling seal".split()

USUAL = [
    (30, "INFO", "order {n} placed by {mail}: {k} x {item}"),
    (25, "INFO", "payment {n} accepted for {mail} in {ms} ms"),
    (15, "INFO", "stock of {item} is {k}"),
    (12, "DEBUG", "cache hit {n} in {ms} us"),
    (8, "INFO", "session {hex} of {ip} opened"),
    (6, "WARN", "payment {n} refused: card {card}"),
    (3, "WARN", "slow query: {ms} ms, select {item}"),
    (1, "ERROR", "order {n} failed: timeout after {ms} ms"),
]
SLOW = [
    (40, "ERROR", "order {n} failed: timeout after {ms} ms"),
    (30, "WARN", "retry {k} of 5: connection to db-{k} refused"),
    (20, "ERROR", "pool exhausted: {n} waiting, {k} in use"),
]
TRACE = "    at shop.db.Pool.take(Pool.java:{k})\n    at shop.Orders.place(Orders.java:{n})\n"


def luhn(r):
    """A card number that a check of digits lets pass."""
    digits = [4] + [r.randrange(10) for _ in range(14)]
    total = sum(d if i % 2 else d * 2 - 9 * (d > 4) for i, d in enumerate(digits))
    return "".join(map(str, digits)) + str(-total % 10)


def line(r, kinds):
    _, level, text = r.choices(kinds, [w for w, _, _ in kinds])[0]
    words = {
        "n": r.randrange(1000, 9999),
        "k": r.randrange(1, 9),
        "ms": r.randrange(5, 900),
        "item": r.choice(ITEMS),
        "hex": "%08x" % r.getrandbits(32),
        "ip": "203.0.113.%d" % r.randrange(1, 255),
        "mail": "%s%d@%s" % (r.choice(NAMES), r.randrange(100), r.choice(HOSTS)),
        "card": luhn(r),
    }
    text = text.format(**words)
    if "timeout" in text:
        text += "\n" + TRACE.format(**words).rstrip("\n")
    return level, text


def main():
    seed, day, lines = (int(x) for x in sys.argv[1:4])
    r = random.Random(seed * 1000 + day)
    kinds = USUAL + (SLOW if day >= 5 else [])
    ms = 0
    for _ in range(lines):
        ms += r.randrange(1, 2 * 86400000 // lines)
        s = min(ms, 86399999)
        level, text = line(r, kinds)
        print("2026-03-%02d %02d:%02d:%02d.%03d %s %s" %
              (day, s // 3600000, s // 60000 % 60, s // 1000 % 60, s % 1000, level, text))


main()
