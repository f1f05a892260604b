#!/usr/bin/env python3
"""A dsver store, read from docs/store-format.md alone: an implementation that shares no code with the tools.

    dsstore.py verify STORE DATASET[/BRANCH]   checks every pack, then the version: pieces, blocks, roots; prints them
    dsstore.py cat STORE DATASET[/BRANCH]      writes the version's records as JSON lines
    dsstore.py erased STORE DATASET[/BRANCH]   checks the version's root by the lines it was committed with, and that what is read
                                               in place of those that something was erased from is there; prints how many
    dsstore.py find STORE TEXT...              looks for each TEXT in every file of the store and in every piece, decoded; prints those that
                                               are there, in their order, with a tab and where each stands; 1: any is

STORE is the .dsver folder. index.db is not looked at: packs and catalog are all there is. Git objects are read by
`git cat-file`, zstd frames and deltas by the `zstd` command.
"""
import hashlib
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
import tempfile
import urllib.parse

import dsr
from dsrcol import Bad, Cursor
from xxh3 import xxh64, xxh128

PACK_HEADER = b"dsvpack\n" + struct.pack("<II", 1, 0)
PACK_END = b"dsvpend\n"
OBJECT = b"\xf5dso"
RAW, ZSTD, DELTA = range(3)
HEAD = 57  # bytes of an object head without bases and sketch
LINE = re.compile("[1-9][0-9]*( [1-9][0-9]*:[0-9a-f]{64}(,[0-9a-f]{64})*)+")
FILE_LINES, FOLDER_FILES, PAGE_MAX = 1024, 512, 512 << 10


class Object:
    """An object in a pack: its head, and the payload as it is stored."""

    def __init__(self, b, at, where):
        if b[at:at + 4] != OBJECT:
            raise Bad("pack-object", "%s: no object here" % where, at)
        head = b[at:at + b[at + 4]]
        if len(head) < HEAD or int.from_bytes(head[-4:], "little") != xxh64(head[:-4]) & 0xFFFFFFFF:
            raise Bad("pack-head", "%s: an object head's checksum fails" % where, at)
        self.kind, self.codec, self.filter = head[5:8]
        self.stored, self.raw, self.chain, sketch, bases, key = struct.unpack("<IIHBBB", head[8:21])
        self.id = head[21:53]
        self.bases = [head[53 + 32 * k:85 + 32 * k] for k in range(bases)]
        if (len(head) != HEAD + 32 * bases + 4 * sketch or sketch > 16 or bases > 4 or key or self.codec > DELTA
                or (bases > 0) != (self.codec == DELTA)):
            raise Bad("pack-head", "%s: an object head of another form" % where, at)
        if (self.chain > 0) != (bases > 0) or self.filter > 7 or (self.filter and not self.filter & 3):
            raise Bad("pack-head", "%s: an object's chain number or filter" % where, at)
        self.sketch = head[-4 - 4 * sketch:-4]
        hashes = struct.unpack("<%dI" % sketch, self.sketch)
        if any(a >= b for a, b in zip(hashes, hashes[1:])):
            raise Bad("pack-sketch", "%s: a sketch that does not ascend" % where, at)
        if (not 1 <= self.stored <= self.raw <= dsr.MIB or (self.codec == RAW and self.stored != self.raw)
                or (self.codec != ZSTD and self.filter)):
            raise Bad("pack-length", "%s: an object's lengths" % where, at)
        end = at + len(head) + self.stored
        self.pack, self.at, self.payload, self.end = where, at, b[at + len(head):end], end + 16
        if len(b) < self.end or xxh128(b[at:end]) != b[end:self.end]:
            raise Bad("pack-sum", "%s: an object's checksum fails" % where, at)


class Store:
    """id: the store's number, to which references point; None while nothing refers to it."""

    def __init__(self, path):
        self.path, self.objects, self.raw, self.packs = path, {}, {}, 0
        number = os.path.join(path, "id")
        self.id = None
        if os.path.exists(number):
            with open(number) as f:
                self.id = bytes.fromhex(f.read())
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
            self.raw[id] = b""  # a ring of bases ends here
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
            f.write(b"".join(map(self.get, reversed(o.bases))))
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


def wrong_index(store):
    """How index.db is not what the document says of it: its checksums, and the packs and pieces that it tells of."""
    path = os.path.join(store.path, "index.db")
    if os.path.exists(path + "-wal") and os.path.getsize(path + "-wal"):
        return ["index.db has a write-ahead log, though nobody has it open"]
    with open(path, "rb") as f:
        b = f.read()
    wrong = []
    for n in range(len(b) // 4096):
        page = b[4096 * n:4096 * n + 4096]
        if xxh64(page[:4088]) ^ (n + 1) * 0x9E3779B97F4A7C15 & dsr.M64 != int.from_bytes(page[4088:], "little"):
            wrong.append("index.db: the checksum of page %d fails" % (n + 1))
    db = sqlite3.connect("file:%s?mode=ro&immutable=1" % urllib.parse.quote(path), uri=True)
    packs = {n: (name.hex() + ".pack", size, objects) for n, name, size, objects in db.execute("select n, name, size, objects from packs")}
    there = {(name, os.path.getsize(os.path.join(store.path, "packs", name))) for name in os.listdir(os.path.join(store.path, "packs"))}
    if {(name, size) for name, size, _ in packs.values()} != there:
        wrong.append("index.db tells of other packs")
    rows = db.execute("select n, id, pack, off, stored, raw, kind, base, chain, sketch from pieces").fetchall()
    told = {r[1]: (packs[r[2]][0], *r[3:7], r[7] or b"", r[8], r[9] or b"") for r in rows}
    held = {o.id: (o.pack, o.at, o.end - o.at, o.raw, o.kind, b"".join(o.bases), o.chain, o.sketch) for o in store.objects.values()}
    wrong += ["index.db: piece %s is told of as %s, not %s" % (i.hex(), told.get(i), held.get(i))
              for i in sorted(told.keys() | held.keys()) if told.get(i) != held.get(i)]
    hashes = set(db.execute("select hash, piece from minhash"))
    if hashes != {(h, r[0]) for r in rows for (h,) in struct.iter_unpack("<I", r[9] or b"")}:
        wrong.append("index.db: minhash is not that of the sketches")
    db.close()
    return wrong


class Catalog:
    def __init__(self, path):
        self.git = ["git", "--git-dir", path]

    def run(self, *argv):
        return subprocess.run(self.git + list(argv), stdout=subprocess.PIPE, check=True).stdout

    def commit(self, ref):
        """Id, tree, root and number of records. ref: DATASET/BRANCH, or a commit's id."""
        exact = re.fullmatch("[0-9a-f]{40}", ref)
        id = ref if exact else self.run("rev-parse", "--verify", "--end-of-options", "refs/heads/" + ref).decode().strip()
        head, _, message = self.run("cat-file", "commit", id).partition(b"\n\n")
        tree = head.split(b"\n")[0].split(b" ")[1].decode()
        end = re.search(rb"\n\nDsver-Root: (sha256:[0-9a-f]{64})\nDsver-Records: ([0-9]+)\nDsver-Dataset: ([^\n]+)\n\Z", message)
        if not end or not exact and end[3].decode() != ref.split("/")[0]:
            raise Bad("commit", "commit %s does not end in the three lines of a version" % id)
        return id, tree, end[1].decode(), int(end[2])

    def tree(self, id):
        """name -> (type, id), in git's order."""
        out = {}
        for row in self.run("ls-tree", "-z", id).split(b"\0")[:-1]:
            what, name = row.decode().split("\t")
            out[name] = tuple(what.split(" ")[1:])
        return out

    def blob(self, id):
        return self.run("cat-file", "blob", id)

    def lines(self, tree, what, address):
        """Lines of all files under blocks/ or sources/, parsed. Every file and folder must end where it belongs."""
        if what not in tree:
            return
        folders = list(self.tree(tree[what][1]).items())
        for i, (name, (_, folder)) in enumerate(folders):
            files = list(self.tree(folder).items())
            for k, (file, (_, blob)) in enumerate(files):
                if (name, file) != ("%04d" % i, "%04d" % k):
                    raise Bad("manifest-name", "%s/%s/%s where %04d/%04d belongs" % (what, name, file, i, k))
                last = i + 1 == len(folders) and k + 1 == len(files)
                yield from self.file(what, blob, last, address)
                if i + 1 == len(folders) and k + 1 == len(files):
                    break
                full = int(blob[-2:], 16) & 63 == 0 or k + 1 == FOLDER_FILES
                if full != (k + 1 == len(files)):
                    raise Bad("manifest-folder", "%s/%s ends where it should not" % (what, name))

    def file(self, what, blob, last, address):
        text = self.blob(blob).decode("ascii")
        if not text.endswith("\n"):
            raise Bad("manifest", "%s does not end in a newline" % what)
        rows = text[:-1].split("\n")
        for n, row in enumerate(rows):
            line = parse_line(row)
            yield line
            full = address(line)[0] == 0 or n + 1 == FILE_LINES
            if full != (n + 1 == len(rows)) and not (last and n + 1 == len(rows)):
                raise Bad("manifest-file", "a file of %s ends where it should not" % what)


def parse_line(line):
    """rows, then for each chunk its length and the addresses of its pieces."""
    if not LINE.fullmatch(line):
        raise Bad("manifest-line", "a line of another form: %s" % line[:60])
    rows, *chunks = line.split(" ")
    out = []
    for c in chunks:
        length, _, pieces = c.partition(":")
        out.append((int(length), [bytes.fromhex(p) for p in pieces.split(",")]))
    return int(rows), out


def line_address(line):
    """Of a block: the last chunk, its origins, has no part in it."""
    rows, chunks = line
    return dsr.tagged(b"block", dsr.u64(rows), dsr.u64(len(chunks) - 1), *[
        dsr.tagged(b"chunk", dsr.u64(n), dsr.u64(len(p)), *p) for n, p in chunks[:-1]])


def page_address(line):
    return line[1][0][1][0]


def chunk_of(store, length, pieces):
    got = [store.get(p) for p in pieces]
    b = b"".join(got)
    if len(b) != length:
        raise Bad("chunk-length", "a chunk of another length than the manifest says")
    if dsr.cut_pieces(b) != got:
        raise Bad("piece-cut", "a chunk's pieces are not cut where they belong")
    return b


def sources_of(store, lines):
    """Sources, and how many blocks stand before each."""
    sources, told, before = [], [], None
    for count, chunks in lines:
        if len(chunks) != 1 or len(chunks[0][1]) != 1:
            raise Bad("page", "a page of sources is one piece")
        page = chunk_of(store, *chunks[0])
        c = Cursor(page, "page of sources")
        for n in range(count):
            start = c.at
            told.append((told[-1] if told else 0) + c.varint())
            hashed = c.at
            sources.append((c.take(c.varint()), c.varint(), c.take(32)))
            cut = xxh64(page[hashed:c.at]) & 511 == 0
            if n == 0 and before is not None and not before[0] and before[1] + c.at - start <= PAGE_MAX:
                raise Bad("page-cut", "a page of sources ended too early")
            if cut and n + 1 < count or c.at > PAGE_MAX:
                raise Bad("page-cut", "a page of sources should have ended")
        c.end()
        before = cut, len(page)
    return sources, told


class Version:
    """A version of a dataset, read whole: its stream as dsr.py reads it, checked by the same rules."""

    def __init__(self, store, catalog, ref):
        self.id, tree, root, records = catalog.commit(ref)
        tree = catalog.tree(tree)
        self.meta = json.loads(catalog.blob(tree["meta.json"][1]))
        schema, provenance = catalog.blob(tree["schema.json"][1]), catalog.blob(tree["provenance.json"][1])
        blocks = []
        for rows, chunks in catalog.lines(tree, "blocks", line_address):
            blocks.append((rows, [chunk_of(store, n, p) for n, p in chunks]))
        sources, told = sources_of(store, catalog.lines(tree, "sources", page_address))
        frames = [dsr.Frame(b"H", schema), dsr.Frame(b"V", provenance)]
        done = 0
        for n, (rows, chunks) in enumerate(blocks):
            ready = sum(t <= n for t in told)
            frames += dsr.source_frames(sources[done:ready]) + dsr.block_frames(rows, chunks)
            done = ready
        frames += dsr.source_frames(sources[done:])
        m = self.meta
        if sorted(m) != sorted("format records blocks sources bytes root origin_root held failed".split()) or m["format"] != 1:
            raise Bad("meta", "meta.json has other members")
        frames.append(dsr.end_frame(m["records"], m["blocks"], m["sources"], m["held"], m["failed"],
                                    bytes.fromhex(root.removeprefix("sha256:"))))
        self.bytes = dsr.serialise(frames)
        self.stream = dsr.read(self.bytes)
        self.roots = ["sha256:" + r.hex() for r in self.stream.roots()]
        if [m["root"], m["origin_root"]] != self.roots or records != m["records"]:
            raise Bad("meta", "meta.json tells of other roots or records")
        if m["bytes"] != sum(len(c) for _, chunks in blocks for c in chunks):
            raise Bad("meta", "meta.json tells of another number of bytes")


def overlay(catalog):
    """Address of a block or page -> the line that is read in its place."""
    out = {}
    try:
        tip = catalog.run("rev-parse", "--verify", "-q", "refs/dsver/erased^{tree}").decode().strip()
    except subprocess.CalledProcessError:
        return out
    for name, (_, blob) in sorted(catalog.tree(catalog.tree(tip)["lines"][1]).items()):
        for row in catalog.blob(blob).decode("ascii").splitlines():
            address, _, line = row.partition(" ")
            if address[:2] != name or bytes.fromhex(address) in out:
                raise Bad("overlay", "a line of refs/dsver/erased where it does not belong")
            out[bytes.fromhex(address)] = parse_line(line)
    return out


def erased(path, name):
    store, catalog = Store(path), Catalog(os.path.join(path, "catalog.git"))
    instead = overlay(catalog)
    id, tree, root, records = catalog.commit(name if "/" in name else name + "/main")
    tree = catalog.tree(tree)
    addresses, counts, rows = [], [0, 0], 0
    for i, (what, address) in enumerate((("blocks", line_address), ("sources", page_address))):
        for line in catalog.lines(tree, what, address):
            a = address(line)
            rows += line[0] if i == 0 else 0
            addresses += [a] if i == 0 else []
            if a in instead:
                counts[i] += 1
                if instead[a][0] != line[0]:
                    raise Bad("overlay", "what replaces a line is not of as many rows")
                line = (line[0], instead[a][1] if i else instead[a][1][:-1] + line[1][-1:])
            for length, pieces in line[1]:
                chunk_of(store, length, pieces)
    schema = dsr.tagged(b"schema", catalog.blob(tree["schema.json"][1]))
    if "sha256:" + dsr.tagged(b"root", schema, *addresses, dsr.u64(len(addresses))).hex() != root or rows != records:
        raise Bad("root", "the lines do not give the root of the version")
    return "%s records %d root %s erased blocks %d pages %d" % (id, rows, root, *counts)


def find(path, texts):
    """Where each text stands first: files as they lie there, all pieces, and the catalog's objects."""
    found = {}

    def look(where, data):
        for text in texts:
            if text not in found and text in data:
                found[text] = where

    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                look(os.path.join(folder, name), f.read())
    store = Store(path)
    for id in store.objects:
        look("piece " + id.hex(), store.get(id))
    objects = Catalog(os.path.join(path, "catalog.git")).run("cat-file", "--batch-all-objects", "--batch")
    at = 0
    while at < len(objects):  # ID KIND SIZE, the bytes, a newline
        end = objects.index(b"\n", at)
        id, _, size = objects[at:end].decode().split(" ")
        at = end + 1 + int(size) + 1
        look("catalog object " + id, objects[end + 1:at])
    return ["%s\t%s" % (os.fsdecode(text), found[text]) for text in texts if text in found]


def version(path, name):
    return Version(Store(path), Catalog(os.path.join(path, "catalog.git")), name if "/" in name else name + "/main")


def main(argv):
    if len(argv) < 3 or argv[0] not in ("verify", "cat", "erased", "find") or (len(argv) > 3 and argv[0] != "find"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        if argv[0] == "find":
            found = find(argv[1], [os.fsencode(text) for text in argv[2:]])
            print("\n".join(found))
            return 1 if found else 0
        if argv[0] == "erased":
            print(erased(argv[1], argv[2]))
            return 0
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
