"""The formats of dsprep export and import, read and written with the standard library alone: from the formats' own
descriptions, sharing nothing with the tools. Values come out as `dsprep cat --data` shows them.
"""
import array
import ast
import base64
import datetime
import io
import json
import os
import re
import struct
import subprocess
import tarfile
import zipfile

NUMPY = {"|u1": "B", "|i1": "b", "<u2": "H", "<i2": "h", "<u4": "I", "<i4": "i", "<u8": "Q", "<i8": "q", "<f2": "e",
         "<f4": "f", "<f8": "d"}
DTYPE = {"|u1": "u8", "|i1": "i8", "<u2": "u16", "<i2": "i16", "<u4": "u32", "<i4": "i32", "<u8": "u64", "<i8": "i64",
         "<f2": "f16", "<f4": "f32", "<f8": "f64"}


# ---- CRC-32C, by the definition: the reflected polynomial, a bit at a time made into a table

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


# ---- protocol buffers

def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 2:
            n, at = varint(data, at)
            yield tag >> 3, data[at:at + n]
            assert at + n <= len(data)
            at += n
        elif tag & 7 == 0:
            n, at = varint(data, at)
            yield tag >> 3, n
        else:
            n = {1: 8, 5: 4}[tag & 7]
            yield tag >> 3, data[at:at + n]
            at += n


def put_varint(v):
    v &= 2**64 - 1
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    return bytes(out) + bytes([v])


def message(*pairs):
    return b"".join(put_varint(n << 3 | 2) + put_varint(len(b)) + b for n, b in pairs)


def signed(v):
    return v - 2**64 if v >> 63 else v


def example(data):
    """name → list of bytes, floats or ints"""
    out = {}
    for _, features in fields(data):
        for _, entry in fields(features):
            parts = dict(fields(entry))
            for kind, body in fields(parts[2]):
                values = []
                for _, v in fields(body):
                    if kind == 1:
                        values.append(v)
                    elif kind == 2:
                        values += array.array("f", v)
                    elif isinstance(v, int):
                        values.append(signed(v))
                    else:
                        at = 0
                        while at < len(v):
                            n, at = varint(v, at)
                            values.append(signed(n))
                out[parts[1].decode()] = values
    return out


def read_tfrecord(path):
    with open(path, "rb") as f:
        while head := f.read(12):
            n, crc = struct.unpack("<QI", head)
            assert crc == masked(head[:8]), "checksum of a length"
            data = f.read(n)
            assert struct.unpack("<I", f.read(4))[0] == masked(data), "checksum of data"
            yield example(data)


def tfrecord(data):
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked(head)) + data + struct.pack("<I", masked(data))


# ---- NumPy

def read_npy(data):
    assert data[:6] == b"\x93NUMPY" and data[6] in (1, 2)
    n = struct.unpack("<H", data[8:10])[0] if data[6] == 1 else struct.unpack("<I", data[8:12])[0]
    at = 10 if data[6] == 1 else 12
    assert (at + n) % 64 == 0
    head = ast.literal_eval(data[at:at + n].decode())
    assert head["fortran_order"] is False
    body = data[at + n:]
    assert len(body) == len(struct.pack("<" + NUMPY[head["descr"]], 0)) * product(head["shape"])
    return head["descr"], head["shape"], body


def read_npz(path):
    """name: (descr, shape, body) of each array; what zipfile checks, it checks."""
    out = {}
    with zipfile.ZipFile(path) as z:
        assert z.testzip() is None
        for i in z.infolist():
            assert i.filename.endswith(".npy") and i.filename[:-4] not in out and i.date_time == (1980, 1, 1, 0, 0, 0)
            data = z.read(i)
            head = ast.literal_eval(data[10:10 + struct.unpack("<H", data[8:10])[0]].decode())
            assert head["fortran_order"] is False
            out[i.filename[:-4]] = head["descr"], head["shape"], data[10 + struct.unpack("<H", data[8:10])[0]:]
    return out


def product(shape):
    n = 1
    for v in shape:
        n *= v
    return n


def npy(descr, shape, body, version=1):
    text = repr({"descr": descr, "fortran_order": False, "shape": shape})
    at = 10 if version == 1 else 12
    text += " " * (63 - (at + len(text)) % 64) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text.encode() + body


def numbers(code, body):
    return list(struct.unpack("<%d%s" % (len(body) // struct.calcsize(code), code), body))


# ---- MDS

CODES = {8: "|u1", 9: "|i1", 16: "<u2", 17: "<i2", 18: "<f2", 32: "<u4", 33: "<i4", 34: "<f4", 64: "<u8", 65: "<i8", 66: "<f8"}
NAMES = {"uint16": "<u2", "uint32": "<u4", "int32": "<i4", "uint8": "|u1", "float32": "<f4"}


def mds_array(encoding, data):
    parts = encoding.split(":")[1:]
    at = 0
    if parts:
        descr = NAMES[parts[0]]
    else:
        descr = CODES[data[0]]
        at = 1
    if len(parts) > 1:
        shape = tuple(map(int, parts[1].split(",")))
    else:
        width = 1 << (data[at] & 3)
        shape = tuple(int.from_bytes(data[at + 1 + i * width:at + 1 + (i + 1) * width], "little") for i in range(data[at] >> 2))
        at += 1 + width * len(shape)
    assert len(data) - at == struct.calcsize(NUMPY[descr]) * product(shape)
    return descr, shape, data[at:]


def mds_value(encoding, data):
    if encoding == "str":
        return data.decode()
    if encoding == "bytes":
        return bytes(data)
    if encoding == "json":
        return json.loads(data)
    if encoding.startswith("ndarray"):
        return mds_array(encoding, data)
    return struct.unpack({"int": "<q", "uint8": "<B", "float64": "<d"}[encoding], data)[0]


def read_mds(folder, digests):
    """digests: name → function of bytes to hex, of those that can be checked"""
    with open(os.path.join(folder, "index.json")) as f:
        index = json.load(f)
    assert index["version"] == 2
    for shard in index["shards"]:
        for which in "zip_data", "raw_data":
            info = shard[which]
            if not info:
                continue
            path = os.path.join(folder, info["basename"])
            if which == "raw_data" and shard["compression"]:
                data = subprocess.run(["zstd", "-dc", path + ".zstd"], check=True, capture_output=True).stdout
            else:
                with open(path, "rb") as f:
                    data = f.read()
            assert len(data) == info["bytes"]
            assert sorted(info["hashes"]) == shard["hashes"] == sorted(shard["hashes"])
            for name, digest in info["hashes"].items():
                if name in digests:
                    assert digests[name](data) == digest, name
        n = struct.unpack_from("<I", data)[0]
        assert n == shard["samples"]
        offsets = struct.unpack_from("<%dI" % (n + 1), data, 4)
        config = json.loads(data[8 + 4 * n:offsets[0]])
        for k in "column_names", "column_encodings", "column_sizes", "compression", "format", "hashes", "size_limit", "version":
            assert config[k] == shard[k], k
        assert shard["column_names"] == sorted(shard["column_names"]) and offsets[-1] == len(data)
        for a, b in zip(offsets, offsets[1:]):
            yield mds_sample(shard, data[a:b])


def mds_sample(shard, data):
    sizes = [s or None for s in shard["column_sizes"]]
    at = 4 * sizes.count(None)
    fixed = iter(struct.unpack_from("<%dI" % sizes.count(None), data))
    out = {}
    for name, encoding, size in zip(shard["column_names"], shard["column_encodings"], sizes):
        size = next(fixed) if size is None else size
        out[name] = mds_value(encoding, data[at:at + size])
        at += size
    assert at == len(data)
    for name in re.split(",", out.pop("__null__", "")):
        if name:
            out[name] = None
    return out


def write_mds(folder, columns, rows):
    """columns: name → (encoding, size or None); rows: lists of bytes in order of names. One shard."""
    names = sorted(columns)
    shard = {"column_names": names, "column_encodings": [columns[n][0] for n in names],
             "column_sizes": [columns[n][1] for n in names], "compression": None, "format": "mds", "hashes": [],
             "size_limit": 1 << 26, "version": 2}
    config = json.dumps(shard, sort_keys=True).encode()
    samples = []
    for row in rows:
        sizes = [struct.pack("<I", len(v)) for v, n in zip(row, names) if columns[n][1] is None]
        samples.append(b"".join(sizes) + b"".join(row))
    at = 4 + 4 * (len(samples) + 1) + len(config)
    offsets = [at]
    for s in samples:
        at += len(s)
        offsets.append(at)
    data = struct.pack("<I%dI" % len(offsets), len(samples), *offsets) + config + b"".join(samples)
    os.mkdir(folder)
    with open(os.path.join(folder, "shard.00000.mds"), "wb") as f:
        f.write(data)
    shard.update(raw_data={"basename": "shard.00000.mds", "bytes": len(data), "hashes": {}}, zip_data=None, samples=len(rows))
    with open(os.path.join(folder, "index.json"), "w") as f:
        json.dump({"shards": [shard], "version": 2}, f, sort_keys=True)


# ---- WebDataset

def read_webdataset(path):
    """Samples in the way of webdataset's group_by_keys."""
    current = None
    with tarfile.open(path) as tar:
        for member in tar:
            m = re.match(r"^((?:.*/|)[^.]+)[.]([^/]*)$", member.name, re.S)
            assert m, member.name
            if current is None or current["__key__"] != m[1]:
                if current:
                    yield current
                current = {"__key__": m[1]}
            assert m[2] not in current
            current[m[2]] = tar.extractfile(member).read()
    if current:
        yield current


def write_tar(path, files, form):
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


# ---- Megatron, llm.c

MEGATRON = {1: "B", 2: "b", 3: "h", 4: "i", 5: "q", 8: "H"}


def read_megatron(prefix):
    with open(prefix + ".idx", "rb") as f:
        idx = f.read()
    with open(prefix + ".bin", "rb") as f:
        data = f.read()
    assert idx[:9] == b"MMIDIDX\0\0" and struct.unpack_from("<Q", idx, 9)[0] == 1
    code, n, documents = struct.unpack_from("<BQQ", idx, 17)
    lengths = struct.unpack_from("<%di" % n, idx, 34)
    offsets = struct.unpack_from("<%dq" % n, idx, 34 + 4 * n)
    docs = struct.unpack_from("<%dq" % documents, idx, 34 + 12 * n)
    assert len(idx) == 34 + 12 * n + 8 * documents
    assert list(docs) == list(range(n + 1))
    width = struct.calcsize(MEGATRON[code])
    assert sum(lengths) * width == len(data)
    return [numbers(MEGATRON[code], data[o:o + k * width]) for o, k in zip(offsets, lengths)]


def write_megatron(prefix, code, sequences, documents):
    width = struct.calcsize(MEGATRON[code])
    lengths = [len(s) for s in sequences]
    offsets = [sum(lengths[:i]) * width for i in range(len(sequences))]
    with open(prefix + ".bin", "wb") as f:
        for s in sequences:
            f.write(struct.pack("<%d%s" % (len(s), MEGATRON[code]), *s))
    with open(prefix + ".idx", "wb") as f:
        f.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(sequences), len(documents)))
        f.write(struct.pack("<%di%dq%dq" % (len(lengths), len(offsets), len(documents)), *lengths, *offsets, *documents))


def read_llmc(path):
    with open(path, "rb") as f:
        data = f.read()
    magic, version, n = struct.unpack_from("<3i", data)
    code = {(20240520, 1): "H", (20240801, 7): "I"}[magic, version]
    assert not any(data[12:1024])
    ids = numbers(code, data[1024:])
    assert len(ids) == n
    return ids


def b64(data):
    return base64.b64encode(data).decode()


def rfc3339(text):
    """Nanoseconds since 1970 of "YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ"."""
    day = datetime.date(int(text[:4]), int(text[5:7]), int(text[8:10])).toordinal() - datetime.date(1970, 1, 1).toordinal()
    return ((day * 24 + int(text[11:13])) * 60 + int(text[14:16])) * 60 * 10**9 + int(text[17:19]) * 10**9 + int(text[20:29])
