#!/usr/bin/env python3
"""An auditor's own check of a dsver store and of checkpoints, without dsver: written from docs/store-format.md,
docs/dsr-format.md and docs/lineage-format.md alone. It writes nothing.

    storecheck.py STORE [--oplog HASH] [CHECKPOINT...]      STORE: the .dsver folder

Checked are every byte of every pack and piece, the index, every object of the catalog (by git fsck), the roots and counts of
every version, the ledger of every run, the operation log and the refs against it (with --oplog also that the log still goes
through an entry that was kept elsewhere); of a checkpoint its files, ledger, and the versions that it names. Not checked: that
the order of records in a ledger is the one that seed and roots give, what a run went back from, what an erasure replaced
(docs/store-format.md, "Erasure"), signatures (git verify-commit and verify-tag do). Each line on standard output is something
wrong, a "note:" on standard error is not. Exit status: 0 nothing is wrong, 1 something is, 2 usage.

Wants Python 3.9, git, and the libraries libzstd.so.1 and libxxhash.so.0.
"""
import functools
import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys

sys.dont_write_bytecode = True  # this only reads

from storepacks import Bad, Packs, found, note, sha, stream_columns, tell, u64, varint  # noqa: E402


# Whose store it is may want git to show other objects than those that a version is made of (replacements, grafts, a history
# that is cut), or to fetch what is missing by a command of his.
ENV = dict(os.environ, GIT_NO_REPLACE_OBJECTS="1", GIT_GRAFT_FILE=os.devnull + "/none", GIT_SHALLOW_FILE="", GIT_NO_LAZY_FETCH="1",
           GIT_ALLOW_PROTOCOL="none")


class Catalog:
    def __init__(self, folder):
        self.git = ["git", "-c", "safe.directory=*", "--git-dir=" + folder]
        fsck = subprocess.run(self.git + ["fsck", "--full", "--strict", "--no-dangling"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV)
        lines = [s for s in fsck.stdout.decode("utf-8", "replace").splitlines() if not s.startswith(("notice:", "Checking"))]
        for line in lines or ["git fsck ends with %d" % fsck.returncode] * (fsck.returncode != 0):
            tell("catalog.git", line)
        self.batch = None
        self.refs = dict(reversed(s.split(" ", 1)) for s in self.lines("for-each-ref", "--format=%(objectname) %(refname)"))
        self.block_file = functools.lru_cache(maxsize=4096)(self.read_lines)

    def lines(self, *arguments):
        p = subprocess.run(self.git + list(arguments), stdout=subprocess.PIPE, env=ENV)
        if p.returncode:
            tell("catalog.git", "git %s ends with %d" % (arguments[0], p.returncode))
        return p.stdout.decode("utf-8", "replace").splitlines()

    def read(self, name):
        if not self.batch or self.batch.poll() is not None:  # git ends at some damage
            self.batch = subprocess.Popen(self.git + ["cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=ENV)
            self.answers = io.BufferedReader(self.batch.stdout)
        try:
            self.batch.stdin.write(name.encode() + b"\n")
        except BrokenPipeError:
            self.batch.wait()
        words = self.answers.readline().split()
        if len(words) != 3:
            raise Bad("git cannot read %s" % name)
        return self.answers.read(int(words[2]) + 1)[:-1]

    def folder(self, name):
        """[(name, id)] of a tree, in git's order; nothing where there is none."""
        try:
            data, at, out = self.read(name), 0, []
        except Bad:
            return []
        while at < len(data):
            nul = data.index(b"\0", at)
            out.append((data[at:nul].split(b" ", 1)[1].decode(), data[nul + 1:nul + 21].hex()))
            at = nul + 21
        return out

    def read_lines(self, blob):
        return [parse_line(line) for line in self.read(blob).decode("ascii").splitlines()]

    def manifest(self, commit, what):
        for _, folder in self.folder(commit + ":" + what):
            for _, blob in self.folder(folder):
                yield from self.block_file(blob)


def parse_line(text):
    """(rows, [(length, [addresses])]) of a line of the manifest."""
    rows, *chunks = text.split(" ")
    pairs = (c.split(":") for c in chunks)
    return int(rows), [(int(n), [bytes.fromhex(a) for a in ids.split(",")]) for n, ids in pairs]


def chunk_address(chunk):
    return sha(b"ds.chunk\0", u64(chunk[0]), u64(len(chunk[1])), *chunk[1])


class Check:
    def __init__(self, store):
        self.store, self.packs, self.cat = store, Packs(os.path.join(store, "packs")), Catalog(os.path.join(store, "catalog.git"))
        self.lazy = re.search(r"(?im)^\s*lazy\s*=\s*true", open(os.path.join(store, "config")).read())
        self.instead, self.checked, self.afar, self.versions, self.registered = {}, set(), set(), {}, set()
        if "refs/dsver/erased" in self.cat.refs:
            for _, blob in self.cat.folder("refs/dsver/erased:lines"):
                for line in self.cat.read(blob).decode().splitlines():
                    address, text = line.split(" ", 1)
                    self.instead[bytes.fromhex(address)] = parse_line(text)

    def need(self, chunk):
        lengths = [self.packs.pieces[a].raw if a in self.packs.pieces else None for a in chunk[1]]
        for address, length in zip(chunk[1], lengths):
            if length is None and self.lazy:
                self.afar.add(address)
            elif length is None:
                raise Bad("piece %s is in no pack" % address.hex()[:16])
        if None not in lengths and sum(lengths) != chunk[0]:
            raise Bad("the pieces of a chunk do not add up to its length")

    def sources(self, commit):
        """(number, their hash, whether any was erased, the lines)"""
        rows, pages, erased = [], [], False
        for line in self.cat.manifest(commit, "sources"):
            pages.append(line)
            page = line[1][0][1][0]
            erased |= page in self.instead
            chunk = self.instead.get(page, line)[1][0]
            self.need(chunk)
            data, at = self.packs.get(chunk[1][0]), 0
            while at < len(data):
                _, begin = varint(data, at)
                length, at = varint(data, begin)
                _, at = varint(data, at + length)
                at += 32
                rows.append(data[begin:at])
        return len(rows), sha(b"ds.sources\0", *rows, u64(len(rows))), erased

    def version(self, commit, says):
        meta = json.loads(self.cat.read(commit + ":meta.json"))
        schema = sha(b"ds.schema\0", self.cat.read(commit + ":schema.json"))
        records, blocks, origins = 0, [], []
        for rows, chunks in self.cat.manifest(commit, "blocks"):
            addresses = [chunk_address(c) for c in chunks]
            block = sha(b"ds.block\0", u64(rows), u64(len(chunks) - 1), *addresses[:-1])
            if (block, addresses[-1]) not in self.checked:
                for c in self.instead.get(block, (rows, chunks))[1][:-1] + chunks[-1:]:
                    self.need(c)
                self.checked.add((block, addresses[-1]))
            records, blocks, origins = records + rows, blocks + [block], origins + [addresses[-1]]
        root = "sha256:" + sha(b"ds.root\0", schema, *blocks, u64(len(blocks))).hex()
        sources, digest, erased = (meta["sources"], b"", True) if self.lazy else self.sources(commit)
        origin = "sha256:" + sha(b"ds.origin\0", *origins, u64(len(blocks)), digest).hex()
        if (root, str(records)) != (says[0], says[1]) or root != meta["root"]:
            raise Bad("its blocks give the root %s and %d records, its message says %s and %s" % (root, records, *says))
        if not erased and origin != meta["origin_root"]:
            raise Bad("its origins give another root than meta.json says")
        if (meta["records"], meta["blocks"], meta["sources"]) != (records, len(blocks), sources):
            raise Bad("its blocks and sources are not as many as meta.json says")

    def history(self):
        commits = self.cat.lines("rev-list", "--all")
        if not commits:  # a ref that is damaged hides the others
            commits = sorted({c for ref in self.cat.refs.values() for c in self.cat.lines("rev-list", ref)})
        for commit in commits:
            try:
                message = self.cat.read(commit).split(b"\n\n", 1)[1].decode("utf-8", "replace")
                m = re.search(r"\n\nDsver-Root: (sha256:[0-9a-f]{64})\nDsver-Records: (\d+)\nDsver-Dataset: ([^\n]+)\n\Z", "\n" + message)
                documents = [] if m else self.cat.folder(commit + ":lineage")
                if m:
                    self.versions[commit] = m[1]
                    self.version(commit, m.groups()[:2])
                elif documents:
                    run = re.search(r"\nDsver-Run: (sha256:[0-9a-f]{64})\n\Z", message)
                    segments = [(n, self.cat.read(b)) for n, b in self.cat.folder(commit + ":ledger")]
                    check_ledger(self.cat.read(documents[-1][1]), segments, run and run[1])
                    self.registered.update(blob for _, blob in documents)
                elif any(s in message for s in ("\nDsver-Root:", "\nDsver-Records:", "\nDsver-Run:")):
                    raise Bad("its message does not end as that of a version or a run")
            except (Bad, ValueError, KeyError, IndexError, struct.error) as e:
                tell("catalog.git commit " + commit, e)

    def oplog(self, kept):
        try:
            data = open(os.path.join(self.store, "oplog"), "rb").read()
        except OSError as e:
            return tell("oplog", e)
        before, seq, last = "0" * 64, 0, {}
        kept_seen = not kept
        for line in data[:data.rfind(b"\n") + 1].splitlines():
            seq += 1
            try:
                entry, digest = json.loads(line), hashlib.sha256(line.rsplit(b',"hash":', 1)[0]).hexdigest()
                if (entry["seq"], entry["prev"], entry["hash"]) != (seq, before, digest):
                    raise Bad("the chain breaks here")
                before = digest
                kept_seen |= digest == kept
                if "ref" in entry:
                    last[entry["ref"]] = entry
            except (Bad, ValueError, KeyError) as e:
                return tell("oplog line %d" % seq, e)
        if not kept_seen:
            tell("oplog", "no entry has the hash %s" % kept)
        for ref in self.cat.refs.keys() | last.keys():
            is_at, e = self.cat.refs.get(ref), last.get(ref, {"after": None, "before": None})
            if is_at not in (e["after"], e["before"]) or (is_at and ref not in last):
                (tell if kept else note)("catalog.git " + ref, "is not where the operation log leaves it")

    def checkpoint(self, folder):
        files = sorted(os.path.relpath(os.path.join(d, n), folder).encode() for d, _, names in os.walk(folder) for n in names)
        text, h, segments = open(os.path.join(folder, "lineage.json"), "rb").read(), hashlib.sha256(), []
        for name in files:
            if name != b"lineage.json":
                data = open(os.path.join(folder.encode(), name), "rb").read()
                h.update(b"%s %d %s\n" % (hashlib.sha256(data).hexdigest().encode(), len(data), name))
                if name.startswith(b"ledger/"):
                    segments.append((name.decode()[7:], data))
        statement = check_ledger(text, segments)
        if hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest() not in self.registered:
            note(folder, "its lineage.json is not in the catalog: what it says of program and environment rests on nothing else")
        if statement["subject"][0]["digest"]["sha256"] != h.hexdigest():
            raise Bad("its files do not have the digest that its lineage.json says")
        for d in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
            commit = d["digest"].get("gitCommit")
            if commit and self.versions.get(commit) != "sha256:" + d["digest"]["sha256"]:
                raise Bad("the store has no version %s of %s with that root" % (commit, d["name"]))


def check_ledger(text, segments, run=None):
    """The statement of a lineage.json; its segments, in order, give the head that it names."""
    statement = json.loads(text)
    m = re.search(rb'"externalParameters":(\{.*\}),"internalParameters":', text, re.S)
    digest = sha(b"ds.run\0", m[1])
    details = statement["predicate"]["runDetails"]
    if details["metadata"]["invocationId"] != "sha256:" + digest.hex() or run not in (None, "sha256:" + digest.hex()):
        raise Bad("the run's description does not have the digest that is said")
    chain, rows, at = sha(b"ds.ledger\0", digest), 0, 0
    for name, data in segments:
        first, last = map(int, re.fullmatch(r"ledger-(\d+)-(\d+)[.]dsr", name).groups())
        for r in stream_columns(data):
            chain = sha(chain, *(u64(r[c]) for c in ("step", "row", "targets", "lr", "loss", "norm")), r["pieces"])
            if r["chain"] != chain or r["row"] != rows or not first <= r["step"] <= last:
                raise Bad("%s: the chain breaks at row %d" % (name, rows))
            rows += 1
        if first != at + 1:
            raise Bad("%s does not follow step %d" % (name, at))
        at = last
    ledger = next(b for b in details["byproducts"] if b["name"] == "ledger")
    if (ledger["digest"]["sha256"], ledger["annotations"]) != (chain.hex(), {"rows": rows, "steps": at}):
        raise Bad("the ledger does not end with the head that lineage.json says")
    return statement


def main(arguments):
    kept = None
    if "--oplog" in arguments[:-1]:
        i = arguments.index("--oplog")
        kept = arguments[i + 1]
        arguments[i:i + 2] = []
    if not arguments or arguments[0].startswith("-") or not os.path.exists(os.path.join(arguments[0], "config")):
        return usage()
    check = Check(arguments[0])
    check.packs.check_all()
    check.packs.check_index(os.path.join(arguments[0], "index.db"))
    check.history()
    check.oplog(kept)
    for folder in arguments[1:]:
        try:
            check.checkpoint(folder)
        except (Bad, OSError, ValueError, KeyError, TypeError, StopIteration, struct.error) as e:
            tell(folder, e)
    print("%d versions, %d pieces in %d packs, %d checkpoints%s: %d wrong" % (
        len(check.versions), len(check.packs.pieces), len(check.packs.names), len(arguments) - 1,
        ", %d pieces at the remote" % len(check.afar) if check.afar else "", len(found)), file=sys.stderr)
    return 1 if found else 0


def usage():
    print(__doc__.split("\n\n")[1], file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
