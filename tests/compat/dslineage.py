#!/usr/bin/env python3
"""Lineage of a training run, read from docs/lineage-format.md alone: an implementation that shares no code with the tools.

    dslineage.py check STORE CHECKPOINT    recomputes what lineage.json says: files, ledger, datasets, order, packing, targets

STORE is the .dsver folder. Prints a line for each check, "ok" or "FAILED"; exit 0, 1, or 12 when a file is not what it should be.
"""
import hashlib
import itertools
import json
import os
import re
import struct
import sys

import dsr
import dsstore
from dsrcol import Bad, Column, Cursor, M64, Schema, dump, varint

M32 = (1 << 32) - 1
GOLDEN, APART = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
FACETS = ("label", "lang", "language", "source")
LEDGER = Schema([Column(n, "bytes" if n in ("pieces", "chain") else "i64")
                 for n in ("step", "row", "pieces", "targets", "lr", "loss", "norm", "chain")], ["step"], ["step", "row"])


# ---- order and packing ----

def philox(key, counter):
    k0, k1 = key & M32, key >> 32
    c0, c1, c2, c3 = counter
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & M32, (p0 >> 32) ^ c3 ^ k1, p0 & M32
        k0, k1 = (k0 + 0x9E3779B9) & M32, (k1 + 0xBB67AE85) & M32
    return c0, c1, c2, c3


def order(seed, epoch, n, i):
    b = 2
    while 1 << b < n:
        b += 2
    m = b // 2
    mask = (1 << m) - 1
    while True:
        left, right = i >> m, i & mask
        for r in range(6):
            w = philox(seed, (right & M32, right >> 32, epoch, r << 16 | 0x0DD5))
            left, right = right, left ^ ((w[0] | w[1] << 32) & mask)
        i = left << m | right
        if i < n:
            return i


def pieces_of(record, length, size, long):
    if length <= size:
        return [(record, 0, length)] if length else []
    if long == "error":
        raise Bad("long", "record %d has %d tokens" % (record, length))
    if long == "truncate":
        return [(record, 0, size)]
    return [(record, at, min(size, length - at)) for at in range(0, length, size)]


def best_fit(pieces, size):
    """Rows of pieces, in the order in which they were opened."""
    rows, space = [], []
    for p in sorted(pieces, key=lambda p: -p[2]):  # stable
        fits = [(s, i) for i, s in enumerate(space) if s >= p[2] and s > 0]
        if fits:
            i = min(fits)[1]
        else:
            i = len(rows)
            rows.append([])
            space.append(size)
        rows[i].append(p)
        space[i] -= p[2]
    return rows


def mixture(run, lengths):
    """Records in the order of a run whose datasets have weights; what each gives is counted when it is asked for the next."""
    firsts, n = firsts_of(run), len(run["datasets"])
    visits, tokens = [0] * n, [0] * n
    while True:
        d = 0
        for k in range(1, n):
            if tokens[k] * run["datasets"][d]["weight"] < tokens[d] * run["datasets"][k]["weight"]:
                d = k
        records, v = run["datasets"][d]["records"], visits[d]
        visits[d] += 1
        record = firsts[d] + order(run["seed"] ^ (APART * (d + 1) & M64), v // records, records, v % records)
        tokens[d] += sum(p[2] for p in pieces_of(record, lengths[record], run["seq_len"], run["long"]))
        yield record


def rows_of(run, lengths):
    """Rows 0, 1, 2, ... of a run: lists of (record, offset, length), records numbered through."""
    n, epoch = len(lengths), 0
    if not any(lengths):
        raise Bad("empty", "there are no tokens")
    mixed = mixture(run, lengths) if "weight" in run["datasets"][0] else None
    while True:
        for number, at in enumerate(range(0, n, run["window"])):
            pieces = []
            for i in range(at, min(at + run["window"], n)):
                record = next(mixed) if mixed else order(run["seed"], epoch, n, i)
                pieces += pieces_of(record, lengths[record], run["seq_len"], run["long"])
            rows = best_fit(pieces, run["seq_len"])
            seed = run["seed"] ^ (GOLDEN * (number + 1) & M64)
            for i in range(len(rows)):
                yield rows[order(seed, epoch, len(rows), i)]
        epoch += 1


def encode_pieces(row, firsts):
    out = varint(len(row))
    for record, offset, length in row:
        d = max(k for k, first in enumerate(firsts) if first <= record)
        out += varint(d) + varint(record - firsts[d]) + varint(offset) + varint(length)
    return out


def decode_pieces(b, firsts):
    c = Cursor(b, "pieces")
    out = []
    for _ in range(c.varint()):
        d, record = c.varint(), c.varint()
        out.append((firsts[d] + record, c.varint(), c.varint()))
    c.end()
    return out


def firsts_of(run):
    """Of datasets without records the last one of a number has the record."""
    out, n = [], 0
    for d in run["datasets"]:
        out.append(n)
        n += d["records"]
    return out


# ---- targets, and what was consumed ----

def mask_of(runs, n):
    """One 0 or 1 for each of a record's n tokens."""
    if runs is None:
        return b"\1" * n
    if sum(length for length, _ in runs) != n or any(value > 1 for _, value in runs):
        raise Bad("mask", "a mask %r of %d tokens" % (runs, n))
    return b"".join(bytes((value,)) * length for length, value in runs)


def targets_of(pieces, masks):
    return sum(sum(masks[record][offset + 1:offset + length]) for record, offset, length in pieces)


def top_member(raw, name):
    """What stands behind the first member of that spelling at the top of minified JSON, or None."""
    depth, key, want = 0, None, b'"%s"' % name
    parts = re.findall(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^{}\[\],:"]+', raw, re.S)
    for i, p in enumerate(parts):
        if depth == 1 and p == want and parts[0] == b"{" and parts[i + 1] == b":" and parts[i - 1] in b"{,":
            return parts[i + 2]
        depth += (p in (b"{", b"[")) - (p in (b"}", b"]"))
    return None


def facet_value(column, name, v):
    """Text, None where it is absent, or False for what can have no name."""
    if v is None:
        return None
    if column is None:
        pass
    elif column.type == "json":
        v = top_member(v, name.encode())
        if v is None or v[:1] in (b"{", b"[", b"n"):
            return None
        if v[:1] == b'"':
            v = v[1:-1]
            if b"\\" in v:
                return False
    elif column.type == "bool":
        v = b"true" if v else b"false"
    elif column.type == "i64":
        v = b"%d" % v
    v = v.encode() if isinstance(v, str) else bytes(v)
    return v if len(v) <= 64 and not any(c < 0x20 or c == 0x7F for c in v) else False


def origin_value(stream, ranges):
    """The name of the source that a record begins in; of a long one its longest folders that fit."""
    if not ranges or ranges[0][0] >= len(stream.sources):
        return None
    name = bytes(stream.sources[ranges[0][0]][0])
    if len(name) > 64:
        name = name[:name[:64].rfind(b"/") + 1] or name
    return facet_value(None, None, name)


def facets_of(stream, rows):
    """[name, the value of each record] of a dataset's facets."""
    out, schema = [], stream.schema
    for i, c in enumerate(schema.columns):
        meta = c.type == "json" and c.name == "meta"
        if not meta and not (c.name in FACETS and c.type in ("utf8", "i64", "bool")):
            continue
        for name in FACETS if meta else (c.name,):
            out += facet("meta." + name if meta else name, [facet_value(c, name, r[i]) for r in rows])
    return out + facet("origin", [origin_value(stream, o) for block in stream.blocks for o in block[3]])


def facet(name, values):
    """One facet, or none where no record has a value; only the first 1024 values keep their names."""
    known = {}
    for v in values:
        if v is not None and v is not False and v not in known and len(known) < 1024:
            known[v] = True
    if all(v is None for v in values):
        return []
    return [(name, [v if v is None or v in known else False for v in values])]


def consumed(first, last, datasets):
    """datasets: for each, its facets and the (record, length, targets) of the pieces consumed."""
    out = []
    for facets, pieces in datasets:
        lengths, told = [0] * 33, []
        for _, length, _ in pieces:
            lengths[length.bit_length() - 1] += 1
        while lengths and not lengths[-1]:
            lengths.pop()
        for name, values in facets:
            counts = {}
            for record, length, _ in pieces:
                t = counts.setdefault(values[record], [0, 0])
                t[0] += 1
                t[1] += length
            absent, other = counts.pop(None, [0, 0]), counts.pop(False, [0, 0])
            ranked = sorted(counts.items(), key=lambda x: (-x[1][0], x[0]))
            for _, t in ranked[16:]:
                other = [other[0] + t[0], other[1] + t[1]]
            told.append({"name": name, "values": [[v.decode("utf-8"), *t] for v, t in ranked[:16]], "other": other, "absent": absent})
        out.append({"sequences": len(pieces), "tokens": sum(p[1] for p in pieces), "targets": sum(p[2] for p in pieces),
                    "lengths": lengths, "facets": told})
    return {"first": first, "last": last, "datasets": out}


# ---- the ledger ----

def run_digest(run):
    return dsr.tagged(b"run", dump(run).encode("utf-8"))


def chain_first(digest):
    return dsr.tagged(b"ledger", digest)


def chain_next(chain, step, row, targets, lr, loss, norm, pieces):
    return hashlib.sha256(chain + struct.pack("<6Q", step, row, targets, lr, loss, norm) + pieces).digest()


def signed(v):
    return v - (1 << 64) if v >> 63 else v


def write_segment(rows):
    """rows: (step, row, pieces, targets, lr, loss, norm, chain)."""
    return dsr.write(LEDGER, [[signed(v) if isinstance(v, int) else v for v in r] for r in rows])


def read_segment(path):
    with open(path, "rb") as f:
        s = dsr.read(f.read())
    if s.schema.json() != LEDGER.json():
        raise Bad("ledger-schema", "%s: the columns are not those of a ledger" % path)
    for r in s.rows():
        yield [v & M64 if isinstance(v, int) else v for v in r]


# ---- steps that were skipped ----

SKIPPED, OVERFLOW = 0x7FF8000000000000, 0x7FF0000000000000


def median(v):
    v, n = sorted(v), len(v)
    return v[n // 2] if n % 2 else 0.5 * (v[n // 2 - 1] + v[n // 2])


def spike_limit(losses, rule):
    """What the next loss must be above; None while the window fills, or without a rule."""
    last = losses[-rule["window"]:] if rule else []
    if not rule or len(last) < rule["window"]:
        return None
    m = median(last)
    return m + rule["factor"] * max(1.4826 * median([abs(x - m) for x in last]), abs(m) / 100)


def scale_after(scale, updates, norm, rule):
    """The loss scale and the updates since it changed, after a step that was no spike."""
    if norm == OVERFLOW:
        return scale // 2, 0
    if rule and updates + 1 == rule["window"]:
        return min(2 * scale, 1 << 30), 0
    return scale, updates + 1


def skipped_wrongly(steps, training):
    """steps: (step, loss, norm) in order, loss and norm as bits. What is not as the rules have it, or None."""
    losses, rule, scaling = [], training.get("skip_spikes"), training.get("loss_scale")
    scale, updates = scaling["first"] if scaling else 1, 0
    for step, loss, norm in steps:
        loss, limit = struct.unpack("<d", struct.pack("<Q", loss))[0], spike_limit(losses, rule)
        losses.append(loss)
        if (norm == SKIPPED) != (limit is not None and loss > limit):
            return "step %d, loss %r, limit %r" % (step, loss, limit)
        if norm != SKIPPED:
            scale, updates = scale_after(scale, updates, norm, scaling)
        if scale == 0:
            return "step %d overflowed at a loss scale of 1" % step
    return None


# ---- lineage.json ----

def folder_digest(path, names=None):
    """Of every file but lineage.json at the top; names: of these alone."""
    found = []
    for root, _, files in os.walk(path, followlinks=True):
        for f in files:
            full = os.path.join(root, f)
            name = os.path.relpath(full, path)
            if name != "lineage.json" if names is None else name in names:
                found.append((os.fsencode(name), full))
    h = hashlib.sha256()
    for name, full in sorted(found):
        with open(full, "rb") as f:
            b = f.read()
        h.update(b"%s %d %s\n" % (hashlib.sha256(b).hexdigest().encode(), len(b), name))
    return h.hexdigest()


def statement(name, files, run, environment, commits, model_name, binary, head, rows, steps, told=None):
    """commits: of each dataset, or None for a file. told: see consumed(), or None."""
    sha = lambda d: d.removeprefix("sha256:")  # noqa: E731
    depends = []
    for d, c in zip(run["datasets"], commits):
        digest = dict({"gitCommit": c} if c else {}, sha256=sha(d["root"]))
        depends.append({"name": ("dsver:" if c else "file:") + d["name"], "digest": digest})
    for t in dict.fromkeys(d["tokenizer"] for d in run["datasets"] if d["tokenizer"]):
        depends.append({"name": "tokenizer", "digest": {"sha256": sha(t)}})
    depends.append({"name": "model:" + model_name, "digest": {"sha256": sha(run["model"])}})
    depends.append({"name": "dstrain", "digest": {"sha256": binary}})
    by = [{"name": "ledger", "digest": {"sha256": head}, "annotations": {"rows": rows, "steps": steps}}]
    if told:
        by.append({"name": "consumed", "digest": {"sha256": hashlib.sha256(dump(told).encode("utf-8")).hexdigest()}, "annotations": told})
    return dump({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": files}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {"buildType": "urn:ds:run:1", "externalParameters": run, "internalParameters": environment,
                                "resolvedDependencies": depends},
            "runDetails": {"builder": {"id": "urn:ds:dstrain"}, "metadata": {"invocationId": "sha256:" + run_digest(run).hex()},
                           "byproducts": by}}}).encode("utf-8")


def read_statement(b):
    """The parts of a lineage.json, which must be what `statement` writes of them."""
    try:
        v = json.loads(b)
        p = v["predicate"]
        run = p["buildDefinition"]["externalParameters"]
        depends = p["buildDefinition"]["resolvedDependencies"]
        by = p["runDetails"]["byproducts"][0]
        told = p["runDetails"]["byproducts"][1]["annotations"] if len(p["runDetails"]["byproducts"]) > 1 else None
        parts = dict(name=v["subject"][0]["name"], files=v["subject"][0]["digest"]["sha256"], run=run,
                     environment=p["buildDefinition"]["internalParameters"],
                     commits=[d["digest"].get("gitCommit") for d in depends[:len(run["datasets"])]],
                     model_name=depends[-2]["name"].removeprefix("model:"), binary=depends[-1]["digest"]["sha256"],
                     head=by["digest"]["sha256"], rows=by["annotations"]["rows"], steps=by["annotations"]["steps"], told=told)
        again = statement(**parts)
    except (ValueError, KeyError, IndexError, TypeError) as e:
        raise Bad("lineage", "lineage.json: %r" % e)
    if again != b:
        raise Bad("lineage", "lineage.json is not what its facts give")
    return parts


# ---- checking ----

class Check:
    def __init__(self, store, path):
        self.path, self.failed = path, 0
        with open(os.path.join(path, "lineage.json"), "rb") as f:
            self.l = read_statement(f.read())
        self.run = self.l["run"]
        self.store, self.catalog = dsstore.Store(store), dsstore.Catalog(os.path.join(store, "catalog.git"))
        self.lengths, self.tokens, self.masks, self.facets = [], [], [], []

    def say(self, name, wrong):
        self.failed += bool(wrong)
        print("%s %s%s" % ("FAILED" if wrong else "ok", name, ": " + wrong if wrong else ""))

    def all(self):
        files = folder_digest(self.path)
        self.say("files", files != self.l["files"] and "they give %s" % files)
        for d, c in zip(self.run["datasets"], self.l["commits"]):
            self.say("dataset " + d["name"], self.dataset(d, c))
        self.ledger()
        return self.failed

    def dataset(self, d, commit):
        v = dsstore.Version(self.store, self.catalog, commit)
        i = [c.name for c in v.stream.schema.columns].index(d["column"])
        attrs = v.stream.schema.columns[i].attrs or {}
        rows = list(v.stream.rows())
        self.tokens += [r[i] or [] for r in rows]
        self.facets.append(facets_of(v.stream, rows))
        m = [c.name for c in v.stream.schema.columns].index(d["mask"]) if "mask" in d else None
        self.masks += [mask_of(None if m is None else r[m], len(r[i] or [])) for r in rows]
        self.lengths += [len(r[i] or []) for r in rows]
        left_out = [k for first, n in d.get("erased", []) for k in range(first, first + n)]
        for k in left_out:
            self.lengths[len(self.lengths) - len(rows) + k] = 0
        tokenizer = attrs.get("tokenizer", "")
        if v.roots[0] != d["root"] or v.meta["records"] != d["records"]:
            return "root %s, %d records" % (v.roots[0], v.meta["records"])
        there = [k for k in left_out if any(rows[k][i] or [])]
        if there:
            return "record %d was left out as erased, and is there" % there[0]
        if tokenizer != d["tokenizer"]:
            return "tokenizer %s" % tokenizer
        if tokenizer:
            with open(os.path.join(self.path, "tokenizer.json"), "rb") as f:
                got = hashlib.sha256(f.read()).hexdigest()
            if tokenizer != "sha256:" + got:
                return "tokenizer.json is sha256:%s" % got
        return None

    def segments(self, *folder):
        folder = os.path.join(self.path, *folder)
        out = []
        for name in os.listdir(folder):
            m = re.fullmatch(r"ledger-(\d{6,})-(\d{6,})\.dsr", name)
            if not m:
                raise Bad("segment", "%s is no segment" % name)
            out.append((int(m[1]), int(m[2]), os.path.join(folder, name)))
        return sorted(out)

    def walk(self, segments, chain, after, seen):
        """Rows of steps after `after`: what is wrong with chain, order and targets; the last chain value and step. `seen` takes (step,
        chain) where a step ends."""
        n, next_step = after * self.run["rows"], after + 1
        firsts = firsts_of(self.run)
        expected = itertools.islice(rows_of(self.run, self.lengths), n, None)
        broken = order = targets = None
        taken = [[] for _ in firsts]
        self.steps = []
        for first, last, path in segments:
            if first != next_step or last < first:
                broken = broken or "%s where step %d belongs" % (path, next_step)
            next_step = last + 1
            taken = [[] for _ in firsts]
            for step, row, pieces, want, lr, loss, norm, recorded in read_segment(path):
                chain = chain_next(chain, step, row, want, lr, loss, norm, pieces)
                if chain != recorded or (step, row) != (n // self.run["rows"] + 1, n) or not first <= step <= last:
                    broken = broken or "step %d, row %d" % (step, row)
                    chain = recorded
                got = decode_pieces(pieces, firsts)
                if pieces != encode_pieces(next(expected), firsts):
                    order = order or "step %d, row %d: %s" % (step, row, got)
                if want != targets_of(got, self.masks):
                    targets = targets or "step %d, row %d: %d" % (step, row, want)
                for record, offset, length in got:
                    if len(self.tokens[record][offset:offset + length]) != length:
                        order = order or "step %d, row %d: record %d has no such tokens" % (step, row, record)
                    d = max(k for k, at in enumerate(firsts) if at <= record)
                    taken[d].append((record - firsts[d], length, targets_of([(record, offset, length)], self.masks)))
                n += 1
                if n % self.run["rows"] == 0:
                    seen[n // self.run["rows"]] = chain
                    self.steps.append((step, loss, norm))
        return broken, order, targets, n, next_step - 1, chain, taken

    def ledger(self):
        ends = {0: chain_first(run_digest(self.run))}
        segments = self.segments("ledger")
        broken, order, targets, n, steps, chain, taken = self.walk(segments, ends[0], 0, ends)
        if not broken and (n != self.l["rows"] or steps != self.l["steps"] or chain.hex() != self.l["head"]):
            broken = "%d rows, %d steps, head %s" % (n, steps, chain.hex())
        self.say("ledger", broken)
        self.say("order", order)
        self.say("targets", targets)
        self.say("skipped", skipped_wrongly(self.steps, self.run["training"]))
        if self.l["told"] and not order:
            first, last, _ = segments[-1]
            same = consumed(first, last, list(zip(self.facets, taken))) == self.l["told"]
            self.say("consumed", not same and "the rows of steps %d to %d give other numbers" % (first, last))
        self.abandoned(ends)

    def abandoned(self, ends):
        """Stretches that the run went back from, the one abandoned last first."""
        folder, known = os.path.join(self.path, "abandoned"), []  # number, from, its ends of steps
        names = os.listdir(folder) if os.path.isdir(folder) else []
        if not all(re.fullmatch(r"\d{4,}-from-\d{6,}", name) for name in names):
            raise Bad("stretch", "%s: not only stretches" % folder)
        for number, start, name in sorted(((int(x.split("-")[0]), int(x.split("-")[2]), x) for x in names), reverse=True):
            base = next((e for _, f, e in reversed(known) if f < start and start in e), ends)
            here, wrong = {}, "stretch %d departed from nowhere" % number
            if start in base:
                broken, order, targets, n, *_ = self.walk(self.segments("abandoned", name), base[start], start, here)
                wrong = broken or order or targets or n == start * self.run["rows"] and "no row"
            known.append((number, start, here))
            self.say("abandoned %d" % number, wrong)


def main(argv):
    if len(argv) != 3 or argv[0] != "check":
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        return 1 if Check(argv[1], argv[2]).all() else 0
    except Bad as e:
        print("%s: %s" % (argv[2], e), file=sys.stderr)
        return 12


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
