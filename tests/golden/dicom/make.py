#!/usr/bin/env python3
"""Makes the files beside it: small images in every transfer syntax, and the digests of the values that went in.

    make.py DIR     wants numpy, imagecodecs (JPEG 2000, HTJ2K) and Debian's dcmtk (dcmcjpeg, dcmcjpls)

expected.tsv has a line a file: name, type and shape of the values, SHA-256 of them as they were before any encoder
saw them. Lossy syntaxes hold blocks of one value each, which come back exactly.
"""
import hashlib
import os
import struct
import subprocess
import sys
import zlib

import imagecodecs
import numpy as np

LONG = {"OB", "OD", "OF", "OW", "SQ", "UC", "UN", "UR", "UT", "OV"}
IMPLICIT, EXPLICIT, BIG, DEFLATED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2",
                                     "1.2.840.10008.1.2.1.99")
JLSN = "1.2.840.10008.1.2.4.81"
RLE, J2KL, J2K, HTJ2KL, HTJ2K = ("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
                                 "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203")
expected = []


def el(tag, vr, v, ts=EXPLICIT):
    e = ">" if ts == BIG else "<"
    if isinstance(v, int):
        v = struct.pack(e + {"US": "H", "UL": "I", "SS": "h"}[vr], v)
    elif isinstance(v, str):
        v = v.encode()
    v += (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(v) & 1)
    head = struct.pack(e + "HH", tag >> 16, tag & 0xffff)
    if ts == IMPLICIT:
        return head + struct.pack("<I", len(v)) + v
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(e + "I", len(v)) + v
    return head + vr.encode() + struct.pack(e + "H", len(v)) + v


def fragments(parts):
    return b"".join(struct.pack("<HHI", 0xfffe, 0xe000, len(p) + (len(p) & 1)) + p + b"\0" * (len(p) & 1) for p in parts)


def encapsulated(frames, table="full"):
    """frames: lists of fragments."""
    starts, at = [], 0
    for f in frames:
        starts.append(at)
        at += sum(8 + len(p) + (len(p) & 1) for p in f)
    bot = struct.pack("<%dI" % len(starts), *starts) if table == "full" else b""
    head = b""
    if table == "extended":
        lens = [sum(len(p) + (len(p) & 1) for p in f) for f in frames]
        head = el(0x7fe00001, "OV", struct.pack("<%dQ" % len(starts), *starts)) + \
            el(0x7fe00002, "OV", struct.pack("<%dQ" % len(lens), *lens))
    return (head + struct.pack("<HH", 0x7fe0, 0x10) + b"OB\0\0" + b"\xff" * 4 + fragments([bot]) +
            b"".join(fragments(f) for f in frames) + struct.pack("<HHI", 0xfffe, 0xe0dd, 0))


def rle(frame):
    """Byte planes, most significant first, each as literals and runs."""
    a = np.ascontiguousarray(frame)
    planes = a.reshape(-1, 1 if a.ndim == 2 else a.shape[2])
    segs = []
    for s in range(planes.shape[1]):
        b = planes[:, s].astype(planes.dtype.newbyteorder(">")).tobytes()
        for k in range(planes.dtype.itemsize):
            row, out, i = b[k::planes.dtype.itemsize], b"", 0
            while i < len(row):
                n = 1
                while i + n < len(row) and n < 128 and row[i + n] == row[i]:
                    n += 1
                if n > 1:
                    out += bytes([257 - n, row[i]])
                else:
                    while i + n < len(row) and n < 128 and (i + n + 1 >= len(row) or row[i + n] != row[i + n + 1]):
                        n += 1
                    out += bytes([n - 1]) + row[i:i + n]
                i += n
            segs.append(out + b"\0" * (len(out) & 1))
    offsets = [64 + sum(map(len, segs[:i])) for i in range(len(segs))]
    return struct.pack("<16I", len(segs), *(offsets + [0] * (15 - len(segs)))) + b"".join(segs)


def dataset(a, ts, pixels, frames=1, photometric=None, stored=None, more=b"", planar=0, float_=False, high=None):
    one = a[0] if frames > 1 else a
    samples = one.shape[2] if one.ndim == 3 else 1
    bits = a.dtype.itemsize * 8
    E = lambda t, vr, v: el(t, vr, v, ts)
    out = [E(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7"),
           E(0x00080018, "UI", "1.3.6.1.55.77.%d" % (len(expected) + 1)), E(0x00080060, "CS", "OT"),
           E(0x00100010, "PN", "Golden^File"), E(0x00100020, "LO", "GOLDEN"), E(0x0020000d, "UI", "1.3.6.1.55.77"),
           E(0x0020000e, "UI", "1.3.6.1.55.77.0"), E(0x00280002, "US", samples),
           E(0x00280004, "CS", photometric or ("RGB" if samples == 3 else "MONOCHROME2"))]
    if samples == 3:
        out.append(E(0x00280006, "US", planar))
    if frames > 1:
        out.append(E(0x00280008, "IS", str(frames)))
    out += [E(0x00280010, "US", one.shape[0]), E(0x00280011, "US", one.shape[1]), E(0x00280100, "US", bits)]
    if not float_:
        out += [E(0x00280101, "US", stored or bits), E(0x00280102, "US", high or (stored or bits) - 1),
                E(0x00280103, "US", int(a.dtype.kind == "i"))]
    return b"".join(out) + more + pixels


def part10(body, ts, meta=True):
    if not meta:
        return body
    m = el(0x00020001, "OB", b"\0\1") + el(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.7") + \
        el(0x00020003, "UI", "1.3.6.1.55.77.%d" % (len(expected) + 1)) + el(0x00020010, "UI", ts) + \
        el(0x00020012, "UI", "1.3.6.1.55.1")
    return bytes(128) + b"DICM" + el(0x00020000, "UL", len(m)) + m + body


def put(out, name, a, data):
    kinds = {"uint8": "u8", "int8": "i8", "uint16": "u16", "int16": "i16", "uint32": "u32", "int32": "i32",
             "float32": "f32", "float64": "f64"}
    with open(os.path.join(out, name + ".dcm"), "wb") as f:
        f.write(data)
    le = a.astype(a.dtype.newbyteorder("<"))
    expected.append("%s\t%s\t%s\t%s" % (name, kinds[a.dtype.name], ",".join(map(str, a.shape)),
                                        hashlib.sha256(le.tobytes()).hexdigest()))


def native(out, name, a, ts, **kw):
    e = ">" if ts == BIG else "<"
    vr = kw.pop("vr", "OB" if a.dtype.itemsize == 1 and ts != IMPLICIT else "OW")
    tag = kw.pop("tag", 0x7fe00010)
    raw = a.astype(a.dtype.newbyteorder(e)).tobytes()
    if ts == BIG and vr == "OW" and a.dtype.itemsize == 1:
        raw = np.frombuffer(raw, "<u2").astype(">u2").tobytes()
    body = dataset(a, ts, el(tag, vr, raw, ts), float_=vr in ("OF", "OD"), **kw)
    if ts == DEFLATED:
        c = zlib.compressobj(9, zlib.DEFLATED, -15)
        body = c.compress(body) + c.flush()
        body += b"\0" * (len(body) & 1)
    put(out, name, a, part10(body, ts))


def dcmtk(out, name, a, tool, *args, **kw):
    """Through Debian's encoders. high: the values are not in the low bits."""
    src, dst = os.path.join(out, "tmp-src.dcm"), os.path.join(out, name + ".dcm")
    raw = (a << (kw["high"] + 1 - kw["stored"]) if "high" in kw else a).tobytes()
    with open(src, "wb") as f:
        f.write(part10(dataset(a, EXPLICIT, el(0x7fe00010, "OB" if a.dtype.itemsize == 1 else "OW", raw), **kw), EXPLICIT))
    subprocess.run([tool, *args, src, dst], check=True)
    os.unlink(src)
    with open(dst, "rb") as f:
        data = f.read()
    put(out, name, a, data)


def main(out):
    y, x = np.mgrid[0:12, 0:10]
    g8 = ((x * 23 + y * 7) % 251).astype(np.uint8)
    g12 = ((x * 401 + y * 77) % 4093).astype(np.uint16)
    g16 = (x * 6007 + y * 997 & 0xffff).astype(np.uint16)
    s16 = (g16.astype(np.int32) - 30000).astype(np.int16)
    s12 = (g12.astype(np.int32) - 2048).astype(np.int16)
    g32 = (x.astype(np.uint32) * 400000007 + y * 65537).astype(np.uint32)
    f32 = (x / 3 - y / 7).astype(np.float32)
    f64 = x / 3 - y / 7
    rgb = np.stack([g8, g8[::-1], 255 - g8], axis=2).astype(np.uint8)
    two = np.stack([g16, g16[::-1]])
    # least value 0: dcmcjpeg subtracts it
    flat8 = np.kron(np.array([[0, 200], [90, 128]], np.uint8), np.ones((8, 8), np.uint8))
    flat12 = np.kron(np.array([[0, 4000], [900, 2048]], np.uint16), np.ones((8, 8), np.uint16))

    for name, ts in (("implicit", IMPLICIT), ("explicit", EXPLICIT), ("big", BIG), ("deflated", DEFLATED)):
        native(out, name + "_u8", g8, ts)
        native(out, name + "_u16", g16, ts)
        native(out, name + "_rgb", rgb, ts)
    native(out, "big_u8_words", g8, BIG, vr="OW")
    native(out, "explicit_i16", s16, EXPLICIT)
    native(out, "explicit_i12", s12, EXPLICIT, stored=12)
    native(out, "explicit_u32", g32, EXPLICIT)
    native(out, "explicit_f32", f32, EXPLICIT, vr="OF", tag=0x7fe00008)
    native(out, "explicit_f64", f64, EXPLICIT, vr="OD", tag=0x7fe00009)
    native(out, "explicit_frames", two, EXPLICIT, frames=2)
    for name, a, kw in (("u8", g8, {}), ("u16", g16, {}), ("i12", s12, {"stored": 12}), ("u32", g32, {}), ("rgb", rgb, {})):
        put(out, "rle_" + name, a, part10(dataset(a, RLE, encapsulated([[rle(a)]]), **kw), RLE))
    one, other = rle(two[0]), rle(two[1])
    cut = [[one[:50], one[50:66], one[66:]], [other[:64], other[64:]]]
    put(out, "rle_fragments", two, part10(dataset(two, RLE, encapsulated(cut), frames=2), RLE))
    for table in ("", "extended"):
        body = dataset(two, RLE, encapsulated([[one], [other]], table), frames=2)
        put(out, "rle_frames_" + (table or "no") + "_table", two, part10(body, RLE))

    dcmtk(out, "jpeg_baseline", flat8, "dcmcjpeg", "+eb", "+q", "100")
    dcmtk(out, "jpeg_extended12", flat12, "dcmcjpeg", "+ee", "+q", "100", stored=12)
    dcmtk(out, "jpeg_spectral", flat8, "dcmcjpeg", "+es", "+q", "100")
    dcmtk(out, "jpeg_progressive", flat8, "dcmcjpeg", "+ep", "+q", "100")
    for name, a, kw in (("u8", g8, {}), ("u16", g16, {}), ("rgb", rgb, {})):
        dcmtk(out, "jpeg_lossless_" + name, a, "dcmcjpeg", "+e1", **kw)
        dcmtk(out, "jpegls_" + name, a, "dcmcjpls", "+el", **kw)
    dcmtk(out, "jpeg_lossless_p14", g16, "dcmcjpeg", "+el")
    dcmtk(out, "jpegls_i12", s12, "dcmcjpls", "+el", stored=12)
    near = imagecodecs.jpegls_encode(g8, level=2)
    a = imagecodecs.jpegls_decode(near)
    assert a.tobytes() != g8.tobytes() and abs(a.astype(int) - g8).max() <= 2
    put(out, "jpegls_near", a, part10(dataset(a, JLSN, encapsulated([[near]])), JLSN))

    for name, a, kw in (("u8", g8, {}), ("u16", g16, {}), ("i16", s16, {}), ("rgb", rgb, {"photometric": "YBR_RCT"})):
        j = imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0, mct=name == "rgb")
        put(out, "j2k_" + name, a, part10(dataset(a, J2KL, encapsulated([[j]], ""), **kw), J2KL))
        h = imagecodecs.htj2k_encode(a, reversible=True)
        put(out, "htj2k_" + name, a, part10(dataset(a, HTJ2KL, encapsulated([[h]]), **kw), HTJ2KL))
    j = [imagecodecs.jpeg2k_encode(f, codecformat="j2k", reversible=True, level=0) for f in two]
    put(out, "j2k_fragments", two, part10(dataset(two, J2K, encapsulated([[c[:40], c[40:]] for c in j]), frames=2), J2K))
    put(out, "j2k_frames_no_table", two, part10(dataset(two, J2KL, encapsulated([[c] for c in j], ""), frames=2), J2KL))
    h = imagecodecs.htj2k_encode(g16, reversible=True)
    put(out, "htj2k_any", g16, part10(dataset(g16, HTJ2K, encapsulated([[h]])), HTJ2K))

    # what files in the field are like
    body = dataset(g16, IMPLICIT, el(0x7fe00010, "OW", g16.tobytes(), IMPLICIT))
    put(out, "odd_no_meta_implicit", g16, part10(body, IMPLICIT, meta=False))
    put(out, "odd_implicit_under_explicit", g16, part10(body, EXPLICIT))
    body = dataset(g16, EXPLICIT, el(0x7fe00010, "OW", g16.tobytes()))
    put(out, "odd_no_meta_explicit", g16, part10(body, EXPLICIT, meta=False))
    put(out, "odd_explicit_under_implicit", g16, part10(body, IMPLICIT))
    put(out, "odd_padding_behind", g16, part10(body + el(0xfffcfffc, "OB", bytes(64)), EXPLICIT))
    put(out, "odd_zeros_behind", g16, part10(body + bytes(512), EXPLICIT))
    put(out, "odd_pixels_too_long", g16, part10(dataset(g16, EXPLICIT, el(0x7fe00010, "OW", g16.tobytes() + bytes(6))), EXPLICIT))
    nested = struct.pack("<HHI", 0xfffe, 0xe000, 0xffffffff) + el(0x00100010, "PN", "Golden^File", IMPLICIT) + \
        struct.pack("<HHI", 0xfffe, 0xe00d, 0) + struct.pack("<HHI", 0xfffe, 0xe0dd, 0)
    un = el(0x00290010, "LO", "ACME") + struct.pack("<HH", 0x29, 0x1010) + b"UN\0\0" + b"\xff" * 4 + nested
    put(out, "odd_un_sequence", g16, part10(dataset(g16, EXPLICIT, el(0x7fe00010, "OW", g16.tobytes()), more=un), EXPLICIT))
    dcmtk(out, "jpeg_lossless_high", g12, "dcmcjpeg", "+e1", stored=12, high=15)
    dcmtk(out, "jpegls_high", g12, "dcmcjpls", "+el", stored=12, high=13)
    with open(os.path.join(out, "expected.tsv"), "w") as f:
        f.write("\n".join(expected) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
