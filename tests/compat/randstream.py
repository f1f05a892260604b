"""Random good streams: random schemas, values at and around the bounds, all reproducible from a number."""
import json
from random import Random

import dsr
from dsr import step
from dsrcol import ITEMS, TYPES, Column, Schema, Tensor
from gen import BYTES, F64, I64, JSON, RUNS, TENSORS, TEXTS, TIMES, TOKENS16, TOKENS32

KNOWN = {"utf8": TEXTS, "bytes": BYTES, "json": JSON, "bool": (True, False), "i64": I64, "f64": F64, "timestamp": TIMES,
         "tokens16": TOKENS16, "tokens32": TOKENS32, "runs": RUNS, "tensor": TENSORS}
LETTERS = "abc \n\t\"\\/é片🩻\x00\x1f\x7f\ufffd"


def json_value(r, depth):
    kind = r.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return r.choice((None, True, False))
    if kind < 3:
        return r.randrange(-10**r.randrange(1, 20), 10**19)
    if kind < 5:
        return "".join(r.choice(LETTERS) for _ in range(r.randrange(9)))
    if kind == 5:
        return {str(r.randrange(99)): json_value(r, depth + 1) for _ in range(r.randrange(4))}
    return [json_value(r, depth + 1) for _ in range(r.randrange(4))]


def runs(r):
    out = []
    for _ in range(r.randrange(6)):
        value = r.randrange(4)
        if not out or out[-1][1] != value:
            out.append((r.randrange(1, 1 << r.randrange(1, 40)), value))
    return out


def tensor(r):
    dims = [r.randrange(5) for _ in range(r.randrange(4))]
    dtype = r.randrange(1, 13)
    n = dsr.DTYPES[dtype][1]
    for d in dims:
        n *= d
    return Tensor(dtype, dims, r.randbytes(n))


def value(r, type, item=None):
    if type == "list":
        return [value(r, item) for _ in range(r.choice((0, 1, 2, 9)))]
    if r.randrange(4) == 0:
        return r.choice(KNOWN[type])
    if type == "utf8":
        return "".join(r.choice(LETTERS) for _ in range(r.randrange(1 << r.randrange(8)))).encode()
    if type == "bytes":
        return r.randbytes(r.randrange(1 << r.randrange(8)))
    if type == "json":
        return json.dumps(json_value(r, 0), ensure_ascii=r.random() < 0.5, separators=(",", ":")).encode()
    if type == "bool":
        return r.random() < 0.5
    if type in ("i64", "timestamp"):
        return r.randrange(-1 << r.randrange(63), 1 << r.randrange(63))
    if type == "f64":
        return r.choice((r.random(), r.uniform(-1e20, 1e20), float(r.randrange(-9999, 9999)), r.expovariate(1e-300)))
    if type in ("tokens16", "tokens32"):
        bits = 16 if type == "tokens16" else 32
        return [r.randrange(1 << r.randrange(1, bits + 1)) for _ in range(r.randrange(20))]
    return runs(r) if type == "runs" else tensor(r)


def schema(r):
    explicit = r.random() < 0.5
    cols = [Column("key", "utf8")] if explicit else [Column("the first", r.choice(TYPES[:10]), null=r.random() < 0.3)]
    for i in range(r.randrange(7)):
        t = r.choice(TYPES)
        cols.append(Column(r.choice(("x", "é", "a b", '"', "\n", "")) + str(i), t, r.choice(ITEMS) if t == "list" else None,
                           r.random() < 0.5, r.choice((None, {"a": "1"}, {"b": "é", "a": "", "\x7f": "\n"}))))
    able = [c.name for c in cols if c.type not in ("runs", "list")]
    primary = [n for n in able if r.random() < 0.5] or able[:1]
    keyed = None if explicit else [n for n in able if r.random() < 0.7] or able[:1]
    low = r.randrange(1, 500)
    target = low + r.randrange(2000)
    return Schema(cols, primary, keyed, r.choice(((low, target, target + r.randrange(2000)), (1, 1, 1), (65536, 262144, 1048576))))


def origins(r, rows, sources):
    out, state = [], [0, 0]
    for _ in range(rows):
        if r.random() < 0.1:
            state = [min(state[0] + r.randrange(3), sources - 1), r.randrange(1000)]
        ranges = []
        for _ in range(r.choice((0, 1, 1, 1, 1, 3))):
            length = r.randrange(1 << r.randrange(1, 30))
            ranges.append((state[0], state[1], length))
            state[1] = max(0, state[1] + length + r.choice((0, 0, 1, -1, 1000)))
        out.append(ranges)
    return out


def stream(seed):
    """The bytes of the stream of that number."""
    r = Random("stream %d" % seed)
    s = schema(r)
    n = r.choice((0, 1, 2, 7, 8, 9, 63, 64, 65, 200))
    rows = [[None if c.null and r.random() < 0.3 else value(r, c.type, c.item) for c in s.columns] for _ in range(n)]
    if s.explicit:
        for i, row in enumerate(rows):
            row[0] = b"%d %s" % (i, row[0][:40])
            row[0] = row[0].decode("utf-8", "ignore").encode()
    m = r.choice((0, 0, 1, 5, 40))
    options = {"provenance": [step("random %d" % seed, options={"deep": {"a": [1, None]}, "n": n})], "level": r.choice((0, 0, 3)),
               "with_root": r.random() < 0.5, "index": r.random() < 0.5}
    if m:
        options["origins"] = origins(r, n, m)
        options["sources"] = [(("s/é%d" % i).encode(), r.randrange(1 << 62), r.randbytes(32)) for i in range(m)]
    if r.random() < 0.3:
        options["held"] = {"b": 1, "é": 2, "a": 2**62}
    return dsr.write(s, rows, **options)
