"""What storecheck.py stands on: hashes, packs and their pieces, the index (docs/store-format.md), and streams of records as far
as ledgers need them (docs/dsr-format.md). Wants the libraries libzstd.so.1 and libxxhash.so.0."""
import ctypes
import functools
import hashlib
import itertools
import json
import mmap
import os
import re
import resource
import sqlite3
import sys
import struct

zstd, xxh = ctypes.CDLL("libzstd.so.1"), ctypes.CDLL("libxxhash.so.0")
MIB, MAGIC, u64 = 1 << 20, b"\xf5dso", struct.Struct("<Q").pack
found = []  # what is wrong, as it is told


class Bad(Exception):
    pass


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def prototype(f, result, *arguments):
    f.restype, f.argtypes = result, arguments
    return f


PTR, SIZE = ctypes.c_void_p, ctypes.c_size_t
xxh64 = prototype(xxh.XXH3_64bits, ctypes.c_uint64, ctypes.c_char_p, SIZE)
xxh128 = prototype(xxh.XXH3_128bits, Hash128, ctypes.c_char_p, SIZE)
new_dctx = prototype(zstd.ZSTD_createDCtx, PTR)
ref_prefix = prototype(zstd.ZSTD_DCtx_refPrefix, SIZE, PTR, ctypes.c_char_p, SIZE)
decompress = prototype(zstd.ZSTD_decompressDCtx, SIZE, PTR, PTR, SIZE, ctypes.c_char_p, SIZE)
frame_size = prototype(zstd.ZSTD_findFrameCompressedSize, SIZE, ctypes.c_char_p, SIZE)
DCTX = new_dctx()


def sum64(b):
    return xxh64(b, len(b))


def sum128(b):
    h = xxh128(b, len(b))
    return struct.pack(">QQ", h.high, h.low)


def sha(*parts):
    h = hashlib.sha256()
    for p in parts:
        h.update(p)
    return h.digest()


def unzstd(data, raw, prefix=b""):
    out = ctypes.create_string_buffer(raw)
    if frame_size(data, len(data)) != len(data) or ref_prefix(DCTX, prefix, len(prefix)) != 0 or \
            decompress(DCTX, out, raw, data, len(data)) != raw:
        raise Bad("does not decompress to its length")
    return out.raw


def tell(where, what):
    found.append("%s: %s" % (where, what))
    print(found[-1], flush=True)


def note(where, what):
    print("note: %s: %s" % (where, what), file=sys.stderr)


def varint(b, at):
    value = shift = 0
    while True:
        if at >= len(b) or shift > 63:
            raise Bad("a number that does not end")
        value |= (b[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if b[at - 1] < 128:
            return value, at


# ---- packs and pieces ----

def unfilter(f, data):
    word = 1 << (f & 3)
    n = len(data) // word
    out = bytearray(data)
    for i in range(word):
        out[i:n * word:word] = data[i * n:(i + 1) * n]
    if f & 4:
        form = "<%d%s" % (n, " HIQ"[f & 3])
        mask = (1 << 8 * word) - 1
        out[:n * word] = struct.pack(form, *itertools.accumulate(struct.unpack(form, out[:n * word]), lambda a, b: a + b & mask))
    return bytes(out)


class Piece:
    """The head of an object: docs/store-format.md, "Packs"."""

    def __init__(self, pack, at):
        head = pack[at:at + 53]
        if len(head) < 53 or head[:4] != MAGIC:
            raise Bad("no object begins here")
        size, self.kind, self.codec, self.filter, self.stored, self.raw, chain, hashes, bases, key = struct.unpack("<4B2IH3B", head[4:21])
        head = pack[at:at + size]
        if len(head) != size or size != 57 + 32 * bases + 4 * hashes or struct.pack("<Q", sum64(head[:-4]))[:4] != head[-4:]:
            raise Bad("the head of an object is damaged")
        if key or self.codec > 2 or not 0 < self.stored <= self.raw <= MIB or (bases > 0) != (self.codec == 2) or (chain > 0) != (bases > 0):
            raise Bad("the head of an object says what it may not")
        self.pack, self.at, self.payload, self.address = pack, at, at + size, head[21:53]
        self.end = at + size + self.stored + 16
        self.bases = [head[53 + 32 * i:85 + 32 * i] for i in range(bases)]

    def decode(self, store):
        data = self.pack[self.payload:self.end - 16]
        if sum128(self.pack[self.at:self.end - 16]) != self.pack[self.end - 16:self.end]:
            raise Bad("checksum does not match")
        if self.codec == 2:
            data = unzstd(data, self.raw, b"".join(store.get(b) for b in reversed(self.bases)))
        elif self.codec == 1:
            data = unzstd(data, self.raw)
        if self.filter:
            data = unfilter(self.filter, data)
        if len(data) != self.raw or sha(b"ds.piece\0", data) != self.address:
            raise Bad("its bytes do not have its address")
        return data


class Packs:
    def __init__(self, folder):
        self.pieces, self.copies, self.names, self.open = {}, [], {}, set()
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)  # a file a pack
        self.get = functools.lru_cache(maxsize=256)(self.read)
        for name in sorted(os.listdir(folder)):
            if re.fullmatch("[0-9a-f]{64}[.]pack", name):
                self.scan(os.path.join(folder, name), "packs/" + name)
            else:
                tell("packs/" + name, "is no pack")

    def scan(self, path, name):
        with open(path, "rb") as f:
            pack = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) if os.path.getsize(path) else b""
        self.names[id(pack)] = name
        if hashlib.sha256(pack).hexdigest() != name[6:-5]:
            tell(name, "does not have the SHA-256 that is its name")
        end, tail = len(pack) - 32, pack[-32:]
        count = at = 16
        objects = 0
        if pack[:16] != b"dsvpack\n" + struct.pack("<II", 1, 0):
            tell(name, "does not begin as a pack")
        while at < end:
            try:
                piece = Piece(pack, at)
                if piece.end > end:
                    raise Bad("an object is cut off")
                self.copies.append(piece)
                self.pieces.setdefault(piece.address, piece)
                at, objects = piece.end, objects + 1
            except Bad as e:
                tell("%s offset %d" % (name, at), e)
                at = pack.find(MAGIC, at + 1)
                if at < 0:
                    break
        if tail[:24] != b"dsvpend\n" + u64(objects) + u64(end) or tail[24:] != u64(sum64(tail[:24])):
            tell(name, "does not end as a pack of %d objects" % objects)

    def read(self, address):
        if address not in self.pieces or address in self.open:
            raise Bad("piece %s is %s" % (address.hex()[:16], "stored against itself" if address in self.open else "in no pack"))
        self.open.add(address)
        try:
            return self.pieces[address].decode(self)
        finally:
            self.open.remove(address)

    def check_all(self):
        for p in self.copies:
            try:
                p.decode(self)
            except (Bad, struct.error) as e:
                tell("%s offset %d" % (self.names[id(p.pack)], p.at), "piece %s: %s" % (p.address.hex()[:16], e))

    def check_index(self, path):
        try:
            pages = open(path, "rb").read()
        except OSError as e:
            return tell("index.db", e)
        for i in range(0, len(pages), 4096):
            mask = (i // 4096 + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
            if pages[i + 4088:i + 4096] != u64(sum64(pages[i:i + 4088]) ^ mask):
                return tell("index.db offset %d" % i, "checksum does not match")
        if os.path.exists(path + "-wal") and os.path.getsize(path + "-wal"):
            return note("index.db", "has a log beside it, and was not held against the packs")
        db = sqlite3.connect("file:%s?immutable=1" % path.replace("%", "%25").replace("?", "%3f").replace("#", "%23"), uri=True)
        rows = db.execute("SELECT id, hex(name), off, stored, raw FROM pieces JOIN packs ON pack = packs.n").fetchall()
        there = {(p.address, self.names[id(p.pack)], p.at, p.end - p.at, p.raw) for p in self.copies}
        for address, name, *place in rows:
            if (bytes(address), "packs/%s.pack" % name.lower(), *place) not in there:
                tell("index.db", "piece %s does not lie where it says" % bytes(address).hex()[:16])
        for address in self.pieces.keys() - {bytes(r[0]) for r in rows}:
            tell("index.db", "does not know piece %s" % address.hex()[:16])


# ---- streams (ledgers): docs/dsr-format.md ----

def stream_columns(data):
    """Of a DSR stream of i64 and bytes columns: schema, and its rows as dictionaries."""
    if data[:8] != b"DSR1\r\n\x1a\n":
        raise Bad("is no DSR stream")
    at, seq, names, rows, chunks, ended, sums = 8, 0, None, [], None, False, b""
    while at < len(data) and not ended:
        header, digest = data[at:at + 16], data[at + 16:at + 32]
        kind, codec, column, stored, raw, number = struct.unpack("<cBHIII", header)
        payload = data[at + 32:at + 32 + stored]
        if number != seq or not 0 < stored <= raw <= MIB or sum128(header + payload) != digest:
            raise Bad("frame %d is damaged" % seq)
        at, seq = at + 32 + stored, seq + 1
        payload = unzstd(payload, raw) if codec else payload
        if kind == b"H":
            names = [(c["name"], c["type"]) for c in json.loads(payload)["columns"]]
        elif kind == b"B":
            chunks, n = [b""] * (len(names) + 1), varint(payload, 0)[0]
            total, p = 0, varint(payload, varint(payload, 0)[1])[1]
            while p < len(payload):
                length, p = varint(payload, p)
                _, p = varint(payload, p)
                total += length
        elif kind == b"P":
            chunks[column] += payload
            if sum(map(len, chunks)) == total:
                rows += zip(*(values(t, c, n) for (_, t), c in zip(names, chunks)))
        elif kind == b"E":
            end, ended = json.loads(payload), True
            if end["frames"] != sum128(sums).hex() or end["records"] != len(rows):
                raise Bad("its end frame is of another stream")
        elif kind == b"A":
            raise Bad("it was aborted")
        sums += digest
    if not ended:
        raise Bad("it is cut off")
    return [dict(zip((n for n, _ in names), r)) for r in rows]


def values(kind, chunk, n):
    count, at = varint(chunk, 0)
    if count != n or chunk[at]:
        raise Bad("a column of other rows, or with nulls")
    if kind == "i64":
        return struct.unpack("<%dQ" % n, chunk[at + 1:])
    lengths, at = [], at + 1
    for _ in range(n):
        length, at = varint(chunk, at)
        lengths.append(length)
    ends = [at + e for e in itertools.accumulate(lengths)]
    return [chunk[e - length:e] for e, length in zip(ends, lengths)]
