#!/usr/bin/env python3
"""Writes the corpora of fuzz_formats and fuzz_transforms: corpus_formats.py [DIR].

fuzz_formats: the format's number, how it is read (1 long records, 2 a key, 4 a separator, 8 a wide schema), and of formats
of two files the length of the first. fuzz_transforms: what, and how; then a text or a file."""
import io
import os
import shutil
import struct
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "compat"))
sys.dont_write_bytecode = True
import formats as F  # noqa: E402
import parquet as P  # noqa: E402

NAMES = ("jsonl", "csv", "mds", "tfrecord", "webdataset", "megatron", "llmc", "npy", "npz", "parquet", "arrow", "nifti")


def file(path):
    with open(path, "rb") as f:
        return f.read()


def two(first, second):
    return struct.pack("<H", len(first)) + first + second


def npz(arrays, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in arrays:
            z.writestr(zipfile.ZipInfo(name + ".npy"), data, method)
    return out.getvalue()


def nifti(order, version, datatype, axes, data, slope=1):
    dim = [len(axes), *axes] + [1] * (7 - len(axes))
    whole, real, at = ("h", "f", (40, 70, 76, 108, 112, 252, 256, 280, 344)) if version == 1 else (
        "q", "d", (16, 12, 104, 168, 176, 344, 352, 400, 4))
    d = bytearray(348 if version == 1 else 540)
    for where, form, *v in ((0, "i", len(d)), (at[0], "8" + whole, *dim), (at[1], "h", datatype), (at[2], "8" + real, -1, 2, 3, 4, 1, 1, 1, 1),
                            (at[3], "f" if version == 1 else "q", len(d) + 4), (at[4], "2" + real, slope, 1),
                            (at[5], "2" + ("h" if version == 1 else "i"), 1, version - 1), (at[6], "6" + real, 0.5, 0.5, 0.5, 7, 8, 9),
                            (at[7], "12" + real, *range(12))):
        struct.pack_into(order + form, d, where, *v)
    d[at[8]:at[8] + 4] = b"n+%d\0" % version
    return bytes(d) + bytes(4) + data


def example():
    ints = F.message((3, F.put_varint(8) + F.put_varint(-5) + F.put_varint(8) + F.put_varint(9)))
    floats = F.message((2, F.message((1, struct.pack("<2f", 0.5, -2)))))
    text = F.message((1, F.message((1, "é".encode()))))
    shape = F.message((3, F.message((1, F.put_varint(2)))))
    feats = [F.message((1, n), (2, v)) for n, v in ((b"label", ints), (b"x", floats), (b"text", text), (b"t/shape", shape))]
    return F.message((1, b"".join(F.message((1, f)) for f in feats)))


def importers():
    yield "jsonl", 1, b'{"key":"a","text":"x","meta":{"k":[1,null]},"label":3,"x":1.5,"when":"2024-01-01T00:00:00Z"}\n{"text":"\\u00e9"}\n'
    yield "jsonl", 9, b'{"key":"a","tokens":[1,2],"t":{"dtype":"u8","shape":[1],"data":"AA=="},"runs":[[1,2]],"list":[1],"words":["a"]}\n'
    yield "csv", 1, b'key,text,x\r\na,"b""c",1\n,"",\n'
    yield "csv", 9, b'key,text,ok,when,y\na,b,true,1970-01-01T00:00:00.000000001Z,QQ==\n'
    F.write_mds("m", {"key": ("str", None), "text": ("str", None), "label": ("int", 8), "t": ("ndarray", None), "x": ("float16", 2)},
                [[b"k", b"text", struct.pack("<q", -1), b"\x08\x04\x02\1\2", b"\0\x3c"]])
    yield "mds", 1, two(file("m/index.json"), file("m/shard.00000.mds"))
    yield "mds", 9, two(file("m/index.json"), file("m/shard.00000.mds"))
    yield "tfrecord", 1, F.tfrecord(example()) * 2
    yield "tfrecord", 9, F.tfrecord(example())
    F.write_tar("w.tar", [("d/a.txt", b"text"), ("d/a.cls", b"3\n"), ("d/a.json", b'{"w":1}'), ("d/a.seg.npy", F.npy("<i4", (1,), b"\1\0\0\0")),
                          ("b.jpg", b"\xff\xd8")], 2)
    yield "webdataset", 1, file("w.tar")
    yield "webdataset", 9, file("w.tar")
    F.write_megatron("g", 4, [[1, 2], [], [70000]], [0, 2, 3])
    yield "megatron", 1, two(file("g.idx"), file("g.bin"))
    yield "llmc", 5, struct.pack("<256i", 20240520, 1, 4, *[0] * 253) + struct.pack("<4H", 5, 1, 5, 2)
    yield "llmc", 1, struct.pack("<256i", 20240801, 7, 2, *[0] * 253) + struct.pack("<2I", 70000, 2)
    yield "npy", 5, F.npy("<u2", (4,), struct.pack("<4H", 5, 1, 5, 2))
    yield "npy", 1, F.npy("<i8", (2,), struct.pack("<2q", -1, 2), 2)
    off = F.npy("<i8", (3,), struct.pack("<3q", 0, 1, 4))
    F.NUMPY.update({"<U2": "8s", "|S2": "2s", "<M8[ms]": "q", "|b1": "?", "<U4": "16s"})
    arrays = [("key", F.npy("|u1", (4,), b"abcd")), ("key.offsets", off), ("tokens", F.npy("<u4", (4,), struct.pack("<4I", 1, 2, 3, 4))),
              ("tokens.offsets", off), ("label", F.npy("<i8", (2,), struct.pack("<2q", 7, -1))), ("label.valid", F.npy("|b1", (2,), b"\1\0")),
              ("when", F.npy("<M8[ms]", (2,), struct.pack("<2q", 1, -2**63))), ("text", F.npy("<U2", (2,), "aé\0\0".encode("utf-32-le"))),
              ("y", F.npy("|S2", (2,), b"a\0\xffb")), ("seg", F.npy("<f4", (2, 1), struct.pack("<2f", 1, 2))),
              ("t", F.npy("|u1", (4,), b"1234")), ("t.offsets", off), ("t.dtype", F.npy("<U4", (2,), "u8\0\0i8\0\0".encode("utf-32-le"))),
              ("t.shape", F.npy("<i8", (2, 8), struct.pack("<16q", *[1] + [-1] * 7 + [3] + [-1] * 7)))]
    yield "npz", 1, npz(arrays)
    yield "npz", 9, npz(arrays, zipfile.ZIP_DEFLATED)
    for name in "snappy", "plain", "v2", "delta":
        yield "parquet", 1, file(os.path.join(HERE, "../golden/columnar", name + ".parquet"))
    schema = [P.node("r", children=5), P.node("key", P.REQUIRED, P.BYTES, converted=0), P.node("list", P.OPTIONAL, children=1, converted=3),
              P.node("array", P.REPEATED, P.INT32), P.node("meta", P.OPTIONAL, children=1, converted=1), P.node("kv", P.REPEATED, children=2),
              P.node("key", P.REQUIRED, P.BYTES, converted=0), P.node("value", P.OPTIONAL, P.DOUBLES), P.node("label", P.OPTIONAL, P.INT64),
              P.node("words", P.REPEATED, P.BYTES)]
    le = struct.pack
    pages = [(P.BYTES, [0, 0], [0, 0], (0, 0), P.strings([b"a", b"b"])), (P.INT32, [0, 1, 0], [2, 2, 0], (1, 2), le("<2i", 7, -8)),
             (P.BYTES, [0, 1, 0], [2, 2, 1], (1, 2), P.strings([b"k", b"l"])), (P.DOUBLES, [0, 1, 0], [3, 2, 1], (1, 3), le("<d", 0.5)),
             (P.INT64, [0, 0], [1, 0], (0, 1), le("<q", 5)), (P.BYTES, [0, 1, 0], [1, 1, 0], (1, 1), P.strings([b"x", b""]))]
    P.write("p", schema, 2, [[(kind, len(d), P.put_page(r, d, most, body)) for kind, r, d, most, body in pages]])
    for how in 1, 3, 9:
        yield "parquet", how, file("p")
    for name in "kinds", "replaced", "lz4", "views", "legacy":
        yield "arrow", 3, file(os.path.join(HERE, "../golden/columnar", name + ".arrow"))


    yield "nifti", 1, nifti("<", 1, 4, (2, 3), struct.pack("<6h", *range(6)), slope=2)
    yield "nifti", 1, nifti(">", 2, 512, (2, 1, 3), struct.pack(">6H", *range(6)), slope=0.5)
    yield "nifti", 9, nifti("<", 1, 128, (2, 2), bytes(12))


def transforms():
    for i, keys in enumerate((b"n desc\ntext", b"key", b"origin", b"meta.c asc\nlen(text)", b"n +")):
        yield "sort", 0, i & 1, keys
    for i, t in enumerate((b"Q: {text}\\nA: {meta.a}", b"{n}{f}{at}\\{\\}", b"{")):
        yield "text", 1, 0, t
    for t in b"x=n * 2", b"a", b"d=text", b"=":
        yield "member", 1, 1, t
    for i, t in enumerate((b"text", b"n", b"f", b"at", b"meta.a", b"'1e3'", b"null", b"meta", b"'2024-01-01'")):
        yield "cast", 1, 2 + i, t
    yield "rules", 2, 0, ("One line.\n\n• two words here\nterms of use\n# # # ...\nOne line.\n{ lorem ipsum }\njavascript 中文字。\n" * 3).encode()
    yield "rules", 2, 0, b""
    yield "set", 3, 0, b"gopher.words_min=20"
    yield "set", 3, 0, b"c4.lorem_ipsum=off"
    for how in 0, 9, 12:
        yield "runs", 4, how, "The sum of 12 and 30 is 42, they say: 轴承 the sum of 12".encode()
    head = b"TZif2" + bytes(15)
    one = head + struct.pack(">6I", 0, 0, 0, 0, 1, 4) + struct.pack(">ibB", 0, 0, 0) + b"LMT\0"
    two_ = head + struct.pack(">6I", 0, 0, 0, 2, 2, 4) + struct.pack(">2q", -2**31, 2**33) + b"\1\0" + struct.pack(">ibBibB", 0, 0, 0, 3600, 1, 0) + b"LMT\0"
    for rule in b"CET-1CEST,M3.5.0,M10.5.0/3", b"<-03>3", b"AAA1BBB,J60,59/-1", b"XXX3EDT4,0/0,J365/23":
        yield "zone", 5, 0, one + two_ + b"\n" + rule + b"\n"
    last = head + struct.pack(">6I", 0, 0, 0, 1, 1, 4) + struct.pack(">q", 2**63 - 1) + b"\0" + struct.pack(">ibB", 0, 0, 0) + b"LMT\0"
    for rule in b"AAA5", b"AAA5BBB,0/0,J365/23":
        yield "zone", 5, 0, one + last + b"\n" + rule + b"\n"


def main():
    out = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.join(HERE, "corpus")
    work = tempfile.mkdtemp()
    os.chdir(work)
    for target in "formats", "transforms":
        os.makedirs(os.path.join(out, target), exist_ok=True)
    for i, (name, how, data) in enumerate(importers()):
        with open(os.path.join(out, "formats", "%s-%d" % (name, i)), "wb") as f:
            f.write(bytes([NAMES.index(name), how]) + data)
    for i, (name, what, how, data) in enumerate(transforms()):
        with open(os.path.join(out, "transforms", "%s-%d" % (name, i)), "wb") as f:
            f.write(bytes([what, how]) + data)
    os.chdir("/")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
