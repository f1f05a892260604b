#!/usr/bin/env python3
"""The golden streams of DSR version 1: v1/NAME.dsr, their records in v1/NAME.jsonl, their roots in v1/roots.

    gen.py          says whether v1/ is still what this script makes
    gen.py --write  writes v1/ anew: only while a version is not released; a released one is never touched again

Streams with zstd pieces depend on the version of the `zstd` command: of these only the records and roots are compared.
"""
import hashlib
import os
import sys

import dsr
from dsr import step
from dsrcol import Column, Schema, Tensor

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "v1")
SMALL = (400, 1500, 6000)


class Noise:
    """Numbers that are the same everywhere: SHA-256 in counter mode."""

    def __init__(self, seed):
        self.seed, self.n = seed.encode(), 0

    def bytes(self, n):
        first, self.n = self.n, self.n + (n + 31) // 32
        return b"".join(hashlib.sha256(b"%s %d" % (self.seed, k)).digest() for k in range(first, self.n))[:n]

    def below(self, n):
        return int.from_bytes(self.bytes(8), "big") % n

    def pick(self, items):
        return items[self.below(len(items))]

    def text(self, words):
        return " ".join(self.pick(WORDS) for _ in range(words)).encode()


WORDS = ("ward lung nodule 片 肺 request GET 200 while return größe naïve 🩻 def x = 1; null -0 \\n \"quoted\" "
         "the of and a in").split(" ")
NAN, INF = float("nan"), float("inf")
I64 = (0, 1, -1, 2**63 - 1, -2**63, 10**18, -42)
F64 = (0.0, -0.0, 1.0, -1.5, 0.1, 1e300, -1e-300, 5e-324, 1.7976931348623157e308, 123456789012345680.0, 1e16, 1e15, 1e-5,
       0.0001, 1 / 3, 2.0**53 + 2, INF, -INF, NAN)
TIMES = (0, 1, -1, 10**9, -10**9, 951782400 * 10**9, 951868799999999999, 4102444800 * 10**9, -2**63, 2**63 - 1,
         -62135596800, 1709164800123456789)
JSON = (b"null", b"true", b"0", b"-0", b"-0.0e+00", b"1E5", b'""', b'"\\ud83e\\ude7b\\u0000\\/"', b"[]", b"{}",
        b'{"b":1,"a":[1,2,{"b":[]}],"b":"again"}', "\"片 \x7f\"".encode(), b"[" * 128 + b"]" * 128,
        b"123456789012345678901234567890.5e-400")
TEXTS = (b"", b"a", b"\0", bytes(range(32)), b"\x7f\"\\/", "é片🩻\u2028\ufeff".encode(), b"</script>", b"x" * 130)
BYTES = (b"", b"\0", b"\xff\xfe", bytes(range(256)), b"abc")
TOKENS16 = ([], [0], [65535, 0, 1], list(range(130)))
TOKENS32 = ([], [4294967295], [0, 65536, 151643], list(range(0, 200000, 9999)))
RUNS = ([], [(1, 0)], [(5, 0), (7, 1), (1, 0)], [(2**63, 2**64 - 1), (2**63 - 1, 0)], [(300, 70000)])
TENSORS = ([Tensor(d, [2, 3], bytes(range(6 * dsr.DTYPES[d][1]))) for d in dsr.DTYPES]
           + [Tensor(1, [], b"\7"), Tensor(12, [0, 2**40], b""), Tensor(4, [1] * 8, b"\1\2"), Tensor(10, [150], b"\x80\x3f" * 150)])


def lists(items):
    return ([], [items[0]], list(items), [items[-1], items[0]])


def cycle(values, i, null=0):
    """The i-th value, and now and then a null."""
    return None if null and i % null == null - 1 else values[i % len(values)]


def types():
    """Every type without and with nulls, every list, and values at the bounds; derived keys over the fixed ones."""
    scalars = (("utf8", TEXTS), ("bytes", BYTES), ("json", JSON), ("bool", (True, False, False)), ("i64", I64),
               ("f64", F64), ("timestamp", TIMES), ("tokens16", TOKENS16), ("tokens32", TOKENS32), ("tensor", TENSORS))
    cols, sources = [], []
    for t, values in scalars + (("runs", RUNS),):
        cols += [Column(t, t), Column("null " + t, t, null=True, attrs={"b": "é\"", "a": ""})]
        sources += [(values, 0), (values, 3)]
    for t, values in scalars[:9]:
        cols.append(Column("list " + t, "list", t, null=t in ("utf8", "f64", "bool")))
        sources.append((lists(values), 5 if cols[-1].null else 0))
    fixed = [c.name for c in cols if c.type not in ("runs", "list")]
    s = Schema(cols, fixed, fixed, (3000, 9000, 20000))
    rows = [[cycle(v, i + k, n) for k, (v, n) in enumerate(sources)] for i in range(20)]
    return s, rows, {"provenance": [step("types")]}


def explicit():
    n = Noise("explicit")
    s = Schema([Column("key", "utf8"), Column("text", "utf8", null=True), Column("label", "i64", null=True),
                Column("meta", "json", null=True)], ["text"], None, SMALL)
    rows = [[b"dir/%03d.txt" % i, None if i % 17 == 3 else n.text(n.below(30)), n.below(5) - 1 if n.below(4) else None,
             n.pick(JSON[:11]) if n.below(3) else None] for i in range(160)]
    return s, rows, {}


def lineage():
    """Sources, origins of several ranges, provenance of a graph, counts, the footer index."""
    n = Noise("lineage")
    s = Schema([Column("text", "utf8"), Column("tokens", "tokens16", attrs={"source": "text", "tokenizer": "sha256:" + "0f" * 32})],
               ["text"], ["text"], SMALL)
    rows, origins, at = [], [], {}
    for i in range(130):
        text = n.text(1 + n.below(25))
        rows.append([text, [n.below(65536) for _ in range(n.below(12))]])
        source = i // 20
        at[source] = at.get(source, 0) + n.below(3)
        ranges = [] if i % 31 == 30 else [(source, at[source], len(text))]
        if i % 19 == 18:
            ranges += [(source + 1, 7, 0), (source, 2**62, 5)]
        at[source] += len(text)
        origins.append(ranges)
    sources = [("dir/größe %d.txt" % i).encode() for i in range(7)]
    sources = [(name, 10**i * 77, n.bytes(32)) for i, name in enumerate(sources)]
    one, two = step("dsprep text", options={"format": "text", "rate": [0.1, -2.0, 1e+300, 1 / 3, 2.0**60, -2**63],
                                                       "split": {"a": 1, "b": [True, None]}}), step("import")
    three = step("merge", parents=[one["id"], two["id"]])
    four = step("dsprep tokenize", "0.1.0", [three["id"]], {"é": "\x7f"}, {"tokenizer": "sha256:" + "0f" * 32})
    return s, rows, {"origins": origins, "sources": sources, "provenance": [one, two, three, four], "index": True,
                     "held": {"not text": 3, "NUL byte": 1}, "failed": {"größe": 2**62, "unreadable": 1}}


def empty():
    return Schema([Column("text", "utf8")], ["text"], ["text"]), [], {"index": True}


def rootless():
    s = Schema([Column("key", "utf8"), Column("b", "bytes"), Column("ok", "bool", null=True)], ["ok", "b"], None, (1, 1, 1))
    rows = [[b"same" if i % 2 else b"k%d" % i, BYTES[i % 4][:20], cycle((True, False), i, 3)] for i in range(21)]
    return s, rows, {"with_root": False, "sources": [(b"never used", 0, bytes(32))]}


def patterned(n, patterns, size):
    """Bytes that compress well and still have cuts of their own: a few patterns in changing turns."""
    out = b""
    while len(out) < size:
        out += n.pick(patterns) * (1 + n.below(90)) + n.bytes(8)
    return out[:size]


def pieces():
    """Chunks of several pieces, zstd."""
    n = Noise("pieces")
    s = Schema([Column("key", "utf8"), Column("image", "tensor"), Column("note", "utf8", null=True)], ["image"])
    patterns = [n.bytes(997 + 31 * k) for k in range(4)]
    data = [patterned(n, patterns, size) for size in (2600000, 40, 1048500, 1400002)]
    rows = [[b"%d" % i, Tensor(1, [2, len(d) // 2], d), None if i else b"first"] for i, d in enumerate(data)]
    return s, rows, {"level": 3, "index": True}


def blocks():
    """The default block sizes, zstd."""
    n = Noise("blocks")
    s = Schema([Column("x", "tensor"), Column("i", "i64")], ["x"], ["x", "i"])
    rows, patterns = [], [n.bytes(200 + 31 * k) for k in range(4)]
    for i in range(100):
        d = patterned(n, patterns, 2 * (500 + n.below(20000)))
        rows.append([Tensor(4, [len(d) // 2], d), i])
    return s, rows, {"level": 9, "origins": [[(0, i, 1)] for i in range(100)], "sources": [(b"volume", 100, n.bytes(32))]}


STREAMS = (types, explicit, lineage, empty, rootless, pieces, blocks)


def make(f):
    """A stream's bytes, its JSON lines and its two roots; all of it read back and compared."""
    schema, rows, options = f()
    b = dsr.write(schema, rows, **options)
    s = dsr.read(b)
    back = [list(r) for r in s.rows()]
    assert repr(back) == repr([list(r) for r in rows]), f.__name__
    root, origin = s.roots()
    return b, dsr.cat(s), "%s sha256:%s sha256:%s\n" % (f.__name__, root.hex(), origin.hex())


def aborted():
    schema, rows, options = explicit()
    frames = dsr.stream_frames(schema, rows, **options)
    cut = [i for i, f in enumerate(frames) if f.type == b"B"][2] + 2
    return dsr.serialise(frames[:cut] + [dsr.Frame(b"A", b'{"abort":"disk \\"\xc3\xa9\\" gone"}')])


def files():
    """Name -> bytes of all that lies in v1/."""
    out, table = {}, ""
    for f in STREAMS:
        b, lines, row = make(f)
        out[f.__name__ + ".dsr"], out[f.__name__ + ".jsonl"] = b, lines
        table += row
    out["roots"], out["aborted.dsr"] = table.encode(), aborted()
    return out


def compare():
    """What of v1/ is not what this script makes."""
    wrong = []
    for name, b in files().items():
        with open(os.path.join(HERE, name), "rb") as f:
            if f.read() != b and name not in ("pieces.dsr", "blocks.dsr"):
                wrong.append(name)
    return wrong


def main():
    if sys.argv[1:] == ["--write"]:
        for name, b in files().items():
            with open(os.path.join(HERE, name), "wb") as f:
                f.write(b)
        return 0
    wrong = compare()
    print("v1: %s" % (" ".join(wrong) + " differ" if wrong else "as made"))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
