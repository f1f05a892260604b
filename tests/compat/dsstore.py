#!/usr/bin/env python3
"""A dsver store, read from docs/store-format.md alone: an implementation that shares no code with the tools.

    dsstore.py verify STORE DATASET[/BRANCH]   checks every pack, then the version: pieces, blocks, roots; prints them
    dsstore.py cat STORE DATASET[/BRANCH]      writes the version's records as JSON lines

STORE is the .dsver folder. index.db is not looked at: packs and catalog are all there is. Git objects are read by
`git cat-file`, zstd frames and deltas by the `zstd` command.
"""
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile

import dsr
from dsrcol import Bad, Cursor
from xxh3 import xxh64, xxh128

PACK_HEADER = b"dsvpack\n" + struct.pack("<II", 1, 0)
PACK_END = b"dsvpend\n"
OBJECT = b"\xf5dso"
RAW, ZSTD, DELTA = range(3)
COLUMN, ORIGIN, SOURCES = 1, 2, 3


class Object:
    """An object in a pack: its head, and the payload as it is stored."""

    def __init__(self, b, at, where):
        if b[at:at + 4] != OBJECT:
            raise Bad("pack-object", "%s: no object here" % where, at)
        head = b[at:at + b[at + 4]]
        if len(head) < 56 or int.from_bytes(head[-4:], "little") != xxh64(head[:-4]) & 0xFFFFFFFF:
            raise Bad("pack-head", "%s: an object head's checksum fails" % where, at)
        self.kind, self.codec, self.filter = head[5:8]
        self.stored, self.raw, self.chain, sketch, key = struct.unpack("<IIHBB", head[8:20])
        self.id = head[20:52]
        self.base = head[52:84] if self.codec == DELTA else None
        if len(head) != 56 + 4 * sketch + (32 if self.base else 0) or sketch > 8 or key or self.codec > DELTA:
            raise Bad("pack-head", "%s: an object head of another form" % where, at)
        hashes = struct.unpack("<%dI" % sketch, head[-4 - 4 * sketch:-4])
        if any(a >= b for a, b in zip(hashes, hashes[1:])):
            raise Bad("pack-sketch", "%s: a sketch that does not ascend" % where, at)
        if not 1 <= self.stored <= self.raw <= dsr.MIB or (self.codec == RAW and (self.stored != self.raw or self.filter)):
            raise Bad("pack-length", "%s: an object's lengths" % where, at)
        end = at + len(head) + self.stored
        self.payload, self.end = b[at + len(head):end], end + 16
        if len(b) < self.end or xxh128(b[at:end]) != b[end:self.end]:
            raise Bad("pack-sum", "%s: an object's checksum fails" % where, at)


class Store:
    def __init__(self, path):
        self.path, self.objects, self.raw, self.packs = path, {}, {}, 0
        folder = os.path.join(path, "packs")
        for name in sorted(os.listdir(folder)):
            if name.endswith(".pack"):
                self.pack(os.path.join(folder, name), name)

    def pack(self, path, name):
        with open(path, "rb") as f:
            b = f.read()
        if name != hashlib.sha256(b).hexdigest() + ".pack":
            raise Bad("pack-name", "%s: the name is not the file's SHA-256" % name)
        if b[:16] != PACK_HEADER:
            raise Bad("pack-header", "%s: not a pack" % name)
        end = len(b) - 32
        magic, objects, offset = struct.unpack("<8sQQ", b[end:end + 24])
        if magic != PACK_END or offset != end or xxh64(b[end:end + 24]) != int.from_bytes(b[end + 24:], "little"):
            raise Bad("pack-trailer", "%s: a trailer that is none" % name)
        at = len(PACK_HEADER)
        while at < end:
            o = Object(b, at, name)
            self.objects.setdefault(o.id, o)
            at, objects = o.end, objects - 1
        if at != end or objects:
            raise Bad("pack-count", "%s: another number of objects" % name)
        self.packs += 1

    def get(self, id):
        """A piece by its address, which is checked."""
        if id not in self.raw:
            o = self.objects.get(id)
            if o is None:
                raise Bad("missing", "piece %s is in no pack" % id.hex())
            b = self.decode(o)
            if len(b) != o.raw or dsr.tagged(b"piece", b) != id:
                raise Bad("address", "piece %s is something else" % id.hex())
            self.raw[id] = b
        return self.raw[id]

    def decode(self, o):
        if o.codec == RAW:
            return o.payload
        if o.codec == ZSTD:
            return unfilter(dsr.unzstd(o.payload, o.raw, 0), o.filter)
        with tempfile.NamedTemporaryFile() as f:
            f.write(self.get(o.base))
            f.flush()
            p = subprocess.run(["zstd", "-q", "-d", "-c", "--patch-from=" + f.name], input=o.payload, stdout=subprocess.PIPE)
        return p.stdout


def unfilter(b, filter):
    """Byte planes back into words, and differences into values."""
    width = 1 << (filter & 3)
    n = len(b) // width
    if width > 1:
        words = bytearray(b)
        for k in range(width):
            words[k:n * width:width] = b[k * n:(k + 1) * n]
        b = bytes(words)
    if filter & 4:
        form, mask, total = "<%d%s" % (n, "BHIQ"[filter & 3]), (1 << 8 * width) - 1, 0
        words = []
        for v in struct.unpack(form, b[:n * width]):
            total = (total + v) & mask
            words.append(total)
        b = struct.pack(form, *words) + b[n * width:]
    return b


class Catalog:
    def __init__(self, path):
        self.git = ["git", "--git-dir", path]

    def run(self, *argv):
        return subprocess.run(self.git + list(argv), stdout=subprocess.PIPE, check=True).stdout

    def commit(self, ref):
        """Id, tree and trailers."""
        id = self.run("rev-parse", "--verify", "--end-of-options", "refs/heads/" + ref).decode().strip()
        head, _, message = self.run("cat-file", "commit", id).partition(b"\n\n")
        tree = head.split(b"\n")[0].split(b" ")[1].decode()
        trailers = dict(line.split(": ", 1) for line in message.decode().strip().split("\n\n")[-1].split("\n") if ": " in line)
        return id, tree, trailers

    def tree(self, id):
        """name -> (type, id), in git's order."""
        out = {}
        for row in self.run("ls-tree", "-z", id).split(b"\0")[:-1]:
            what, name = row.decode().split("\t")
            out[name] = tuple(what.split(" ")[1:])
        return out

    def blob(self, id):
        return self.run("cat-file", "blob", id)

    def lines(self, tree, what):
        """Lines of all files under blocks/ or sources/."""
        if what not in tree:
            return
        for i, (name, (_, folder)) in enumerate(self.tree(tree[what][1]).items()):
            if name != "%04d" % i:
                raise Bad("manifest-name", "%s/%s where %04d belongs" % (what, name, i))
            for k, (file, (_, blob)) in enumerate(self.tree(folder).items()):
                if file != "%04d" % k:
                    raise Bad("manifest-name", "%s/%s/%s where %04d belongs" % (what, name, file, k))
                text = self.blob(blob).decode("ascii")
                if not text.endswith("\n"):
                    raise Bad("manifest", "%s/%s/%s does not end in a line" % (what, name, file))
                yield from text[:-1].split("\n")


def parse_line(line):
    """rows, then for each chunk its length and the addresses of its pieces."""
    rows, *chunks = line.split(" ")
    out = []
    for c in chunks:
        length, _, pieces = c.partition(":")
        out.append((int(length), [bytes.fromhex(p) for p in pieces.split(",")]))
    return int(rows), out


def chunk_of(store, length, pieces, kind):
    got = [store.get(p) for p in pieces]
    b = b"".join(got)
    if len(b) != length:
        raise Bad("chunk-length", "a chunk of another length than the manifest says")
    return b


def sources_of(store, lines):
    """Sources, and how many blocks stand before each."""
    sources, told = [], []
    for line in lines:
        count, [(length, pieces)] = parse_line(line)
        c = Cursor(chunk_of(store, length, pieces, SOURCES), "page of sources")
        for _ in range(count):
            told.append((told[-1] if told else 0) + c.varint())
            name = c.take(c.varint())
            sources.append((name, c.varint(), c.take(32)))
        c.end()
    return sources, told


class Version:
    """A version of a dataset, read whole: its stream as dsr.py reads it, checked by the same rules."""

    def __init__(self, store, catalog, ref):
        self.id, tree, self.trailers = catalog.commit(ref)
        tree = catalog.tree(tree)
        self.meta = json.loads(catalog.blob(tree["meta.json"][1]))
        schema, provenance = catalog.blob(tree["schema.json"][1]), catalog.blob(tree["provenance.json"][1])
        blocks = []
        for line in catalog.lines(tree, "blocks"):
            rows, chunks = parse_line(line)
            blocks.append((rows, [chunk_of(store, n, p, COLUMN) for n, p in chunks]))
        sources, told = sources_of(store, catalog.lines(tree, "sources"))
        frames = [dsr.Frame(b"H", schema), dsr.Frame(b"V", provenance)]
        done = 0
        for n, (rows, chunks) in enumerate(blocks):
            ready = sum(t <= n for t in told)
            frames += dsr.source_frames(sources[done:ready]) + dsr.block_frames(rows, chunks)
            done = ready
        frames += dsr.source_frames(sources[done:])
        m = self.meta
        root = bytes.fromhex(m["root"].removeprefix("sha256:"))
        frames.append(dsr.end_frame(m["records"], m["blocks"], m["sources"], m["held"], m["failed"], root))
        self.bytes = dsr.serialise(frames)
        self.stream = dsr.read(self.bytes)
        self.roots = ["sha256:" + r.hex() for r in self.stream.roots()]
        if [m["root"], m["origin_root"]] != self.roots or self.trailers.get("Dsver-Root") != self.roots[0]:
            raise Bad("root", "the roots are not those that the commit names")
        if int(self.trailers.get("Dsver-Records", -1)) != m["records"]:
            raise Bad("records", "the commit names another number of records")
        size = sum(len(c) for _, chunks in blocks for c in chunks)
        if m["bytes"] != size:
            raise Bad("bytes", "meta.json tells of %d bytes, there are %d" % (m["bytes"], size))


def version(path, name):
    return Version(Store(path), Catalog(os.path.join(path, "catalog.git")), name if "/" in name else name + "/main")


def main(argv):
    if len(argv) != 3 or argv[0] not in ("verify", "cat"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        v = version(argv[1], argv[2])
    except Bad as e:
        print("%s: %s" % (argv[2], e), file=sys.stderr)
        return 12
    if argv[0] == "cat":
        sys.stdout.buffer.write(dsr.cat(v.stream))
    else:
        print("%s records %d root %s origin %s" % (v.id, v.meta["records"], *v.roots))
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
