"""Good streams with something changed and the checksums made right again: whatever comes of it, dsr.py and the tools must
say the same of it. Reproducible from a number."""
import re
import struct
from random import Random

import badstreams
import dsr
import randstream
from dsr import Frame
from dsrcol import Bad, Cursor, varint

BYTES = (0, 1, 2, 127, 128, 255)
VARINTS = (b"\xff" * 9 + b"\1", b"\x80" * 9 + b"\1", b"\x80\0", b"\xff\xff\xff\xff\x0f")
DIGEST = re.compile(rb'"frames":"[0-9a-f]{32}"')


def good_streams():
    small = badstreams.small()
    return [b for b in map(randstream.stream, range(24)) if len(b) < 12000] + [dsr.serialise(small, tail=badstreams.tail(small))]


def parse(b):
    """The frames of a good stream, and its trailer."""
    at, frames = len(dsr.MAGIC), []
    while len(b) - at > 16:
        type, codec, column, stored, raw, _ = struct.unpack("<cBHIII", b[at:at + 16])
        frames.append(Frame(type, b[at + 32:at + 32 + stored], column, codec, raw if codec else None))
        at += 32 + stored
    return frames, b[at:]


def changed(r, p):
    """Bytes with a few small changes, early ones as often as others."""
    p = bytearray(p)
    for _ in range(r.choice((1, 1, 1, 2, 4))):
        p = p or bytearray(1)
        i = r.randrange(len(p)) if r.random() < 0.5 else r.randrange(min(12, len(p)))
        kind = r.randrange(7)
        if kind == 0:
            p[i] ^= 1 << r.randrange(8)
        elif kind == 1:
            p[i] = r.choice(BYTES)
        elif kind == 2:
            p[i] = p[i] + r.choice((1, 255)) & 255
        elif kind == 3:
            del p[i]
        elif kind == 4:
            p.insert(i, r.choice(BYTES))
        elif kind == 5:
            p[i:i] = r.choice(VARINTS)
        else:
            p[i:i] = p[i // 2:i // 2 + r.randrange(1, 9)]
    return bytes(p)


def follow(frames, but):
    """Makes the heads of blocks tell what has become of their pieces."""
    for i, f in enumerate(frames):
        if f.type != b"B" or f is but:
            continue
        pieces = []
        while i + 1 < len(frames) and frames[i + 1].type == b"P":
            i += 1
            pieces.append(frames[i])
        try:
            c = Cursor(f.payload, "block")
            rows, n = c.varint(), c.varint()
        except Bad:
            continue
        if n < 300 and not any(p.codec for p in pieces):
            chunks = [[len(p.payload) for p in pieces if p.column == k] for k in range(n)]
            f.payload = varint(rows) + varint(n) + b"".join(varint(sum(c)) + varint(len(c)) for c in chunks)


def change(r, frames, tail):
    i, kind = r.randrange(len(frames)), r.random()
    f = frames[i]
    if kind < 0.75:
        f.payload = changed(r, f.payload)
    elif kind < 0.80:
        frames.insert(r.randrange(len(frames)), f)
    elif kind < 0.85:
        del frames[i]
    elif kind < 0.90:
        k = r.randrange(len(frames))
        frames[i], frames[k] = frames[k], f
    elif kind < 0.93:
        f.type = bytes([r.choice(b"HVBPSEAXRZ")])
    elif kind < 0.96:
        f.column = r.randrange(5)
    else:
        return changed(r, tail), f
    return tail, f


def mutant(seed, good):
    """The bytes of the mutant of that number."""
    r = Random("mutant %d" % seed)
    frames, tail = parse(r.choice(good))
    tail, f = change(r, frames, tail)
    if r.random() < 0.9:
        follow(frames, f)
    for e in frames:
        if e.type == b"E" and not callable(e.payload):
            if r.random() < 0.7:  # another root would be the reason too often
                e.payload = re.sub(rb'"root":"sha256:[0-9a-f]{64}"', b'"root":null', e.payload)
            e.payload = lambda out, text=e.payload: DIGEST.sub(b'"frames":"%s"' % dsr.xxh128(out.sums).hex().encode(), text)
    return dsr.serialise(frames, tail=tail)
