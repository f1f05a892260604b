#!/usr/bin/env python3
"""Copies packs into a folder with the bytes of their pieces changed, under checksums, names and heads that are
sound: what only the pieces' addresses tell.

    liepack.py PACK... DIR
"""
import hashlib
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat"))
import xxh3  # noqa: E402


def main():
    out = sys.argv[-1]
    for path in sys.argv[1:-1]:
        with open(path, "rb") as f:
            data = f.read()
        pos, end, body, heads, n = 16, len(data) - 32, [data[:16]], [b"dsvhead\n" + struct.pack("<II", 1, 0)], 0
        while pos < end:
            size, stored = data[pos + 4], struct.unpack_from("<I", data, pos + 8)[0]
            head = bytearray(data[pos:pos + size])
            raw = struct.unpack_from("<I", head, 12)[0]
            head[6] = head[7] = head[16] = head[17] = 0  # raw, whole
            head[19] = 0
            sketch = bytes(data[pos + 53 + 32 * data[pos + 19]:pos + size - 4])
            head = head[:53] + sketch
            head[4] = len(head) + 4
            head[8:12] = struct.pack("<I", raw)
            head = bytes(head) + struct.pack("<I", xxh3.xxh64(bytes(head)) & 0xffffffff)
            obj = head + b"x" * raw
            body.append(obj + xxh3.xxh128(obj))
            heads.append(head)
            pos += size + stored + 16
            n += 1
        size = sum(map(len, body))
        tail = b"dsvpend\n" + struct.pack("<QQ", n, size)
        pack = b"".join(body) + tail + struct.pack("<Q", xxh3.xxh64(tail))
        text = b"".join(heads) + b"dsvhend\n" + struct.pack("<QQ", n, len(pack))
        name = os.path.join(out, hashlib.sha256(pack).hexdigest())
        with open(name + ".pack", "wb") as f:
            f.write(pack)
        with open(name + ".heads", "wb") as f:
            f.write(text + struct.pack("<Q", xxh3.xxh64(text)))


main()
