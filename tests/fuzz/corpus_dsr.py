#!/usr/bin/env python3
"""Writes the corpus of fuzz_dsr: corpus_dsr.py [DIR].

Byte 0 of each file is the mode: 1 = checksums are put right first, 2 = the reader has the store of the references, 4 = a ledger."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "compat"))
sys.dont_write_bytecode = True
import badstreams  # noqa: E402
import dsr  # noqa: E402

SMALL = 20 << 10


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus", "dsr")
    os.makedirs(out, exist_ok=True)
    v1 = os.path.join(HERE, "..", "compat", "v1")
    for name in sorted(os.listdir(v1)):
        if name.endswith(".dsr") and os.path.getsize(os.path.join(v1, name)) <= SMALL:
            with open(os.path.join(v1, name), "rb") as f:
                data = f.read()
            with open(os.path.join(out, "good-" + name[:-4]), "wb") as f:
                f.write(b"\x01" + data)
    with open(os.path.join(v1, "run", "step-000004", "ledger", "ledger-000003-000004.dsr"), "rb") as f:
        data = f.read()
    with open(os.path.join(out, "ledger-good"), "wb") as f:
        f.write(b"\x05" + data)
    with open(os.path.join(out, "refs-good"), "wb") as f:
        f.write(b"\x03" + dsr.serialise(badstreams.refers()[2]))
    for name, _, data in badstreams.references():
        if name in ("refs-cut", "refs-row-less", "refs-varint"):
            with open(os.path.join(out, name), "wb") as f:
                f.write(b"\x02" + data)
    # One bad stream of each kind: the part of its name before the first dash.
    seen = set()
    cases = [c for _, cases in badstreams.families() for c in cases]
    for name, _, data in sorted(cases, key=lambda c: c[0]):
        kind = name.split("-")[0]
        if kind in seen or len(data) > SMALL:
            continue
        seen.add(kind)
        with open(os.path.join(out, "bad-" + kind), "wb") as f:
            f.write(b"\x00" + data)


main()
