#!/usr/bin/env python3
"""A training run's checkpoints, written from docs/lineage-format.md alone, without training: the weights are any bytes.

    mkrun.py STORE DATASET[,DATASET...] RUN [NAME=VALUE...]

Makes RUN/step-NNNNNN. STORE is the .dsver folder. Values: seed steps rows seq_len window long every (steps between checkpoints),
tokenizer (a file), model (a folder), register=1 (the run's ref in the catalog, made with git), mask (a column; taken where it is there),
weights (7,3), tell=0 (not what was consumed), spike=STEP (its loss is one, and spikes are skipped). To make a checkpoint that lies but is consistent otherwise: pieces=ROW (the row's first piece
names another record), targets=ROW (a target more), tokens=N (of the first dataset's tokens consumed), skip=STEP
(a step is skipped whose loss is no spike, or not skipped whose loss is one). scale=N: the run has a loss scale, N at first, doubled after 2
updates; overflow=STEP: that one is without an update for it.
"""
import hashlib
import os
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True

import dslineage  # noqa: E402
import dsr  # noqa: E402
import dsstore  # noqa: E402


def bits(v):
    return struct.unpack("<Q", struct.pack("<d", v))[0]


def describe(store, catalog, names, o):
    """The run description, the datasets' commits, and the lengths of all records."""
    datasets, commits, lengths, masks, facets = [], [], [], [], []
    weights = [int(w) for w in o["weights"].split(",")] if o["weights"] else [0] * len(names)
    for name, weight in zip(names, weights):
        v = dsstore.Version(store, catalog, name if "/" in name else name + "/main")
        column = next(c for c in v.stream.schema.columns if c.name == "tokens")
        i = v.stream.schema.columns.index(column)
        rows = list(v.stream.rows())
        here = [len(r[i] or []) for r in rows]
        m = next((k for k, c in enumerate(v.stream.schema.columns) if c.name == o["mask"]), None)
        masks += [dslineage.mask_of(None if m is None else r[m], n) for r, n in zip(rows, here)]
        lengths += here
        facets.append(dslineage.facets_of(v.stream, rows))
        datasets.append({"name": name.split("/")[0], "column": "tokens", "tokenizer": (column.attrs or {}).get("tokenizer", ""),
                         "root": v.roots[0], "records": v.meta["records"]})
        if m is not None:
            datasets[-1]["mask"] = o["mask"]
        if weight:
            datasets[-1]["weight"] = weight
        commits.append(v.id)
    model = dslineage.folder_digest(o["model"], ("config.json", "model.safetensors")) if o["model"] else "5" * 64
    run = {"version": 1, "trainer": "0.1.0", "datasets": datasets, "seed": o["seed"], "steps": o["steps"], "rows": o["rows"],
           "seq_len": o["seq_len"], "window": o["window"], "long": o["long"], "model": "sha256:" + model,
           "training": {"method": "lora", "lr": 0.0001}}
    if o["spike"]:
        run["training"]["skip_spikes"] = {"window": 4, "factor": 3.0}
    if o["scale"]:
        run["training"]["loss_scale"] = {"first": o["scale"], "window": 2}
    return run, commits, lengths, masks, facets


def ledger_rows(run, lengths, masks, o):
    firsts, rows = dslineage.firsts_of(run), dslineage.rows_of(run, lengths)
    chain = dslineage.chain_first(dslineage.run_digest(run))
    for n in range(o["steps"] * o["rows"]):
        row = next(rows)
        if n == o["pieces"]:
            row = [((row[0][0] + 1) % len(lengths), *row[0][1:])] + row[1:]
        step, last = n // o["rows"] + 1, n % o["rows"] == o["rows"] - 1
        pieces = dslineage.encode_pieces(row, firsts)
        targets = dslineage.targets_of(row, masks) + (n == o["targets"])
        loss = 9.5 if step == o["spike"] else 3 - 1.5 / step
        norm = dslineage.SKIPPED if (step == o["spike"]) != (step == o["skip"]) else bits(0.5)
        norm = dslineage.OVERFLOW if step == o["overflow"] else norm
        values = bits(0.0001), bits(loss) if last else 0, norm if last else 0
        chain = dslineage.chain_next(chain, step, n, targets, *values, pieces)
        yield step, n, pieces, targets, *values, chain


def write(path, b):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(b)


def tell(run, rows, masks, facets, first, last, o):
    """What the rows of some steps consumed."""
    firsts, taken = dslineage.firsts_of(run), [[] for _ in run["datasets"]]
    for r in rows:
        for record, offset, length in dslineage.decode_pieces(r[2], firsts):
            d = max(k for k, at in enumerate(firsts) if at <= record)
            taken[d].append((record - firsts[d], length, dslineage.targets_of([(record, offset, length)], masks)))
    told = dslineage.consumed(first, last, list(zip(facets, taken)))
    told["datasets"][0]["tokens"] += o["tokens"]
    return told


def checkpoint(path, run, commits, segments, rows, step, told, o):
    write(os.path.join(path, "adapter_model.safetensors"), b"weights of step %d" % step)
    write(os.path.join(path, "adapter_config.json"), b"{}")
    write(os.path.join(path, "state.json"), b'{"step":%d}' % step)
    if o["tokenizer"]:
        shutil.copyfile(o["tokenizer"], os.path.join(path, "tokenizer.json"))
    for name, b in segments:
        write(os.path.join(path, "ledger", name), b)
    text = dslineage.statement(os.path.basename(path), dslineage.folder_digest(path), run, {"backend": o["backend"]}, commits, "base",
                               "6" * 64, rows[-1][7].hex(), len(rows), step, told)
    write(os.path.join(path, "lineage.json"), text)
    return text


class Git:
    def __init__(self, path):
        self.path = path
        who = {"GIT_%s_%s" % (a, b): v for a in ("AUTHOR", "COMMITTER")
               for b, v in (("NAME", "x"), ("EMAIL", "x@y"), ("DATE", "1700000000 +0000"))}
        self.env = dict(os.environ, **who)

    def run(self, *argv, data=b""):
        p = subprocess.run(("git", "--git-dir", self.path) + argv, input=data, stdout=subprocess.PIPE, check=True, env=self.env)
        return p.stdout.decode().strip()

    def blob(self, b):
        return self.run("hash-object", "-w", "--stdin", data=b)

    def tree(self, entries):
        lines = "".join("%s %s %s\t%s\n" % (("040000 tree" if kind == "tree" else "100644 blob").split(" ")[0], kind, id, name)
                        for name, kind, id in entries)
        return self.run("mktree", data=lines.encode())


def register(store, name, run, commits, segments, texts):
    git = Git(os.path.join(store, "catalog.git"))
    ledger = git.tree([(n, "blob", git.blob(b)) for n, b in segments])
    lineage = git.tree([(n + ".json", "blob", git.blob(b)) for n, b in texts])
    tree = git.tree([("ledger", "tree", ledger), ("lineage", "tree", lineage), ("name", "blob", git.blob(name.encode() + b"\n"))])
    ref = "refs/dsver/runs/%s/%s" % (run["datasets"][0]["name"], dslineage.run_digest(run).hex()[:16])
    before = git.run("for-each-ref", "--format=%(objectname)", ref).split()
    parents = [a for c in dict.fromkeys(before + commits) for a in ("-p", c)]
    commit = git.run("commit-tree", tree, *parents, data=b"a run\n")
    git.run("update-ref", ref, commit)


def main(argv):
    if len(argv) < 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    o = {"seed": 7, "steps": 6, "rows": 3, "seq_len": 64, "window": 50, "long": "split", "every": 3, "tokenizer": None, "model": None,
         "register": 0, "pieces": None, "targets": None, "mask": "loss", "weights": "", "tell": 1, "tokens": 0,
         "backend": "none", "spike": 0, "skip": 0, "scale": 0, "overflow": 0}
    for a in argv[3:]:
        k, _, v = a.partition("=")
        o[k] = v if k in ("long", "tokenizer", "model", "mask", "weights", "backend") else int(v)
    store, catalog = dsstore.Store(argv[0]), dsstore.Catalog(os.path.join(argv[0], "catalog.git"))
    run, commits, lengths, masks, facets = describe(store, catalog, argv[1].split(","), o)
    rows, segments, texts, start = list(ledger_rows(run, lengths, masks, o)), [], [], 0
    for end in [s for s in range(1, o["steps"] + 1) if s % o["every"] == 0 or s == o["steps"]]:
        part = rows[start * o["rows"]:end * o["rows"]]
        segments.append(("ledger-%06d-%06d.dsr" % (start + 1, end), dslineage.write_segment(part)))
        name = "step-%06d" % end
        told = tell(run, part, masks, facets, start + 1, end, o) if o["tell"] else None
        texts.append((name, checkpoint(os.path.join(argv[2], name), run, commits, segments, rows[:end * o["rows"]], end, told, o)))
        start = end
    if o["register"]:
        register(argv[0], os.path.basename(argv[2]), run, commits, segments, texts)
    print(dslineage.run_digest(run).hex())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
