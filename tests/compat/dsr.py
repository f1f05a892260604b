#!/usr/bin/env python3
"""DSR streams, read and written from docs/dsr-format.md alone: an implementation that shares no code with the tools.

    dsr.py check FILE     reads FILE ("-": standard input) and checks every rule; prints counts and the dataset root
    dsr.py root FILE      prints the dataset root and the origin root
    dsr.py cat FILE       prints the records as JSON lines, as `dsprep cat` does (--data: tensors with their data)

Exit 0, 1 when the producer aborted, 12 when the stream is corrupt. The whole stream is held in memory. zstd frames go
through the `zstd` command. A stream of references (R frames) is checked as far as that goes without the store that they
point into, and then refused (12) by that store's number: read() with that store reads it whole.
"""
import base64
import datetime
import functools
import hashlib
import struct
import subprocess
import sys

from dsrcol import (Bad, Cursor, DTYPES, M64, Schema, canonical, decode_chunk, dump, encode_chunk, json_str, real,
                    unzigzag, utf8, value_bytes, varint, zigzag)
from xxh3 import xxh64, xxh128

MAGIC = b"DSR1\r\n\x1a\n"
MIB = 1 << 20
INDEX_MAGIC = b"DSRINDEX"
SOURCES_FILL = 256 << 10
INDEX_FILL = 32768
REF_PIECES, REF_ROWS = 8192, 32768  # at most, in one R frame


class Aborted(Exception):
    pass


class NeedsStore(Bad):
    """A stream of references in which nothing is wrong; its data is in a store. stream: what is known of it."""

    def __init__(self, stream):
        refs = [c for _, chunks, _, _ in stream.blocks for c in chunks if isinstance(c, Refs)]
        super().__init__("reference", "reference frames need a store: %d bytes in %d chunks are in store %s, not in the stream"
                         % (sum(map(len, refs)), len(refs), refs[0].store.hex()))
        self.stream = stream


def u64(v):
    return struct.pack("<Q", v)


# ---- addresses ----

def tagged(tag, *parts):
    h = hashlib.sha256(b"ds." + tag + b"\0")
    for p in parts:
        h.update(p)
    return h.digest()


class Refs:
    """What references tell of a chunk. pieces: (length, address); claims: (size, hash) of each record, or none."""

    def __init__(self, store, pieces=(), claims=()):
        self.store, self.pieces, self.claims = store, list(pieces), list(claims)

    def __len__(self):
        return sum(n for n, _ in self.pieces)


def piece_addresses(chunk):
    return [tagged(b"piece", p) for p in cut_pieces(chunk)]


def chunk_address(chunk):
    """Of a chunk's bytes, or of what references tell of it."""
    pieces = [id for _, id in chunk.pieces] if isinstance(chunk, Refs) else piece_addresses(chunk)
    return tagged(b"chunk", u64(len(chunk)), u64(len(pieces)), *pieces)


def block_address(rows, chunks):
    """Of the columns' chunks, without the origin chunk."""
    return tagged(b"block", u64(rows), u64(len(chunks)), *map(chunk_address, chunks))


def source_row(name, size, sha):
    return varint(len(name)) + name + varint(size) + sha


def roots(schema_json, blocks, sources):
    """blocks: (rows, chunks, the origin chunk the last). Returns the dataset root and the origin root."""
    addresses = [block_address(rows, chunks[:-1]) for rows, chunks in blocks]
    root = tagged(b"root", tagged(b"schema", schema_json), *addresses, u64(len(blocks)))
    digest = tagged(b"sources", *[source_row(*s) for s in sources], u64(len(sources)))
    origin = tagged(b"origin", *[chunk_address(c[-1]) for _, c in blocks], u64(len(blocks)), digest)
    return root, origin


def derived_key(schema, row):
    h = hashlib.sha256(b"ds.key\0")
    for i in schema.keyed:
        h.update(value_frame(schema.columns[i].type, row[i]))
    return h.digest()[:16].hex()


def value_frame(type, v):
    if v is None:
        return b"\0"
    b = value_bytes(type, v)
    return b"\1" + u64(len(b)) + b


# ---- cuts ----

GEAR = [int.from_bytes(hashlib.md5(bytes([i]) * 64).digest()[:8], "big") for i in range(256)]
MASK_HARD, MASK_EASY = 0x0000D91767537000, 0x0000D90703537000
PIECE_MIN, PIECE_NORMAL = 256 << 10, 512 << 10


def piece_length(b):
    """Length of the first piece of b: FastCDC 2020, two bytes a step."""
    n = min(len(b), MIB)
    if len(b) <= PIECE_MIN:
        return len(b)
    h = 0
    for i in range(PIECE_MIN // 2, n // 2):
        mask = MASK_HARD if i < min(PIECE_NORMAL, n) // 2 else MASK_EASY
        h = ((h << 2) + (GEAR[b[2 * i]] << 1)) & M64
        if not h & (mask << 1):
            return 2 * i
        h = (h + GEAR[b[2 * i + 1]]) & M64
        if not h & mask:
            return 2 * i + 1
    return n


def cut_pieces(chunk):
    return [chunk] if len(chunk) <= MIB else list(cut_long(chunk))


@functools.lru_cache(8)
def cut_long(chunk):
    out, at = [], 0
    while at < len(chunk):
        n = piece_length(chunk[at:at + MIB + 1])
        out.append(chunk[at:at + n])
        at += n
    return out


def claim(schema, row):
    """Size and hash of a record."""
    hashed = b"".join(value_frame(schema.columns[i].type, row[i]) for i in schema.primary)
    size = 8 + sum(len(value_bytes(schema.columns[i].type, row[i])) for i in schema.primary if row[i] is not None)
    return size, xxh64(hashed)


class Cutter:
    """Where blocks end: record() is told of each record's size and hash and answers."""

    def __init__(self, schema):
        self.schema, self.window, self.size = schema, [0] * 8, 0

    def record(self, size, hash):
        low, target, high = self.schema.block
        self.window = self.window[1:] + [hash]
        self.size += size
        cut = self.size >= high
        if not cut and self.size >= low:
            cut = size >= target or xxh64(struct.pack("<8Q", *self.window)) >> 32 < (size << 32) // target
        if cut:
            self.size = 0
        return cut


# ---- origins ----

def encode_origins(state, ranges_of_rows):
    """state: [source, end], carried from block to block."""
    out = [varint(len(ranges_of_rows))]
    for ranges in ranges_of_rows:
        out.append(varint(len(ranges)))
        for source, offset, length in ranges:
            out.append(varint(zigzag(source - state[0])))
            out.append(varint(zigzag(offset - state[1])) if source == state[0] else varint(offset))
            out.append(varint(length))
            state[:] = source, offset + length
    return b"".join(out)


def decode_origins(state, chunk, rows):
    c = Cursor(chunk, "origins")
    if c.varint() != rows:
        raise Bad("origin-rows", "origins of another number of rows than the block's")
    out = []
    for _ in range(rows):
        ranges = []
        for _ in range(c.varint()):
            source = state[0] + unzigzag(c.varint())
            offset = state[1] + unzigzag(c.varint()) if source == state[0] else c.varint()
            length = c.varint()
            if not (0 <= source < 1 << 63 and 0 <= offset and offset + length < 1 << 63):
                raise Bad("origin-range", "an origin out of bounds", c.at)
            state[:] = source, offset + length
            ranges.append([source, offset, length])
        out.append(ranges)
    c.end()
    return out


# ---- writing ----

class Frame:
    """One frame to be. What is None is computed; payload may be a function of the Stream as written so far."""

    def __init__(self, type, payload, column=0, codec=0, raw=None, stored=None, seq=None, sum=None):
        self.type, self.payload, self.column, self.codec = type, payload, column, codec
        self.raw, self.stored, self.seq, self.sum = raw, stored, seq, sum


class Out:
    """Frames made into bytes."""

    def __init__(self, magic=MAGIC):
        self.parts, self.size, self.sums, self.seq, self.offsets = [magic], len(magic), bytearray(), 0, []

    def put(self, f):
        payload = f.payload(self) if callable(f.payload) else f.payload
        head = struct.pack("<cBHIII", f.type, f.codec, f.column, len(payload) if f.stored is None else f.stored,
                           len(payload) if f.raw is None else f.raw, self.seq if f.seq is None else f.seq)
        total = xxh128(head + payload) if f.sum is None else f.sum
        self.offsets.append(self.size)
        self.parts += [head, total, payload]
        self.size += 32 + len(payload)
        self.sums += total
        self.seq += 1

    def bytes(self):
        return b"".join(self.parts)


def serialise(frames, magic=MAGIC, tail=b""):
    out = Out(magic)
    for f in frames:
        out.put(f)
    return out.bytes() + tail


def zstd(data, level):
    return subprocess.run(["zstd", "-q", "-c", "-%d" % level], input=data, stdout=subprocess.PIPE, check=True).stdout


def piece_frame(piece, column, level=0):
    if level:
        packed = zstd(piece, level)
        if len(packed) < len(piece):
            return Frame(b"P", packed, column, 1, len(piece))
    return Frame(b"P", piece, column)


def reference(refs, pieces, claims):
    """The payload of one R frame."""
    return (refs.store + varint(len(pieces)) + varint(len(claims)) + b"".join(varint(n) + id for n, id in pieces)
            + b"".join(varint(size) + u64(hash) for size, hash in claims))


def reference_frames(refs, column):
    ends = max(-(-len(refs.pieces) // REF_PIECES), -(-len(refs.claims) // REF_ROWS))
    return [Frame(b"R", reference(refs, refs.pieces[k * REF_PIECES:(k + 1) * REF_PIECES],
                                  refs.claims[k * REF_ROWS:(k + 1) * REF_ROWS]), column) for k in range(ends)]


def chunk_frames(chunk, column, level=0):
    if isinstance(chunk, Refs):
        return reference_frames(chunk, column)
    return [piece_frame(p, column, level) for p in cut_pieces(chunk)]


def block_frames(rows, chunks, level=0):
    """chunks: bytes or Refs."""
    pieces = [len(c.pieces if isinstance(c, Refs) else cut_pieces(c)) for c in chunks]
    head = varint(rows) + varint(len(chunks)) + b"".join(varint(len(c)) + varint(p) for c, p in zip(chunks, pieces))
    return [Frame(b"B", head)] + [f for i, c in enumerate(chunks) for f in chunk_frames(c, i, level)]


def referred(store, schema, column, chunk, rows):
    """A chunk of these rows, told of by references into a store."""
    claims = [claim(schema, row) for row in rows] if column in schema.primary else []
    return Refs(store, zip(map(len, cut_pieces(chunk)), piece_addresses(chunk)), claims)


def end_frame(records, blocks, sources, held=None, failed=None, root=None):
    d = {"records": records, "blocks": blocks, "sources": sources, "held": dict(sorted((held or {}).items())),
         "failed": dict(sorted((failed or {}).items())), "root": root and "sha256:" + root.hex()}
    return Frame(b"E", lambda out: dump(dict(d, frames=xxh128(out.sums).hex())).encode("utf-8"))


def cut_blocks(schema, rows, origins=None):
    """Rows (lists of values) and their ranges into blocks: (rows, chunks with the origin chunk, ranges)."""
    cutter, state, out, start = Cutter(schema), [0, 0], [], 0
    origins = origins or [[]] * len(rows)
    for i, row in enumerate(rows):
        if cutter.record(*claim(schema, row)) or i + 1 == len(rows):
            part = rows[start:i + 1]
            chunks = [encode_chunk(c, [r[k] for r in part]) for k, c in enumerate(schema.columns)]
            chunks.append(encode_origins(state, origins[start:i + 1]))
            out.append((len(part), chunks, origins[start:i + 1]))
            start = i + 1
    return out


def source_frames(sources):
    out, fill = [], []
    for s in sources:
        row = source_row(*s)
        if fill and sum(map(len, fill)) + len(row) > SOURCES_FILL:
            out.append(Frame(b"S", varint(len(fill)) + b"".join(fill)))
            fill = []
        fill.append(row)
    return out + ([Frame(b"S", varint(len(fill)) + b"".join(fill))] if fill else [])


def stream_frames(schema, rows, origins=None, sources=(), provenance=(), held=None, failed=None, with_root=True,
                  level=0, index=False, told=None, refer=None):
    """A whole good stream, as frames. sources: (name, size, SHA-256 digest); told: how many blocks stand before each;
    refer: a store's number, and the columns whose chunks are references into it."""
    blocks = cut_blocks(schema, rows, origins)
    frames = [Frame(b"H", schema.json()), Frame(b"V", dump(list(provenance)).encode("utf-8"))]
    last = [-1] * len(sources)  # the last block that refers to each
    for n, (_, _, ranges) in enumerate(blocks):
        for r in (r for row in ranges for r in row if r[0] < len(last)):
            last[r[0]] = n
    if told is not None:
        last = [n - 1 for n in told]
    done, heads, first = 0, [], 0
    for n, (count, chunks, _) in enumerate(blocks):
        ready = done
        while ready < len(sources) and last[ready] < n:
            ready += 1
        frames += source_frames(sources[done:ready])
        done = ready
        heads.append((len(frames), count))
        sent = [referred(refer[0], schema, i, c, rows[first:first + count]) if refer and i in refer[1] else c
                for i, c in enumerate(chunks)]
        first += count
        frames += block_frames(count, sent, level)
    frames += source_frames(sources[done:])
    root = roots(schema.json(), [(n, c) for n, c, _ in blocks], sources)[0] if with_root else None
    frames.append(end_frame(len(rows), len(blocks), len(sources), held, failed, root))
    if index:
        frames += index_frames(heads)
    return frames


def index_frames(heads):
    """heads: (number of the B frame, rows) of each block."""
    def frame(part, before):
        def payload(out):
            offsets = [out.offsets[before] if before else 0] + [out.offsets[k] for k, _ in part]
            return varint(len(part)) + b"".join(varint(b - a) + varint(n)
                                                for a, b, (_, n) in zip(offsets, offsets[1:], part))
        return Frame(b"X", payload)
    return [frame(heads[k:k + INDEX_FILL], k and heads[k - 1][0]) for k in range(0, max(len(heads), 1), INDEX_FILL)]


def write(schema, rows, **options):
    frames = stream_frames(schema, rows, **options)
    out = Out()
    for f in frames:
        out.put(f)
    first = next((o for o, f in zip(out.offsets, frames) if f.type == b"X"), None)
    return out.bytes() + (b"" if first is None else u64(first) + INDEX_MAGIC)


# ---- reading ----

class Stream:
    """A stream that was read and found good."""

    def __init__(self):
        self.schema = self.provenance = self.end = None
        self.blocks, self.offsets = [], []  # blocks: (rows, chunks, columns of values, origins)
        self.referred = 0  # chunks that are references, of which neither bytes nor values are here
        self.sources, self.told = [], []  # told: how many blocks stood before each source

    def rows(self):
        for _, _, columns, _ in self.blocks:
            yield from zip(*columns)

    def roots(self):
        return roots(self.schema.json(), [(n, c) for n, c, _, _ in self.blocks], self.sources)


def check_zstd(b, at):
    """One zstd frame (RFC 8878) without a dictionary, and nothing after."""
    if len(b) < 6 or b[:4] != b"\x28\xb5\x2f\xfd":
        raise Bad("zstd", "not a zstd frame", at)
    flags = b[4]
    if flags & 3:
        raise Bad("zstd-dictionary", "a zstd frame with a dictionary", at)
    single = flags >> 5 & 1
    pos = 5 + (not single) + (single if flags >> 6 == 0 else 1 << (flags >> 6))
    last = 0
    while not last:
        if pos + 3 > len(b):
            raise Bad("zstd", "a zstd frame that ends early", at)
        head = int.from_bytes(b[pos:pos + 3], "little")
        last = head & 1
        pos += 3 + (1 if head >> 1 & 3 == 1 else head >> 3)
    if pos + 4 * (flags >> 2 & 1) != len(b):
        raise Bad("zstd", "a zstd frame of another length", at)


def unzstd(stored, raw, at):
    p = subprocess.run(["zstd", "-q", "-d", "-c"], input=stored, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if p.returncode != 0 or len(p.stdout) != raw:
        raise Bad("zstd", "a piece does not decode to %d bytes" % raw, at)
    return p.stdout


class Reader:
    """store: what references point into, with `id` (16 bytes) and get(address) -> bytes."""

    def __init__(self, data, store=None):
        self.b, self.at, self.seq, self.sums, self.start = data, 0, 0, bytearray(), 0
        self.store, self.number = store, store and store.id  # the number, or that of the first reference
        self.s = Stream()

    def take(self, n):
        if n > len(self.b) - self.at:
            raise Bad("truncated", "the stream ends early", len(self.b))
        self.at += n
        return self.b[self.at - n:self.at]

    def frame(self):
        """The next frame: type, column, payload. The header is checked before the lengths in it are believed."""
        self.start = self.at
        head, total = self.take(16), self.take(16)
        type, codec, column, stored, raw, seq = struct.unpack("<cBHIII", head)
        if not 1 <= stored <= raw <= MIB:
            raise Bad("frame-length", "a frame of %d bytes stored as %d" % (raw, stored), self.start)
        payload = self.take(stored)
        if xxh128(head + payload) != total:
            raise Bad("checksum", "a frame's checksum fails", self.start)
        if seq != self.seq:
            raise Bad("seq", "frame %d where %d belongs" % (seq, self.seq), self.start)
        if codec > 1 or (codec and type != b"P"):
            raise Bad("codec", "codec %d" % codec, self.start)
        if column and type not in (b"P", b"R"):
            raise Bad("column", "a column number on a frame that is no piece", self.start)
        if codec == 0 and stored != raw:
            raise Bad("frame-length", "raw and stored length of a raw frame differ", self.start)
        if codec == 1:
            if stored >= raw:
                raise Bad("zstd-larger", "a zstd frame that is not smaller", self.start)
            check_zstd(payload, self.start)
            payload = unzstd(payload, raw, self.start)
        self.seq += 1
        self.before = len(self.sums)
        self.sums += total
        return type, column, payload

    def read(self):
        if self.take(8) != MAGIC:
            raise Bad("magic", "not a DSR stream", 0)
        type, _, payload = self.frame()
        if type != b"H":
            raise Bad("order", "the first frame is no schema", self.start)
        self.s.schema = Schema.parse(payload)
        type, _, payload = self.frame()
        if type != b"V":
            raise Bad("order", "the second frame is no provenance", self.start)
        self.s.provenance = check_provenance(payload)
        self.cutter, self.state, self.cut = Cutter(self.s.schema), [0, 0], True
        self.records = self.filled = 0  # filled: bytes in the source frame just before
        while True:
            type, _, payload = self.frame()
            if type == b"B":
                self.filled = 0
                self.block(payload)
            elif type == b"S":
                self.source(payload)
            elif type == b"E":
                self.end(payload)
                if self.s.referred:
                    raise NeedsStore(self.s)
                return self.s
            else:
                self.stray(type, payload)

    def stray(self, type, payload):
        """A frame that is none of those expected: an abort, or an error."""
        if type != b"A" or self.s.provenance is None:
            raise Bad("order", "a frame of type %r where none belongs" % type, self.start)
        d = canonical(payload, "abort")
        if not isinstance(d, dict) or list(d) != ["abort"] or not isinstance(d["abort"], str):
            raise Bad("abort", "not an abort frame's JSON", self.start)
        if self.at != len(self.b):
            raise Bad("after-end", "bytes after an abort frame", self.at)
        raise Aborted(d["abort"])

    def block(self, payload):
        schema, start = self.s.schema, self.start
        if not self.cut:
            raise Bad("cut-early", "the block before ended where no cut belongs", start)
        c = Cursor(payload, "block")
        rows, n = c.varint(), c.varint()
        if rows == 0:
            raise Bad("rows", "a block without rows", start)
        if n != len(schema.columns) + 1:
            raise Bad("nchunks", "a block of %d chunks" % n, start)
        sizes = [(c.varint(), c.varint()) for _ in range(n)]
        c.end()
        self.told = []  # what a reference of the primary column says of each record
        chunks = [self.chunk(i, rows, *size) for i, size in enumerate(sizes)]
        columns = [[None] * rows if isinstance(b, Refs) else decode_chunk(col, b, rows) for col, b in zip(schema.columns, chunks)]
        origins = decode_origins(self.state, chunks[-1], rows)
        for source in (r[0] for row in origins for r in row):
            if source < len(self.s.sources):
                raise Bad("source-late", "an origin in a source that was told of before", start)
        for i, record in enumerate(self.claims(chunks, columns)):
            self.cut = self.cutter.record(*record)
            if self.cut and i + 1 < rows:
                raise Bad("cut-late", "a block that should have ended after its row %d" % i, start)
        self.s.offsets.append(start)
        self.s.blocks.append((rows, chunks, columns, origins))
        self.records += rows

    def claims(self, chunks, columns):
        """Size and hash of each record, and what a reference says of them where its column's values are not here."""
        told = self.told
        if any(isinstance(chunks[i], Refs) for i in self.s.schema.primary):
            return told
        real = [claim(self.s.schema, row) for row in zip(*columns)]
        if told and told != real:
            raise Bad("reference-claim", "a reference tells of other records than its column holds", self.start)
        return real

    def chunk(self, number, rows, size, pieces):
        got = []
        for k in range(pieces):
            type, column, payload = self.frame()
            if type == b"R" and k == 0:
                return self.referred(number, rows, size, pieces, column, payload)
            if type != b"P":
                self.stray(type, payload)
            if column != number:
                raise Bad("column", "a piece of chunk %d inside chunk %d" % (column, number), self.start)
            got.append(payload)
        b = b"".join(got)
        if len(b) != size:
            raise Bad("chunk-length", "a chunk's length is not what its block says", self.start)
        if cut_pieces(b) != got:
            raise Bad("piece-cut", "pieces that are not cut where they belong", self.start)
        return b

    def referred(self, number, rows, size, pieces, column, payload):
        """A chunk in whose place references stand; the first one is in hand."""
        schema = self.s.schema
        primary = number in schema.primary
        if number >= len(schema.columns) or (schema.explicit and number == 0) or (primary and len(schema.primary) > 1):
            raise Bad("reference-place", "a reference for chunk %d, which cannot be one" % number, self.start)
        refs, want = Refs(self.number), rows if primary else 0
        while True:
            if column != number:
                raise Bad("column", "a reference for chunk %d inside chunk %d" % (column, number), self.start)
            self.reference(refs, payload)
            if len(refs.pieces) >= pieces and len(refs.claims) >= want:
                break
            type, column, payload = self.frame()
            if type != b"R":
                self.stray(type, payload)
        if (len(refs), len(refs.pieces), len(refs.claims)) != (size, pieces, want):
            raise Bad("reference-fit", "references to another number of bytes, pieces or records than the block's", self.start)
        if (pieces > 1) != (size > MIB) or any(n < PIECE_MIN for n, _ in refs.pieces[:-1]):
            raise Bad("piece-cut", "referenced pieces of lengths that no cuts give", self.start)
        if primary:
            self.told = refs.claims
        if self.store:
            return self.fetched(refs)
        self.s.referred += 1
        return refs

    def reference(self, refs, payload):
        """Adds what one R frame tells."""
        c = Cursor(payload, "reference")
        store = c.take(16)
        if self.number is None:
            self.number = refs.store = store
        if store != self.number:
            raise Bad("reference-store", "a reference into store %s, not %s" % (store.hex(), self.number.hex()), self.start)
        pieces, rows = c.varint(), c.varint()
        if pieces > REF_PIECES or rows > REF_ROWS or pieces + rows == 0:
            raise Bad("reference-count", "a reference of %d pieces and %d rows" % (pieces, rows), self.start)
        for _ in range(pieces):
            n = c.varint()
            if not 1 <= n <= MIB:
                raise Bad("reference-piece", "a referenced piece of %d bytes" % n, self.start)
            refs.pieces.append((n, c.take(32)))
        for _ in range(rows):
            size = c.varint()
            refs.claims.append((size, struct.unpack("<Q", c.take(8))[0]))
        c.end()

    def fetched(self, refs):
        """The bytes that references tell of, from the store."""
        got = [self.store.get(id) for _, id in refs.pieces]
        if [len(p) for p in got] != [n for n, _ in refs.pieces]:
            raise Bad("reference-piece", "a referenced piece is of another length", self.start)
        b = b"".join(got)
        if cut_pieces(b) != got:
            raise Bad("piece-cut", "referenced pieces that are not cut where they belong", self.start)
        return b

    def source(self, payload):
        c = Cursor(payload, "sources")
        n = c.varint()
        if n == 0:
            raise Bad("source-none", "a source frame without a source", self.start)
        head, first = c.at, None
        for _ in range(n):
            name = c.take(c.varint())
            check_name(name)
            self.s.sources.append((name, c.varint(), c.take(32)))
            self.s.told.append(len(self.s.blocks))
            first = first or c.at - head
        if self.filled and self.filled + first <= SOURCES_FILL:
            raise Bad("source-parted", "the source frame before had room for this source", self.start)
        self.filled = c.at - head
        if self.filled > SOURCES_FILL:
            raise Bad("source-frame", "a source frame of more than 256 KiB", self.start)
        c.end()

    def end(self, payload):
        s = self.s
        d = s.end = canonical(payload, "end")
        if not isinstance(d, dict) or list(d) != ["records", "blocks", "sources", "held", "failed", "root", "frames"]:
            raise Bad("end", "the end frame's members", self.start)
        for which in ("held", "failed"):
            h = d[which]
            if not (isinstance(h, dict) and list(h) == sorted(h, key=lambda x: x.encode("utf-8"))
                    and all(type(v) is int and 0 < v < 1 << 63 for v in h.values()) and "" not in h):
                raise Bad("end-" + which, "%s is an object of counts, sorted" % which, self.start)
        for which, n in (("records", self.records), ("blocks", len(s.blocks)), ("sources", len(s.sources))):
            if type(d[which]) is not int or d[which] != n:
                raise Bad("end-" + which, "%s is %s, but there are %d" % (which, d[which], n), self.start)
        if d["frames"] != xxh128(self.sums[:self.before]).hex():
            raise Bad("end-frames", "the checksum over all frames fails", self.start)
        root = "sha256:" + s.roots()[0].hex()
        if d["root"] is not None and d["root"] != root:
            raise Bad("end-root", "the root is not that of the records", self.start)
        if self.at != len(self.b):
            self.index()

    def index(self):
        blocks = list(zip(self.s.offsets, (b[0] for b in self.s.blocks)))
        at, first = 0, self.at
        for k in range(0, max(len(blocks), 1), INDEX_FILL):
            type, _, payload = self.frame()
            if type != b"X":
                raise Bad("after-end", "a frame of type %r after the end" % type, self.start)
            c = Cursor(payload, "index")
            part = blocks[k:k + INDEX_FILL]
            if c.varint() != len(part):
                raise Bad("index", "an index frame of another number of blocks", self.start)
            for offset, rows in part:
                at += c.varint()
                if at != offset or c.varint() != rows:
                    raise Bad("index", "an index that does not name the blocks", self.start)
            c.end()
        if self.take(16) != u64(first) + INDEX_MAGIC:
            raise Bad("trailer", "the trailer does not name the index", self.at)
        if self.at != len(self.b):
            raise Bad("after-end", "bytes after the index", self.at)


def check_name(name):
    utf8(name)
    if not 1 <= len(name) <= 65535 or b"\0" in name:
        raise Bad("source-name", "a source's name has 1 to 65535 bytes, none of them NUL")


def check_provenance(payload):
    steps = canonical(payload, "provenance")
    if not isinstance(steps, list):
        raise Bad("provenance", "provenance is an array")
    ids = set()
    for s in steps:
        if not isinstance(s, dict) or list(s) != STEP:
            raise Bad("step", "a step's members are not %s" % " ".join(STEP))
        if not (isinstance(s["tool"], str) and isinstance(s["version"], str) and isinstance(s["parents"], list)
                and isinstance(s["options"], dict) and isinstance(s["digests"], dict)):
            raise Bad("step", "a step's members have other types")
        if not all(isinstance(p, str) and p in ids for p in s["parents"]):
            raise Bad("step-parents", "a parent that does not stand before its child")
        if len(set(s["parents"])) != len(s["parents"]):
            raise Bad("step-parents", "a parent named twice")
        if not is_sorted(s["options"]) or not is_sorted(s["digests"]):
            raise Bad("step-sorted", "a step's options or digests are not sorted")
        if s["id"] != step_id(s) or s["id"] in ids:
            raise Bad("step-id", "a step's id is not its digest, or repeats")
        ids.add(s["id"])
    return steps


STEP = ["id", "parents", "tool", "version", "options", "digests"]


def is_sorted(v):
    """Are the members of all objects in v sorted by name, bytewise?"""
    if isinstance(v, dict):
        return list(v) == sorted(v, key=lambda s: s.encode("utf-8")) and all(map(is_sorted, v.values()))
    return not isinstance(v, list) or all(map(is_sorted, v))


def step_id(step):
    text = dump({k: step[k] for k in STEP[1:]}).encode("utf-8")
    return hashlib.sha256(text).hexdigest()[:16]


def step(tool, version="0.1.0", parents=(), options=None, digests=None):
    s = {"parents": list(parents), "tool": tool, "version": version, "options": options or {}, "digests": digests or {}}
    return {"id": step_id(s), **s}


def again(s):
    """The stream of a Stream written anew, without compression and index: what any writer makes of the same records."""
    return write(s.schema, [list(r) for r in s.rows()], origins=[o for b in s.blocks for o in b[3]], sources=s.sources,
                 provenance=s.provenance, held=s.end["held"], failed=s.end["failed"], with_root=s.end["root"] is not None,
                 told=s.told)


def read(data, store=None):
    return Reader(data, store).read()


# ---- JSON lines ----

def timestamp(ns):
    day = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=ns // 10**9)
    return '"%04d-%02d-%02dT%02d:%02d:%02d.%09dZ"' % (*day.timetuple()[:6], ns % 10**9)


def shown(type, item, v, data):
    if v is None:
        return "null"
    if type == "utf8":
        return json_str(v.decode("utf-8"))
    if type == "bytes":
        return '"%s"' % base64.b64encode(v).decode()
    if type == "json":
        return v.decode("utf-8")
    if type == "bool":
        return "true" if v else "false"
    if type == "i64":
        return str(v)
    if type == "f64":
        return real(v)
    if type == "timestamp":
        return timestamp(v)
    if type == "runs":
        return "[" + ",".join("[%d,%d]" % p for p in v) + "]"
    if type == "tensor":
        what = ('"data":"%s"' % base64.b64encode(v.data).decode() if data
                else '"sha256":"%s"' % hashlib.sha256(v.data).hexdigest())
        return '{"dtype":"%s","shape":[%s],%s}' % (DTYPES[v.dtype][0], ",".join(map(str, v.dims)), what)
    if type == "list":
        return "[" + ",".join(shown(item, None, x, data) for x in v) + "]"
    return "[" + ",".join(map(str, v)) + "]"


def cat(stream, data=False):
    """The records as JSON lines (bytes)."""
    out = []
    for row in stream.rows():
        cells = [] if stream.schema.explicit else ['"key":"%s"' % derived_key(stream.schema, row)]
        cells += [json_str(c.name) + ":" + shown(c.type, c.item, v, data) for c, v in zip(stream.schema.columns, row)]
        out.append("{" + ",".join(cells) + "}\n")
    return "".join(out).encode("utf-8")


def main(argv):
    data = "--data" in argv
    argv = [a for a in argv if a != "--data"]
    if len(argv) != 2 or argv[0] not in ("check", "cat", "root"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    if argv[1] == "-":
        b = sys.stdin.buffer.read()
    else:
        with open(argv[1], "rb") as f:
            b = f.read()
    try:
        s = read(b)
    except Aborted as e:
        print("%s: aborted by its producer: %s" % (argv[1], e), file=sys.stderr)
        return 1
    except Bad as e:
        print("%s: %s" % (argv[1], e), file=sys.stderr)
        return 12
    if argv[0] == "cat":
        sys.stdout.buffer.write(cat(s, data))
    elif argv[0] == "root":
        print("sha256:%s\nsha256:%s" % tuple(r.hex() for r in s.roots()))
    else:
        print("records %d blocks %d sources %d root sha256:%s"
              % (s.end["records"], s.end["blocks"], s.end["sources"], s.roots()[0].hex()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
