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


def edges():
    """(name, bytes) of good streams that lie at a bound of the format."""
    text = Column("text", "utf8")
    s = Schema([text], ["text"], ["text"])
    zeros = bytes(32)
    yield "undescribed", undescribed(s)
    yield "sources", dsr.write(s, [[b"a"]], sources=[(b"x" * 65535, 2**64 - 1, zeros)] * 9 + [(b"\xf0\x9f\xa9\xbb", 0, zeros)] * 2)
    yield "counts", dsr.write(s, [], held={"x": 2**63 - 1, '"\x7f': 1}, failed={"é": 1})
    yield "origin", dsr.write(s, [[b"a"], [b"b"]], with_root=False, told=[1, 1],
                              origins=[[(0, 0, 0), (2**63 - 1, 2**63 - 1, 0)], [(2**63 - 1, 0, 2**63 - 1), (0, 2**62, 2**62 - 1)]],
                              sources=[(b"a", 1, zeros)] * 2)
    wide = [Column("c%d" % i, "i64", null=i % 2 == 0) for i in range(255)] + [Column("é" * 64, "bool")]
    yield "columns", dsr.write(Schema(wide, ["c0", "é" * 64], ["c254"], (1, 2**30, 2**30)), [[None if i % 2 == 0 else -i for i in range(255)] + [True]] * 9)
    deep = b'{"a":' * 64 + b"[" * 64 + b"]" * 64 + b"}" * 64
    yield "depth", dsr.write(Schema([Column("j", "json")], ["j"], ["j"]), [[deep], [b'"\\udbff\\udfff"']])
    value = []
    for _ in range(510):
        value = [value]
    yield "provenance", dsr.write(s, [], provenance=[step("deep", options={"a": value}, digests={"": "", "\x7f": None})])
    shapes = [Tensor(1, [2**32, 2**31, 0], b""), Tensor(12, [0] + [2**60] * 7, b""), Tensor(9, [1] * 7 + [3], b"abcdef")]
    yield "tensors", dsr.write(Schema([Column("t", "tensor")], ["t"], ["t"], (1, 1, 100)), [[t] for t in shapes])
    yield "mib", dsr.write(s, [[b"x" * (dsr.MIB - 5)], [b"y" * (dsr.MIB - 4)], [b"z" * (dsr.MIB + 1)]], level=1)


def undescribed(s):
    """Records from a source that the stream does not describe."""
    frames = dsr.stream_frames(s, [[b"a"]], [[(0, 0, 1)]], [(b"x", 1, bytes(32))])
    return dsr.serialise([f for f in frames[:-1] if f.type != b"S"] + [dsr.end_frame(1, 1, 0)])
