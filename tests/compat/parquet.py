"""Parquet in Python, after the specification alone: a reader for what dsprep export writes, and a writer that can make what
nobody writes any more. Thrift values are lists of (field, type, value)."""
import struct
import subprocess
import zlib

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLES, BYTES, FIXED = range(8)
REQUIRED, OPTIONAL, REPEATED = range(3)
WIDTHS = {INT32: "<i", INT64: "<q", FLOAT: "<f", DOUBLES: "<d"}

# ---- Thrift's compact protocol


def put_varint(v):
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def zigzag(v):
    return v << 1 if v >= 0 else (-v << 1) - 1


def put_value(kind, v):
    if kind == BYTE:
        return struct.pack("<b", v)
    if kind in (I16, I32, I64):
        return put_varint(zigzag(v))
    if kind == BINARY:
        v = v.encode() if isinstance(v, str) else v
        return put_varint(len(v)) + v
    if kind == LIST:
        item, values = v
        n = len(values)
        head = bytes([n << 4 | item]) if n < 15 else bytes([0xf0 | item]) + put_varint(n)
        return head + b"".join(put_value(item, x) for x in values)
    if kind == STRUCT:
        return put_struct(v)
    return b""


def put_struct(fields):
    out, last = b"", 0
    for number, kind, v in fields:
        if kind == "bool":
            kind = TRUE if v else FALSE
        step = number - last
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + put_varint(zigzag(number))
        out += put_value(kind, v)
        last = number
    return out + b"\0"


class Thrift:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        v = shift = 0
        while True:
            b = self.byte()
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    def whole(self):
        v = self.varint()
        return v >> 1 ^ -(v & 1)

    def value(self, kind):
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if kind == BYTE:
            return self.byte()
        if kind in (I16, I32, I64):
            return self.whole()
        if kind == BINARY:
            n = self.varint()
            self.at += n
            return self.data[self.at - n:self.at]
        if kind == LIST:
            head = self.byte()
            return [self.value(head & 15) for _ in range(head >> 4 if head >> 4 < 15 else self.varint())]
        assert kind == STRUCT, kind
        out, last = {}, 0
        while (head := self.byte()) != 0:
            last = last + (head >> 4) if head >> 4 else self.whole()
            out[last] = self.value(head & 15)
        return out


# ---- reading: plain values, levels in runs


def runs(data, bits, n):
    """n values of the hybrid of runs and groups of eight: all of the data."""
    out, t = [], Thrift(data)
    while len(out) < n:
        head = t.varint()
        if head & 1:
            size = (head >> 1) * bits
            word = int.from_bytes(data[t.at:t.at + size], "little")
            out += [word >> i * bits & (1 << bits) - 1 for i in range((head >> 1) * 8)]
            t.at += size
        else:
            size = (bits + 7) // 8
            out += [int.from_bytes(data[t.at:t.at + size], "little")] * (head >> 1)
            t.at += size
    assert t.at == len(data) and len(out) < n + 8
    return out[:n]


def levels(body, at, most, n):
    if not most:
        return [0] * n, at
    size = struct.unpack_from("<I", body, at)[0]
    return runs(body[at + 4:at + 4 + size], most.bit_length(), n), at + 4 + size


def plain(kind, body, n):
    if kind == BOOLEAN:
        return [bool(body[i // 8] >> i % 8 & 1) for i in range(n)]
    if kind != BYTES:
        size = struct.calcsize(WIDTHS[kind])
        assert len(body) == n * size, (len(body), n, size)
        return [struct.unpack_from(WIDTHS[kind], body, i * size)[0] for i in range(n)]
    out, at = [], 0
    for _ in range(n):
        size = struct.unpack_from("<I", body, at)[0]
        out.append(body[at + 4:at + 4 + size])
        at += 4 + size
    assert at == len(body)
    return out


def leaves(schema):
    """(path, type, most repetition, most definition, the element) of each leaf."""
    at = 0

    def walk(path, rep, deep):
        nonlocal at
        e = schema[at]
        at += 1
        if path is not None:
            path = path + [e[4].decode()]
            rep, deep = rep + (e[3] == REPEATED), deep + (e[3] != REQUIRED)
        if 1 in e:
            yield path, e[1], rep, deep, e
        for _ in range(e.get(5, 0)):
            yield from walk(path or [], rep, deep)

    return list(walk(None, 0, 0))


def read(path):
    """{path of a leaf: [(rep, def, value or None)]}, the number of rows of each group, and the footer."""
    with open(path, "rb") as f:
        data = f.read()
    assert data[:4] == data[-4:] == b"PAR1"
    size = struct.unpack("<I", data[-8:-4])[0]
    footer = Thrift(data, len(data) - 8 - size).value(STRUCT)
    columns = leaves(footer[2])
    out = {".".join(c[0]): [] for c in columns}
    for group in footer[4]:
        for chunk, (name, kind, most_rep, most_def, _) in zip(group[1], columns):
            meta, values = chunk[3], 0
            first = meta.get(11, meta[9])
            t, dictionary = Thrift(data, first), None
            while values < meta[5]:
                head = t.value(STRUCT)
                body = data[t.at:t.at + head[3]]
                assert zlib.crc32(body) == head[4] % 2**32
                t.at += head[3]
                if meta[4]:
                    body = subprocess.run(["zstd", "-dc"], input=body, check=True, capture_output=True).stdout
                assert len(body) == head[2]
                if head[1] == 2:
                    assert dictionary is None and t.at == meta[9] and head[7][2] == 0
                    dictionary = plain(kind, body, head[7][1])
                    assert len({repr(v) for v in dictionary}) == len(dictionary)
                    continue
                n, encoding = head[5][1], head[5][2]
                reps, at = levels(body, 0, most_rep, n)
                defs, at = levels(body, at, most_def, n)
                there = sum(d == most_def for d in defs)
                if encoding == 8:
                    there = [dictionary[i] for i in runs(body[at + 1:], body[at], there)]
                else:
                    assert encoding == 0
                    there = plain(kind, body[at:], there)
                there = iter(there)
                out[".".join(name)] += [(r, d, next(there) if d == most_def else None) for r, d in zip(reps, defs)]
                values += n
            assert (dictionary is None) == (11 not in meta) and (8 in meta[2]) == (11 in meta)
            assert values == meta[5] and t.at == first + meta[7]
            assert meta[12][3] == sum(v is None for _, _, v in out[".".join(name)][-values:])
    return out, [g[3] for g in footer[4]], footer


# ---- writing: one group, a page a leaf


def node(name, repetition=None, kind=None, children=None, converted=None, logical=None, length=None, scale=None):
    fields = [(1, I32, kind), (2, I32, length), (3, I32, repetition), (4, BINARY, name), (5, I32, children), (6, I32, converted),
              (7, I32, scale), (10, STRUCT, logical)]
    return [f for f in fields if f[2] is not None]


def put_levels(values, most):
    if not most:
        return b""
    body = b"".join(put_varint(2) + bytes([v]) for v in values)
    return struct.pack("<I", len(body)) + body


def put_page(reps, defs, most, body, codec=0, crc=None, pack=lambda b: b):
    raw = put_levels(reps, most[0]) + put_levels(defs, most[1]) + body
    packed = pack(raw)
    head = [(1, I32, 0), (2, I32, len(raw)), (3, I32, len(packed))] + ([(4, I32, crc)] if crc is not None else [])
    return put_struct(head + [(5, STRUCT, [(1, I32, len(defs)), (2, I32, 0), (3, I32, 3), (4, I32, 3)])]) + packed


def write(path, schema, rows, groups, codec=0, magic=b"PAR1", change=None):
    """groups: of each, (kind, values, page) of every leaf. change(data) may damage what was made."""
    data, described = b"PAR1", []
    for chunks in groups:
        made = []
        for kind, n, page in chunks:
            made.append([(2, I64, len(data)), (3, STRUCT, [(1, I32, kind), (2, LIST, (I32, [0])), (3, LIST, (BINARY, ["x"])), (4, I32, codec),
                                                           (5, I64, n), (6, I64, len(page)), (7, I64, len(page)), (9, I64, len(data))])])
            data += page
        described.append([(1, LIST, (STRUCT, made)), (2, I64, 0), (3, I64, rows)])
    data = bytearray(data)
    if change:
        change(data)
    footer = put_struct([(1, I32, 1), (2, LIST, (STRUCT, schema)), (3, I64, rows * len(groups)), (4, LIST, (STRUCT, described))])
    with open(path, "wb") as f:
        f.write(bytes(data) + footer + struct.pack("<I", len(footer)) + magic)


def strings(values):
    return b"".join(struct.pack("<I", len(v)) + v for v in values)


def lz4_literals(data):
    """An LZ4 block that only copies."""
    n, out = len(data), b""
    if n < 15:
        return bytes([n << 4]) + data
    n -= 15
    out = b"\xf0"
    while n >= 255:
        out, n = out + b"\xff", n - 255
    return out + bytes([n]) + data
