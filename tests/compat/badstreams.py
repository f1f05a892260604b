#!/usr/bin/env python3
"""Streams that are wrong in one way each, everything else in them (checksums above all) being right.

    badstreams.py        says whether dsr.py refuses each by the rule that it breaks
    badstreams.py DIR    writes them to DIR/NAME.dsr

families() gives (name, rule, bytes) for each: the rule is the word by which dsr.py refuses it.
"""
import os
import struct
import sys

import dsr
from dsr import Frame, MIB, block_frames, dump, end_frame, piece_frame, serialise, step, stream_frames, u64
from dsrcol import Column, Schema, Tensor, encode_chunk, varint, zigzag
from gen import Noise

V = Frame(b"V", b"[]")
U64_MAX = varint(2**64 - 1)


def small():
    """Frames of a good stream: four columns' chunks in several blocks, two sources, one step of provenance."""
    n = Noise("bad")
    s = Schema([Column("text", "utf8"), Column("n", "i64", null=True)], ["text"], ["text"], (100, 300, 900))
    rows = [[n.text(1 + n.below(9)), None if i % 5 == 4 else i] for i in range(60)]
    return stream_frames(s, rows, [[(i // 30, 10 * i, 9)] for i in range(60)],
                         [(b"one", 300, bytes(32)), (b"two", 600, bytes(32))], [step("text")], with_root=False, index=True)


def tail(frames):
    out = dsr.Out()
    for f in frames:
        out.put(f)
    return u64(out.offsets[-1]) + dsr.INDEX_MAGIC


class Cases:
    def __init__(self):
        self.list = []

    def add(self, name, rule, b):
        self.list.append((name, rule, b))

    def frames(self, name, rule, frames, end=b""):
        self.add(name, rule, serialise(frames, tail=end))


def at(frames, type, n=0):
    return [i for i, f in enumerate(frames) if f.type == type][n]


# ---- frames and their order ----

def bad_bytes(c):
    good = small()
    plain = good[:-1]
    b = serialise(plain)
    c.add("empty", "truncated", b"")
    c.add("magic", "magic", b"DSR2" + b[4:])
    c.add("magic-text", "magic", b.replace(b"\r\n\x1a\n", b"\n\x1a\n", 1) + b"\0")
    c.add("magic-only", "truncated", b[:8])
    c.add("cut-in-header", "truncated", b[:8 + 10])
    c.add("cut-in-sum", "truncated", b[:8 + 20])
    c.add("cut-in-payload", "truncated", b[:len(b) - 1])
    c.add("no-end", "truncated", serialise(plain[:-1]))
    c.add("no-end-in-block", "truncated", serialise(plain[:at(plain, b"B", 2) + 2]))
    c.add("no-provenance", "truncated", serialise(plain[:1]))
    c.add("flip-header", "checksum", b[:10] + bytes([b[10] ^ 1]) + b[11:])
    c.add("flip-sum", "checksum", b[:30] + bytes([b[30] ^ 1]) + b[31:])
    c.add("flip-payload", "checksum", b[:50] + bytes([b[50] ^ 0x20]) + b[51:])
    c.add("after-end-byte", "truncated", b + b"\0")
    c.add("after-end-stream", "frame-length", b + b)


def bad_headers(c):
    def change(name, rule, which, n=0, **fields):
        frames = small()[:-1]
        for k, v in fields.items():
            setattr(frames[at(frames, which, n)], k, v)
        c.frames(name, rule, frames)
    change("seq-first", "seq", b"H", seq=1)
    change("seq-repeat", "seq", b"P", 3, seq=5)
    change("seq-end", "seq", b"E", seq=0)
    change("codec-2", "codec", b"P", codec=2)
    change("codec-255", "codec", b"P", codec=255)
    change("column-on-schema", "column", b"H", column=1)
    change("column-on-block", "column", b"B", column=1)
    change("column-on-end", "column", b"E", column=7)
    change("column-other", "column", b"P", 1, column=2)
    change("column-past", "column", b"P", 2, column=40000)
    change("type-unknown", "order", b"S", type=b"Z")
    change("type-lower", "order", b"B", 1, type=b"b")
    change("type-zero", "order", b"B", 1, type=b"\0")
    change("reference", "order", b"S", type=b"R")
    for name, raw in (("raw-longer", 1), ("raw-mib", MIB)):
        frames = small()[:-1]
        f = frames[at(frames, b"P")]
        f.raw = len(f.payload) + raw if raw == 1 else raw
        c.frames(name, "frame-length", frames)
    frames = small()[:-1]
    f = frames[at(frames, b"P")]
    f.raw = len(f.payload) - 1
    c.frames("raw-shorter", "frame-length", frames)
    frames = small()[:-1]
    frames.insert(2, Frame(b"P", b""))
    c.frames("frame-empty", "frame-length", frames)
    frames = small()[:-1]
    frames.insert(2, Frame(b"S", bytes(MIB + 1)))
    c.frames("frame-long", "frame-length", frames)
    h = frames[0].payload
    packed = dsr.zstd(h * 9, 3)
    c.frames("zstd-schema", "codec", [Frame(b"H", packed, codec=1, raw=9 * len(h))] + frames[1:])


def bad_zstd(c):
    text = b"it was a piece that packs " * 30
    s = Schema([Column("text", "utf8")], ["text"], ["text"])
    chunk = encode_chunk(s.columns[0], [text])
    packed = dsr.zstd(chunk, 3)

    def put(name, payload, rule="zstd", raw=len(chunk)):
        frames = [Frame(b"H", s.json()), V] + block_frames(1, [chunk, b"\1\0"])
        frames[3] = Frame(b"P", payload, codec=1, raw=raw)
        c.frames(name, rule, frames + [end_frame(1, 1, 0)])
    put("zstd-short", packed, raw=len(chunk) + 1)
    put("zstd-long", packed, raw=len(chunk) - 1)
    put("zstd-garbage", b"no zstd frame at all")
    put("zstd-flipped", packed[:-3] + bytes([packed[-3] ^ 0xFF, packed[-2] ^ 0xFF]) + packed[-1:])
    put("zstd-cut", packed[:-1])
    put("zstd-trailing", packed + b"\0")
    put("zstd-two", dsr.zstd(chunk[:400], 3) + dsr.zstd(chunk[400:], 3))
    put("zstd-skippable", struct.pack("<II", 0x184D2A50, 4) + b"skip" + packed)
    put("zstd-skippable-after", packed + struct.pack("<II", 0x184D2A50, 4) + b"skip")
    assert packed[4] & 3 == 0
    head = 5 + (not packed[4] >> 5 & 1)
    put("zstd-dictionary", packed[:4] + bytes([packed[4] | 1]) + packed[5:head] + b"\7" + packed[head:], "zstd-dictionary")
    noise = Noise("zstd").bytes(300)
    frames = [Frame(b"H", Schema([Column("b", "bytes")], ["b"], ["b"]).json()), V]
    chunk = encode_chunk(Column("b", "bytes"), [noise])
    frames += block_frames(1, [chunk, b"\1\0"])
    raw = dsr.zstd(chunk, 3)
    frames[3] = Frame(b"P", raw, codec=1, raw=len(chunk))
    c.frames("zstd-larger", "frame-length", frames + [end_frame(1, 1, 0)])
    frames[3] = Frame(b"P", raw, codec=1, raw=len(raw))
    c.frames("zstd-equal", "zstd-larger", frames + [end_frame(1, 1, 0)])


def bad_order(c):
    def edit(name, rule, f, end=b""):
        frames = small()[:-1]
        f(frames)
        c.frames(name, rule, frames, end)

    def swap(frames, i, j):
        frames[i], frames[j] = frames[j], frames[i]
    edit("no-schema", "order", lambda f: f.pop(0))
    edit("no-provenance-before-block", "order", lambda f: f.pop(1))
    edit("provenance-first", "order", lambda f: swap(f, 0, 1))
    edit("schema-twice", "order", lambda f: f.insert(1, f[0]))
    edit("schema-late", "order", lambda f: f.insert(2, f[0]))
    edit("provenance-twice", "order", lambda f: f.insert(2, f[1]))
    edit("provenance-late", "order", lambda f: f.insert(at(f, b"B", 1), f[1]))
    edit("abort-first", "order", lambda f: f.insert(0, Frame(b"A", b'{"abort":"x"}')))
    edit("abort-second", "order", lambda f: f.insert(1, Frame(b"A", b'{"abort":"x"}')))
    edit("end-first", "order", lambda f: f.insert(2, f[-1]) or f.pop(0))
    edit("source-in-block", "order", lambda f: f.insert(at(f, b"B") + 2, f[at(f, b"S")]))
    edit("block-in-block", "order", lambda f: f.insert(at(f, b"B") + 2, f[at(f, b"B")]))
    edit("end-in-block", "order", lambda f: f.insert(at(f, b"B") + 2, f[-1]))
    edit("index-in-block", "order", lambda f: f.insert(at(f, b"B") + 2, Frame(b"X", b"\0")))
    edit("piece-first", "order", lambda f: f.insert(2, f[at(f, b"P")]))
    edit("piece-stray", "order", lambda f: f.insert(at(f, b"B", 1), f[at(f, b"P")]))
    edit("piece-missing", "order", lambda f: f.pop(at(f, b"B", 1) - 1))
    edit("piece-first-missing", "column", lambda f: f.pop(at(f, b"B", 1) + 1))
    edit("pieces-swapped", "column", lambda f: swap(f, at(f, b"B") + 1, at(f, b"B") + 2))
    edit("index-before-end", "order", lambda f: f.insert(len(f) - 1, Frame(b"X", b"\0")))
    edit("end-twice", "after-end", lambda f: f.append(end_frame(60, 1, 2)))
    edit("block-after-end", "after-end", lambda f: f.extend(f[at(f, b"B"):at(f, b"B") + 4]))
    edit("source-after-end", "after-end", lambda f: f.append(f[at(f, b"S")]))
    edit("abort-after-end", "after-end", lambda f: f.append(Frame(b"A", b'{"abort":"x"}')))
    edit("abort-not-last", "after-end", lambda f: f.insert(2, Frame(b"A", b'{"abort":"x"}')))
    for name, text in (("abort-empty-object", b"{}"), ("abort-number", b'{"abort":1}'), ("abort-more", b'{"abort":"x","y":1}')):
        edit(name, "abort", lambda f, t=text: f.__setitem__(slice(2, None), [Frame(b"A", t)]))
    edit("abort-space", "json", lambda f: f.__setitem__(slice(2, None), [Frame(b"A", b'{"abort": "x"}')]))


# ---- blocks, cuts ----

def bad_blocks(c):
    s = Schema([Column("text", "utf8")], ["text"], ["text"])
    chunks = [encode_chunk(s.columns[0], [b"a", b"bc"]), b"\2\0\0"]
    pieces = [piece_frame(p, i) for i, p in enumerate(chunks)]
    a, b = len(chunks[0]), len(chunks[1])

    def put(name, rule, head, ps=pieces):
        c.frames(name, rule, [Frame(b"H", s.json()), V, Frame(b"B", bytes(head))] + ps + [end_frame(2, 1, 0)])
    put("block-rows-0", "rows", [0, 2, a, 1, b, 1])
    put("block-rows-more", "chunk-rows", [3, 2, a, 1, b, 1])
    put("block-chunks-less", "nchunks", [2, 1, a, 1])
    put("block-chunks-more", "nchunks", [2, 3, a, 1, b, 1, b, 1], pieces + [piece_frame(chunks[1], 2)])
    put("block-chunks-many", "nchunks", b"\2" + U64_MAX)
    put("block-short", "short", [2, 2, a, 1, b])
    put("block-trailing", "trailing", [2, 2, a, 1, b, 1, 0])
    put("block-varint", "varint", [0x82, 0, 2, a, 1, b, 1])
    put("block-varint-past", "varint", b"\2\2" + b"\xff" * 9 + b"\2" + bytes([1, b, 1]))
    put("block-varint-endless", "varint", b"\2\2" + b"\x80" * 30)
    put("chunk-length-less", "chunk-length", [2, 2, a - 1, 1, b, 1])
    put("chunk-length-more", "chunk-length", [2, 2, a + 1, 1, b, 1])
    put("chunk-length-huge", "chunk-length", b"\2\2" + varint(2**62) + bytes([1, b, 1]))
    put("chunk-length-max", "chunk-length", b"\2\2" + U64_MAX + bytes([1, b, 1]))
    put("chunk-pieces-0", "chunk-length", [2, 2, a, 0, b, 1], pieces[1:])
    put("chunk-pieces-2", "piece-cut", [2, 2, a, 2, b, 1],
        [Frame(b"P", chunks[0][:2]), Frame(b"P", chunks[0][2:]), pieces[1]])
    put("chunk-pieces-huge", "column", b"\2\2" + bytes([a]) + U64_MAX + bytes([b, 1]))
    n = Noise("cuts")
    big = encode_chunk(Column("b", "bytes"), [n.bytes(1500000)])
    good = dsr.cut_pieces(big)
    half = len(good[0]) // 2
    s = Schema([Column("b", "bytes")], ["b"], ["b"])
    for name, ps in (("piece-cut-max", [big[:MIB], big[MIB:]]), ("piece-cut-late", [big[:len(good[0]) + 1], big[len(good[0]) + 1:]]),
                     ("piece-cut-early", [good[0][:half], good[0][half:]] + good[1:]),
                     ("piece-cut-even", [big[:len(big) // 2], big[len(big) // 2:]])):
        assert b"".join(ps) == big and max(map(len, ps)) <= MIB and ps != good
        c.frames(name, "piece-cut", [Frame(b"H", s.json()), V, Frame(b"B", b"\1\2" + varint(len(big)) + varint(len(ps)) + b"\2\1")]
                 + [Frame(b"P", p) for p in ps] + [Frame(b"P", b"\1\0", 1), end_frame(1, 1, 0)])


def bad_cuts(c):
    n = Noise("block cuts")
    s = Schema([Column("text", "utf8")], ["text"], ["text"], (100, 300, 900))
    rows = [[n.text(1 + n.below(9))] for _ in range(60)]
    counts = [k for k, _, _ in dsr.cut_blocks(s, rows)]
    assert len(counts) > 4 and max(counts) > 1

    def put(name, rule, counts, schema=s, data=rows):
        assert sum(counts) == len(data)
        frames, at_ = [Frame(b"H", schema.json()), V], 0
        for k in counts:
            part = data[at_:at_ + k]
            at_ += k
            frames += block_frames(k, [encode_chunk(schema.columns[0], [r[0] for r in part]), varint(k) + bytes(k)])
        c.frames(name, rule, frames + [end_frame(len(data), len(counts), 0)])
    put("blocks-one", "cut-late", [60])
    put("blocks-each", "cut-early", [1] * 60)
    put("block-cut-early", "cut-early", [counts[0] - 1, 1 + counts[1]] + counts[2:])
    put("block-cut-late", "cut-late", [counts[0] + 1, counts[1] - 1] + counts[2:] if counts[1] > 1
        else [counts[0] + 1] + counts[2:])
    put("block-last-joined", "cut-late", counts[:-2] + [counts[-2] + counts[-1]])
    put("block-last-split", "cut-early", counts[:-1] + [1, counts[-1] - 1])
    even = Schema(s.columns, ["text"], ["text"], (900, 900, 900))
    alike = [[b"x" * 90]] * 60
    assert [k for k, _, _ in dsr.cut_blocks(even, alike)] == [10] * 6
    put("block-max", "cut-late", [11] + [10] * 4 + [9], even, alike)
    put("block-min", "cut-early", [9] + [10] * 5 + [1], even, alike)

    class Forgetful(dsr.Cutter):  # a window that begins anew in each block
        def record(self, *told):
            cut = super().record(*told)
            if cut:
                self.window = [0] * 8
            return cut
    cutter, wrong, k = Forgetful(s), [], 0
    for i, row in enumerate(rows):
        k += 1
        if cutter.record(*dsr.claim(s, row)) or i + 1 == len(rows):
            wrong.append(k)
            k = 0
    assert wrong != counts
    put("block-window", "cut-" + first_cut(counts, wrong), wrong)


# ---- references ----

STORE = bytes([1, 2, 3]) + bytes(13)  # the number of no store


def refers(store=STORE):
    """Schema, records and frames of a good stream whose texts are references."""
    n = Noise("refers")
    s = Schema([Column("key", "utf8"), Column("n", "i64", null=True), Column("text", "utf8")], ["text"], None, (100, 300, 900))
    rows = [[b"k%d" % i, None if i % 5 == 4 else i, n.text(1 + n.below(9))] for i in range(40)]
    return s, rows, stream_frames(s, rows, [[(0, 10 * i, 9)] for i in range(40)], [(b"one", 400, bytes(32))],
                                  with_root=False, refer=(store, [2]))


def told(f):
    """What an R frame tells, to be told otherwise."""
    c = dsr.Cursor(f.payload, "reference")
    _, pieces, rows = c.take(16), c.varint(), c.varint()
    pieces = [(c.varint(), c.take(32)) for _ in range(pieces)]
    return pieces, [(c.varint(), int.from_bytes(c.take(8), "little")) for _ in range(rows)]


def references(store=STORE):
    """(name, rule, bytes): references that break one rule each. Another store's number is no rule of the format."""
    c = Cases()

    def change(name, rule, how, frames=None):
        """how: pieces and claims to what they are instead, or to the payload."""
        frames = frames or refers(store)[2]
        f = frames[at(frames, b"R")]
        new = how(*told(f))
        f.payload = new if isinstance(new, bytes) else dsr.reference(dsr.Refs(store), *new)
        c.frames(name, rule, frames)

    def change_long(name, rule, lengths):
        """The first reference is of a chunk of 1,500,000 bytes in 3 pieces, and tells of pieces of these lengths."""
        frames = refers(store)[2]
        head = frames[at(frames, b"B")]
        c = dsr.Cursor(head.payload, "block")
        fields = [c.varint() for _ in range(10)]
        fields[6:8] = 1500000, 3  # of the chunk 2; the rows and the number of chunks come first
        head.payload = b"".join(map(varint, fields))
        change(name, rule, lambda p, r: ([(n, bytes(32)) for n in lengths], r), frames)

    def column(name, rule, number):
        frames = refers(store)[2]
        frames[at(frames, b"R")].column = number
        c.frames(name, rule, frames)
    change("refs-store-short", "short", lambda p, r: store[:15])
    change("refs-empty", "reference-count", lambda p, r: ([], []))
    change("refs-counts-short", "short", lambda p, r: store + b"")
    change("refs-pieces-many", "reference-count", lambda p, r: ([(1, bytes(32))] * 8193, r))
    change("refs-rows-many", "reference-count", lambda p, r: (p, [(9, 1)] * 32769))
    change("refs-piece-empty", "reference-piece", lambda p, r: ([(0, p[0][1])], r))
    change("refs-piece-large", "reference-piece", lambda p, r: ([(MIB + 1, p[0][1])], r))
    change("refs-piece-short", "short", lambda p, r: store + varint(1) + varint(0) + varint(p[0][0]) + p[0][1][:31])
    change("refs-row-short", "short", lambda p, r: dsr.reference(dsr.Refs(store), p, r)[:-1])
    change("refs-after", "trailing", lambda p, r: dsr.reference(dsr.Refs(store), p, r) + b"\0")
    change("refs-varint", "varint", lambda p, r: store + b"\x81\0" + dsr.reference(dsr.Refs(store), p, r)[17:])
    change("refs-length", "reference-fit", lambda p, r: ([(p[0][0] + 1, p[0][1])], r))
    change("refs-two-pieces", "reference-fit", lambda p, r: (p + p, r))
    change("refs-row-more", "reference-fit", lambda p, r: (p, r + r[:1]))
    change("refs-row-less", "order", lambda p, r: (p, r[:-1]))
    change_long("refs-piece-less", "order", [500000, 1000000])
    change_long("refs-piece-cut", "piece-cut", [9, 999991, 500000])
    change("refs-cut", "cut-late", lambda p, r: (p, [(900, r[0][1])] + r[1:]))
    column("refs-key", "column", 0)
    column("refs-other", "column", 1)
    column("refs-origin", "column", 3)
    column("refs-past", "column", 4)
    for name, number in (("key", 0), ("origin", 3)):
        frames = refers(store)[2]
        k = at(frames, b"B") + 1 + number
        frames[k] = Frame(b"R", dsr.reference(dsr.Refs(store), [(len(frames[k].payload), bytes(32))], []), number)
        c.frames("refs-place-" + name, "reference-place", frames)
    frames = refers(store)[2]
    k = at(frames, b"R")
    c.frames("refs-twice", "reference-place", frames[:k + 1] + frames[k:])
    c.frames("refs-alone", "order", frames[:2] + [frames[k]] + frames[2:])
    c.frames("refs-end", "truncated", frames[:k + 1])
    return c.list


def first_cut(good, other):
    a = b = 0
    for x, y in zip(good, other):
        a, b = a + x, b + y
        if a != b:
            return "late" if b > a else "early"
    raise AssertionError("no difference")


# ---- chunks ----

def column_stream(col, chunk, rows):
    """A stream of one block whose second column is the chunk given."""
    s = Schema([Column("id", "i64"), col], ["id"], ["id"])
    frames = [Frame(b"H", s.json()), V]
    frames += block_frames(rows, [encode_chunk(s.columns[0], list(range(rows))), chunk, varint(rows) + bytes(rows)])
    return serialise(frames + [end_frame(rows, 1, 0)])


def bad_chunks(c):
    def put(name, rule, col, chunk, rows):
        c.add(name, rule, column_stream(col, bytes(chunk), rows))
    utf, nul = Column("x", "utf8"), Column("x", "utf8", null=True)
    put("rows-less", "chunk-rows", utf, [1, 0, 1, 97], 2)
    put("rows-more", "chunk-rows", utf, [3, 0, 1, 1, 1, 97, 97, 97], 2)
    put("rows-huge", "chunk-rows", utf, U64_MAX + b"\0", 2)
    put("rows-varint", "varint", utf, [0x82, 0, 0, 1, 1, 97, 98], 2)
    put("has-null-2", "has-null", nul, [2, 2, 3, 1, 1, 97, 98], 2)
    put("has-null-without", "has-null", nul, [2, 1, 3, 1, 1, 97, 98], 2)
    put("null-forbidden", "null", utf, [2, 1, 1, 1, 97], 2)
    put("presence-padding", "padding", nul, [2, 1, 5, 1, 97], 2)
    put("presence-short", "short", nul, [9, 1, 0], 9)
    put("chunk-empty-tail", "short", utf, [2, 0], 2)
    put("chunk-trailing", "trailing", utf, [2, 0, 1, 1, 97, 98, 0], 2)
    put("lengths-short", "short", utf, [2, 0, 1], 2)
    put("lengths-varint", "varint", utf, [2, 0, 0x81, 0, 1, 97, 98], 2)
    put("lengths-huge", "short", utf, b"\2\0\1" + U64_MAX + b"ab", 2)
    put("lengths-wrap", "short", utf, b"\2\0\3" + U64_MAX + b"ab", 2)
    put("lengths-wrap-none", "short", utf, b"\2\0\1" + U64_MAX, 2)
    put("data-short", "short", utf, [2, 0, 1, 2, 97, 98], 2)
    for name, b in (("overlong", b"\xc0\x80"), ("overlong-3", b"\xe0\x80\xaf"), ("surrogate", b"\xed\xa0\x80"), ("past", b"\xf4\x90\x80\x80"),
                    ("cut", b"ab\xe2\x82"), ("lone", b"\x80"), ("ff", b"a" * 40 + b"\xff" + b"b" * 40)):
        put("utf8-" + name, "utf8", utf, encode_chunk(utf, [b"fine", b]), 2)
    put("utf8-split", "utf8", utf, encode_chunk(utf, [b"\xc3", b"\xa9"]), 2)
    put("utf8-key-split", "utf8", Column("x", "list", "utf8"), b"\1\0\2\1\1\xc3\xa9", 1)
    for t in ("bool", "list"):
        col = Column("x", t, "bool" if t == "list" else None)
        head = [2, 0, 1, 1] if t == "list" else [2, 0]
        put(t + "-padding", "padding", col, head + [7], 2)
        put(t + "-short", "short", col, head, 2)
        put(t + "-trailing", "trailing", col, head + [3, 0], 2)
    for t in ("i64", "f64", "timestamp"):
        put(t + "-short", "short", Column("x", t), [2, 0] + [0] * 15, 2)
        put(t + "-trailing", "trailing", Column("x", t), [2, 0] + [0] * 17, 2)
    for name, u in (("negative", 0xFFF8 << 48), ("payload", 0x7FF8 << 48 | 1), ("signalling", 0x7FF0 << 48 | 1), ("ones", 2**64 - 1)):
        put("nan-" + name, "nan", Column("x", "f64"), b"\2\0" + bytes(8) + u64(u), 2)
    put("nan-in-list", "nan", Column("x", "list", "f64"), b"\1\0\2" + bytes(8) + u64(0xFFF8 << 48), 1)


def bad_json(c):
    deep = b"[" * 129 + b"]" * 129
    texts = {"empty": b"", "space": b" 1", "space-after": b"1 ", "space-inside": b"[1, 2]", "newline": b"{\n}", "two": b"1 2", "two-arrays": b"[][]",
             "open": b"[1", "open-object": b'{"a":1', "open-string": b'"a', "close": b"]", "mixed": b"[1}", "comma": b"[1,]", "comma-object": b'{"a":1,}',
             "comma-first": b"[,1]", "no-colon": b'{"a"}', "no-value": b'{"a":}', "key": b"{a:1}", "number-key": b"{1:1}",
             "zeros": b"01", "point": b"1.", "point-first": b".5", "plus": b"+1", "minus": b"-", "exponent": b"1e", "hex": b"0x1", "nan": b"NaN",
             "infinity": b"-Infinity", "word": b"True", "word-cut": b"tru", "quote": b"'a'", "control": b'"\x01"', "tab": b'"\t"', "escape": b'"\\x"',
             "escape-cut": b'"\\u12"', "escape-sign": b'"\\u+123"', "utf8": b'"\xff"', "bom": b"\xef\xbb\xbf1", "nul": b"1\0", "comment": b"[1/**/]"}
    pairs = {"high": b'"\\ud800"', "low": b'"\\udc00"', "high-high": b'"\\ud800\\ud800"', "swapped": b'"\\udc00\\ud800"', "apart": b'"\\ud800x\\udc00"',
             "half": b'"\\uD83Dnot"'}
    col = Column("x", "json")
    for name, b in texts.items():
        c.add("json-" + name, "utf8" if name == "utf8" else "json", column_stream(col, encode_chunk(col, [b"1", b]), 2))
    for name, b in pairs.items():
        c.add("json-surrogate-" + name, "json-surrogate", column_stream(col, encode_chunk(col, [b, b"1"]), 2))
    c.add("json-deep", "json-depth", column_stream(col, encode_chunk(col, [deep]), 1))
    deep = b'{"a":' * 129 + b"1" + b"}" * 129
    c.add("json-deep-object", "json-depth", column_stream(col, encode_chunk(col, [deep]), 1))
    c.add("json-deep-open", "json-depth", column_stream(col, encode_chunk(col, [b"[" * 100000]), 1))
    items = Column("x", "list", "json")
    c.add("json-in-list", "json", column_stream(items, encode_chunk(items, [[b"1", b"[1 ]"]]), 1))


def bad_sequences(c):
    def put(name, rule, type, chunk, rows=1, item=None):
        c.add(name, rule, column_stream(Column("x", type, item), bytes(chunk), rows))
    put("tokens-short", "short", "tokens16", [1, 0, 2, 1, 0, 1])
    put("tokens-trailing", "trailing", "tokens32", [1, 0, 1, 1, 0, 0, 0, 9])
    put("tokens-huge", "short", "tokens32", b"\1\0" + varint(2**62) + bytes(4))
    put("tokens-wrap", "short", "tokens16", b"\1\0" + varint(2**63 + 1) + bytes(2))
    for bits, t in ((15, "tokens16"), (14, "tokens32")):
        put(t + "-wrap-none", "short", t, b"\1\0" + varint(2**(bits + 48)))
        put(t + "-wrap-some", "short", t, b"\1\0" + varint(2**(bits + 48) + 1) + bytes(2 if bits == 15 else 4))
    put("list-wrap-none", "short", "list", b"\1\0" + varint(2**61), item="i64")
    put("list-wrap-some", "short", "list", b"\1\0" + varint(2**61 + 1) + bytes(8), item="f64")
    put("list-wrap-bits", "short", "list", b"\1\0" + U64_MAX, item="bool")
    put("list-wrap-sum", "short", "list", b"\2\0" + U64_MAX + b"\1", 2, item="utf8")
    put("run-empty", "run-empty", "runs", [1, 0, 1, 0, 5])
    put("run-merge", "run-merge", "runs", [1, 0, 2, 1, 5, 2, 5])
    put("run-sum", "run-sum", "runs", b"\1\0\2" + U64_MAX + b"\1\1\2")
    put("run-varint", "varint", "runs", [1, 0, 1, 0x81, 0, 5])
    put("runs-short", "short", "runs", [1, 0, 2, 1, 5, 1])
    put("runs-trailing", "trailing", "runs", [1, 0, 1, 1, 5, 1])
    put("runs-huge", "short", "runs", b"\1\0" + U64_MAX + b"\1\1")
    put("dtype-0", "dtype", "tensor", [1, 0, 0, 0, 9])
    put("dtype-13", "dtype", "tensor", [1, 0, 13, 0, 9])
    put("ndim-9", "ndim", "tensor", [1, 0, 1, 9] + [1] * 9 + [7])
    put("tensor-short", "short", "tensor", [1, 0, 3, 1, 2, 0, 0, 0])
    put("tensor-trailing", "trailing", "tensor", [1, 0, 1, 1, 2, 0, 0, 0])
    put("tensor-head-short", "short", "tensor", [1, 0, 1, 3, 2])
    put("tensor-varint", "varint", "tensor", [1, 0, 1, 1, 0x81, 0, 0])
    put("tensor-product", "dims", "tensor", b"\1\0\1\2" + varint(2**32) + varint(2**32))
    put("tensor-product-size", "dims", "tensor", b"\1\0\x0c\1" + varint(2**61))
    put("tensor-product-zero", "dims", "tensor", b"\1\0\1\3" + varint(2**40) + varint(2**40) + b"\0")
    put("tensor-sum", "short", "tensor", b"\2\0\1\1" + U64_MAX + b"\1\1\3xx", 2)
    put("list-items-short", "short", "list", [1, 0, 3] + [0] * 16, item="i64")
    put("list-trailing-item", "trailing", "list", [1, 0, 1] + [0] * 16, item="i64")
    put("list-huge", "short", "list", b"\1\0" + U64_MAX, item="i64")
    put("list-huge-bool", "short", "list", b"\1\0" + U64_MAX + b"\1", item="bool")
    put("list-wrap", "short", "list", b"\2\0\2" + U64_MAX + b"\1", 2, item="bool")
    put("list-item-lengths", "short", "list", [1, 0, 2, 1, 2, 97, 98], item="utf8")
    put("list-tokens", "short", "list", [1, 0, 2, 1, 1, 0, 0, 0], item="tokens16")


# ---- origins and sources ----

def bad_origins(c):
    s = Schema([Column("text", "utf8")], ["text"], ["text"])

    def put(name, rule, origin, rows=1):
        frames = [Frame(b"H", s.json()), V] + block_frames(rows, [encode_chunk(s.columns[0], [b"a"] * rows), bytes(origin)])
        c.frames(name, rule, frames + [end_frame(rows, 1, 0)])
    put("origin-rows-less", "origin-rows", [1, 0], 2)
    put("origin-rows-more", "origin-rows", [2, 0, 0])
    put("origin-rows-0", "origin-rows", [0])
    put("origin-trailing", "trailing", [1, 0, 0])
    put("origin-short", "short", [1, 1, 0, 0])
    put("origin-ranges-huge", "short", b"\1" + U64_MAX)
    put("origin-varint", "varint", [1, 0x80, 0])
    put("origin-source-negative", "origin-range", b"\1\1" + varint(zigzag(-1)) + b"\0\0")
    put("origin-offset-negative", "origin-range", b"\1\1\0" + varint(zigzag(-1)) + b"\0")
    put("origin-offset-past", "origin-range", b"\1\1\2" + varint(2**63) + b"\0")
    put("origin-end-past", "origin-range", b"\1\1\2" + varint(2**63 - 1) + b"\1")
    put("origin-length-past", "origin-range", b"\1\1\0\0" + U64_MAX)
    put("origin-source-past", "origin-range", b"\1\2" + varint(zigzag(2**63 - 1)) + b"\0\0" + varint(zigzag(1)) + b"\0\0")

    def late(name, rule, payload, blocks=1):
        frames = [Frame(b"H", s.json()), V, Frame(b"S", bytes(payload))]
        frames += block_frames(1, [encode_chunk(s.columns[0], [b"a"]), b"\1\1\0\0\1"])
        c.frames(name, rule, frames + [end_frame(1, 1, 1)])
    row = b"\1a\1" + bytes(32)
    late("source-late", "source-late", b"\1" + row)

    def source(name, rule, payload, n=1):
        c.frames(name, rule, [Frame(b"H", s.json()), V, Frame(b"S", bytes(payload)), end_frame(0, 0, n)])
    source("source-none", "source-none", b"\0", 0)
    c.frames("source-parted", "source-parted", [Frame(b"H", s.json()), V] + [Frame(b"S", b"\1" + row)] * 2 + [end_frame(0, 0, 2)])
    long = varint(60000) + b"a" * 60000 + b"\1" + bytes(32)
    source("source-frame", "source-frame", b"\5" + long * 5, 5)
    c.frames("source-parted-early", "source-parted", [Frame(b"H", s.json()), V] + [Frame(b"S", b"\3" + long * 3)] * 2 + [end_frame(0, 0, 6)])
    source("source-short", "short", b"\1" + row[:-1])
    source("source-trailing", "trailing", b"\1" + row + b"\0")
    source("source-count", "short", b"\2" + row, 2)
    source("source-count-huge", "short", U64_MAX + row)
    source("source-unnamed", "source-name", b"\1\0\1" + bytes(32))
    source("source-nul", "source-name", b"\1\3a\0b\1" + bytes(32))
    source("source-utf8", "utf8", b"\1\1\xff\1" + bytes(32))
    source("source-long", "source-name", b"\1" + varint(65536) + b"a" * 65536 + b"\1" + bytes(32))
    source("source-varint", "varint", b"\1\x81\0a\1" + bytes(32))


# ---- JSON frames ----

def bad_schemas(c):
    good = b'{"columns":[{"name":"text","type":"utf8"},{"name":"b","type":"list","item":"i64","null":true,"attrs":{"a":"1","b":"2"}}],' \
           b'"key":"derived","keyed":["text"],"primary":["text"],"block":[1,2,3]}'
    Schema.parse(good)
    keyed = b'{"columns":[{"name":"key","type":"utf8"},{"name":"x","type":"i64"}],"key":"explicit","keyed":[],"primary":["x"],"block":[1,2,3]}'
    Schema.parse(keyed)

    def put(name, rule, old, new, base=good):
        text = base.replace(old, new, 1) if old else new
        assert text != base, name
        c.frames("schema-" + name, rule, [Frame(b"H", text), V, end_frame(0, 0, 0)])
    put("empty-object", "schema", None, b"{}")
    put("array", "schema", None, b"[]")
    put("cut", "json", None, good[:-1])
    put("space", "json", b",", b", ")
    put("newline", "json", None, good + b"\n")
    put("nul", "json", None, good + b"\0")
    put("bom", "json", None, b"\xef\xbb\xbf" + good)
    put("utf8", "json", b'"1"', b'"\xff"')
    put("escape", "json", b'"text"', b'"te\\u0078t"')
    put("slash", "json", b'"1"', b'"\\/"')
    put("upper", "json", b'"1"', b'"\\u001F"')
    put("number", "json", b"[1,2,3]", b"[1,2,3e0]")
    put("float", "schema-block", b"[1,2,3]", b"[1,2,3.0]")
    put("minus-zero", "json", b"[1,2,3]", b"[-0,2,3]")
    put("member-twice", "json", b'"key":"derived"', b'"key":"derived","key":"derived"')
    put("member-more", "schema", b'"block"', b'"x":1,"block"')
    put("member-less", "schema", b'"key":"derived",', b"")
    put("member-order", "schema", b'"keyed":["text"],"primary":["text"]', b'"primary":["text"],"keyed":["text"]')
    put("columns-0", "schema-columns", None, b'{"columns":[],"key":"derived","keyed":[],"primary":[],"block":[1,2,3]}')
    many = ",".join('{"name":"c%d","type":"i64"}' % i for i in range(256)).encode()
    put("columns-257", "schema-columns", b'"columns":[', b'"columns":[' + many + b",")
    put("column-twice", "schema-twice", b'"name":"b"', b'"name":"text"')
    put("column-order", "schema", b'"name":"text","type":"utf8"', b'"type":"utf8","name":"text"')
    put("column-member", "schema", b'"type":"utf8"', b'"type":"utf8","x":1')
    put("column-typeless", "schema", b'{"name":"text","type":"utf8"}', b'{"name":"text"}')
    put("name-empty", "schema-name", b'"name":"b"', b'"name":""')
    put("name-long", "schema-name", b'"name":"b"', b'"name":"' + b"b" * 129 + b'"')
    put("name-long-utf8", "schema-name", b'"name":"b"', b'"name":"' + "é".encode() * 65 + b'"')
    put("name-nul", "json", b'"name":"b"', b'"name":"b\\u0000"')
    put("name-number", "schema", b'"name":"b"', b'"name":1')
    put("type-unknown", "schema-type", b'"type":"utf8"', b'"type":"text"')
    put("type-case", "schema-type", b'"type":"utf8"', b'"type":"UTF8"')
    put("item-missing", "schema-item", b',"item":"i64"', b"")
    put("item-extra", "schema-item", b'"type":"utf8"', b'"type":"utf8","item":"i64"')
    for t in (b"list", b"tensor", b"runs", b"x"):
        put("item-" + t.decode(), "schema-item", b'"item":"i64"', b'"item":"%s"' % t)
    put("null-false", "schema-null", b'"null":true', b'"null":false')
    put("null-number", "schema-null", b'"null":true', b'"null":1')
    put("attrs-empty", "schema-attrs", b'{"a":"1","b":"2"}', b"{}")
    put("attrs-order", "schema-attrs", b'{"a":"1","b":"2"}', b'{"b":"2","a":"1"}')
    put("attrs-number", "schema-attrs", b'{"a":"1","b":"2"}', b'{"a":1}')
    put("attrs-nul", "json", b'{"a":"1","b":"2"}', b'{"a":"\\u0000"}')
    put("attrs-array", "schema-attrs", b'{"a":"1","b":"2"}', b"[]")
    put("key-word", "schema-key", b'"derived"', b'"none"')
    put("key-null", "schema-key", b'"key":"derived"', b'"key":null')
    put("key-column", "schema-key", b'"name":"b"', b'"name":"key"')
    put("key-missing", "schema-key", b'"name":"key"', b'"name":"id"', keyed)
    put("key-type", "schema-key", b'"type":"utf8"', b'"type":"bytes"', keyed)
    put("key-nullable", "schema-key", b'"type":"utf8"', b'"type":"utf8","null":true', keyed)
    put("key-second", "schema-key", b'[{"name":"key","type":"utf8"},{"name":"x","type":"i64"}]',
        b'[{"name":"x","type":"i64"},{"name":"key","type":"utf8"}]', keyed)
    put("keyed-empty", "schema-keyed", b'"keyed":["text"]', b'"keyed":[]')
    put("keyed-explicit", "schema-keyed", b'"keyed":[]', b'"keyed":["x"]', keyed)
    put("keyed-unknown", "schema-keyed", b'"keyed":["text"]', b'"keyed":["nobody"]')
    put("keyed-twice", "schema-keyed", b'"keyed":["text"]', b'"keyed":["text","text"]')
    put("keyed-list", "schema-keyed", b'"keyed":["text"]', b'"keyed":["text","b"]')
    put("keyed-number", "schema-keyed", b'"keyed":["text"]', b'"keyed":[0]')
    put("primary-empty", "schema-primary", b'"primary":["text"]', b'"primary":[]')
    put("primary-unknown", "schema-primary", b'"primary":["text"]', b'"primary":["nobody"]')
    put("primary-list", "schema-primary", b'"primary":["text"]', b'"primary":["b"]')
    put("primary-order", "schema-primary", b'"primary":["x"]', b'"primary":["x","key"]', keyed)
    for name, b in (("zero", b"[0,2,3]"), ("min", b"[3,2,3]"), ("max", b"[1,3,2]"), ("huge", b"[1,2,1073741825]"), ("two", b"[1,2]"), ("four", b"[1,2,3,4]"),
                    ("negative", b"[-1,2,3]"), ("text", b'["1",2,3]'), ("true", b"[true,2,3]"), ("past", b"[1,2,9223372036854775807]")):
        put("block-" + name, "schema-block", b"[1,2,3]", b)


def bad_provenance(c):
    a, b = step("a"), step("b")
    child = step("c", parents=[a["id"], b["id"]])
    h = small()[0]

    def put(name, rule, v):
        text = v if isinstance(v, bytes) else dump(v).encode()
        c.frames("provenance-" + name, rule, [h, Frame(b"V", text), end_frame(0, 0, 0)])

    def made(**members):
        s = {**{k: a[k] for k in dsr.STEP[1:]}, **members}
        return {"id": dsr.step_id(s), **s}
    dsr.check_provenance(dump([a, b, child]).encode())
    put("object", "provenance", b"{}")
    put("space", "json", b"[ ]")
    put("cut", "json", b"[")
    put("step-number", "step", b"[1]")
    put("step-order", "step", [{k: a[k] for k in reversed(dsr.STEP)}])
    put("step-less", "step", [{k: a[k] for k in dsr.STEP if k != "digests"}])
    put("step-more", "step", [{**a, "time": 1}])
    put("tool-number", "step", [made(tool=1)])
    put("version-null", "step", [made(version=None)])
    put("options-array", "step", [made(options=[])])
    put("options-nul", "json", b'[{"id":"0123456789abcdef","parents":[],"tool":"a","version":"1","options":{"a":"\\u0000"},"digests":{}}]')
    put("options-deep", "json", dump([a]).encode().replace(b'"options":{}', b'"options":{"a":' + b"[" * 512 + b"]" * 512 + b"}"))
    for name, text in (("exponent", b"1e2"), ("digits", b"0.10"), ("whole", b"1.00"), ("large", b"9223372036854775808"), ("tiny", b"1e-999")):
        put("options-" + name, "json", dump([a]).encode().replace(b'"options":{}', b'"options":{"a":' + text + b"}"))
    put("parents-object", "step", [made(parents={})])
    put("id", "step-id", [{**a, "id": "0123456789abcdef"}])
    put("id-upper", "step-id", [{**a, "id": a["id"].upper()}])
    put("id-long", "step-id", [{**a, "id": a["id"] + "0"}])
    put("id-twice", "step-id", [a, a])
    put("parent-unknown", "step-parents", [a, child])
    put("parent-late", "step-parents", [child, a, b])
    put("parent-number", "step-parents", [a, made(parents=[1])])
    put("options-order", "step-sorted", [made(options={"b": 1, "a": 2})])
    put("options-inner-order", "step-sorted", [made(options={"a": [{"b": 1, "a": 2}]})])
    put("digests-order", "step-sorted", [made(digests={"b": "1", "a": "2"})])


def bad_ends(c):
    def put(name, rule, old, new, frames=None):
        frames = small()[:-1] if frames is None else frames
        e = frames[-1].payload

        def payload(out):
            text = e(out)
            other = new if old is None else text.replace(old, new, 1)
            assert other != text, name
            return other
        c.frames("end-" + name, rule, frames[:-1] + [Frame(b"E", payload)])
    blocks = sum(f.type == b"B" for f in small())
    put("records", "end-records", b'"records":60', b'"records":61')
    put("records-text", "end-records", b'"records":60', b'"records":"60"')
    put("blocks", "end-blocks", b'"blocks":%d' % blocks, b'"blocks":%d' % (blocks - 1))
    put("sources", "end-sources", b'"sources":2', b'"sources":3')
    put("root", "end-root", b'"root":null', b'"root":"sha256:%s"' % (b"00" * 32))
    put("root-bare", "end-root", b'"root":null', b'"root":"%s"' % (b"00" * 32))
    put("root-number", "end-root", b'"root":null', b'"root":0')
    put("frames", "end-frames", b'"frames":"', b'"frames":"0')
    put("frames-null", "end-frames", None, dump({"records": 60, "blocks": blocks, "sources": 2, "held": {}, "failed": {},
                                                 "root": None, "frames": None}).encode())
    put("space", "json", b",", b", ")
    put("more", "end", b'"root"', b'"x":1,"root"')
    put("less", "end", b'"failed":{},', b"")
    put("order", "end", b'"held":{},"failed":{}', b'"failed":{},"held":{}')
    put("float", "end-records", b'"records":60', b'"records":60.0')
    put("held-order", "end-held", b'"held":{}', b'"held":{"b":1,"a":1}')
    put("held-zero", "end-held", b'"held":{}', b'"held":{"a":0}')
    put("held-negative", "end-held", b'"held":{}', b'"held":{"a":-1}')
    put("held-past", "json", b'"held":{}', b'"held":{"a":9223372036854775808}')
    put("held-unnamed", "end-held", b'"held":{}', b'"held":{"":1}')
    put("held-text", "end-held", b'"held":{}', b'"held":{"a":"1"}')
    put("held-array", "end-held", b'"held":{}', b'"held":[]')
    put("held-twice", "json", b'"held":{}', b'"held":{"a":1,"a":1}')
    put("failed-order", "end-failed", b'"failed":{}', b'"failed":{"b":1,"a":1}')
    put("failed-zero", "end-failed", b'"failed":{}', b'"failed":{"a":0}')
    frames = small()[:-1]
    s = Schema.parse(frames[0].payload)
    rows = [[b"a", 1]]
    good = stream_frames(s, rows)
    out = dsr.Out()
    root = dsr.roots(s.json(), [(n, ch) for n, ch, _ in dsr.cut_blocks(s, rows)], [])[0].hex().encode()
    for f in good:
        out.put(f)
    assert root in out.parts[-1]
    other = bytes([root[0] ^ 1]) + root[1:]
    put("root-near", "end-root", root, other, good)
    put("root-upper", "end-root", root, root.upper(), stream_frames(s, rows))
    frames = small()[:-1]
    frames[-1] = Frame(b"E", lambda out: dump({"records": 60, "blocks": blocks, "sources": 2, "held": {}, "failed": {}, "root": None,
                                               "frames": dsr.xxh128(out.sums[16:]).hex()}).encode())
    c.frames("end-frames-less", "end-frames", frames)
    c.frames("block-lost", "end-records", lost_block())


def lost_block():
    """The last block is gone, and with it its pieces; all checksums are right."""
    frames = small()[:-1]
    start = at(frames, b"B", -1)
    end = start + 4
    return frames[:start] + frames[end:]


def bad_indexes(c):
    good = small()
    end = tail(good)

    def put(name, rule, change=None, tail_=end, more=()):
        frames = list(good)
        if change:
            payload = good[-1].payload
            frames[-1] = Frame(b"X", lambda out: change(payload(out)))
        c.frames("index-" + name, rule, frames + list(more), tail_)
    b = serialise(good, tail=end)
    put("trailerless", "truncated", tail_=b"")
    put("trailer-cut", "truncated", tail_=end[:-1])
    put("trailer-offset", "trailer", tail_=u64(int.from_bytes(end[:8], "little") + 1) + end[8:])
    put("trailer-magic", "trailer", tail_=end[:8] + b"DSRINDEY")
    put("trailer-after", "after-end", tail_=end + b"\0")
    put("frame-after", "trailer", more=[Frame(b"X", b"\0")])
    c.frames("index-missing", "truncated", good[:-1], end)
    put("offset", "index", lambda p: p[:1] + bytes([p[1] ^ 1]) + p[2:])
    put("rows", "index", lambda p: p[:-1] + bytes([p[-1] + 1]))
    put("less", "index", lambda p: bytes([p[0] - 1]) + p[1:])
    put("more", "index", lambda p: bytes([p[0] + 1]) + p[1:] + b"\1\1")
    put("trailing", "trailing", lambda p: p + b"\0")
    put("short", "short", lambda p: p[:-1])
    put("empty", "index", lambda p: b"\0")
    dsr.read(b)
    c.frames("index-abort", "after-end", good[:-2] + [Frame(b"A", b'{"abort":"x"}'), good[-1]], end)


def families():
    """(name, [(name, rule, bytes), ...]) for each kind of rule."""
    out, names = [], []
    for f in (bad_bytes, bad_headers, bad_zstd, bad_order, bad_blocks, bad_cuts, bad_chunks, bad_json, bad_sequences, bad_origins, bad_schemas,
              bad_provenance, bad_ends, bad_indexes):
        c = Cases()
        f(c)
        out.append((f.__name__[4:], c.list))
        names += [n for n, _, _ in c.list]
    assert len(set(names)) == len(names), sorted(n for n in names if names.count(n) > 1)
    return out


def refused(b):
    """The word by which dsr.py refuses a stream; None when it does not."""
    try:
        dsr.read(b)
    except dsr.Aborted:
        return "aborted"
    except dsr.Bad as e:
        return e.rule
    return None


def main():
    made = [c for _, cases in families() for c in cases]
    if len(sys.argv) > 1:
        for name, _, b in made:
            with open(os.path.join(sys.argv[1], name + ".dsr"), "wb") as f:
                f.write(b)
        return 0
    dsr.read(serialise(small(), tail=tail(small())))
    wrong = [(name, rule, refused(b)) for name, rule, b in made if refused(b) != rule]
    for w in wrong:
        print("%s: %s belongs here, but dsr.py says %s" % w)
    print("%d streams, %d of them refused as they should be" % (len(made), len(made) - len(wrong)))
    return bool(wrong)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
