#!/usr/bin/env python3
"""Damages DICOM files, the same way every time, and looks at what `dsprep dicom` makes of them.

    dicom_mutate.py COUNT SEED WORK DSPREP SAMPLES...

Half of the files are made here and name one person in several places, so that no damage to one of
them makes the name unknown; none of it may be in the records. The rest are samples, damaged. The
command may refuse a file, but it may not crash nor hang, and every file has to be accounted for.

It may refuse all of a run when its search finds something: a damaged name (Tobia, Quil) that stands
in another file, where nothing says that it is one. By itself hardly a file is refused: damage may
turn a name into a word that is in every record, and into nothing else. And what becomes of the
files is not all one reason: see FEW and MANY.
"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
from makedicom import el, item, part10  # noqa: E402

NAME, ID = "Quillfeather^Tobias", "ZK-77301946"
BATCH = 50
REFUSED_RUNS = 0.2  # of all batches, at most: 12 % of 60 were, and 6 % of 200 where only what came before counted
REFUSED_FILES = 0.0004  # by themselves, at most: 1 of 10,000 was
MANY = {"output": (0.15, 0.85), "held": (0.02, 0.6), "damaged": (0.005, 0.7), "found": (0, REFUSED_RUNS)}
FEW = 0.02  # of a reason that is a fault of this program, if it is one


def person(n):
    px = struct.pack("<64H", *range(n, 64 + n))
    us = lambda t, v: el(t, "US", v)
    who = el(0x00100010, "PN", NAME) + el(0x00100020, "LO", ID)
    return part10(b"".join([
        el(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2"), el(0x00080018, "UI", "1.3.6.1.55.8.%d" % n),
        el(0x00080060, "CS", "CT"), el(0x00080090, "PN", NAME), el(0x0008103e, "LO", "Axial " + NAME.split("^")[0]),
        el(0x00081048, "PN", NAME), el(0x00081140, "SQ", item(who + el(0x00081155, "UI", "1.3.6.1.55.4"))), who,
        el(0x00101000, "LO", ID), el(0x00101001, "PN", NAME), el(0x00104000, "LT", "seen: Tobias Quillfeather, " + ID),
        el(0x0020000d, "UI", "1.3.6.1.55.1"), el(0x0020000e, "UI", "1.3.6.1.55.2"), us(0x00280002, 1),
        el(0x00280004, "CS", "MONOCHROME2"), us(0x00280010, 8), us(0x00280011, 8), us(0x00280100, 16),
        us(0x00280101, 12), us(0x00280102, 11), us(0x00280103, 0), el(0x00400275, "SQ", item(who)),
        el(0x7fe00010, "OW", px)]))


def damage(r, data):
    data = bytearray(data)
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        at, kind = r.randrange(len(data)), r.randrange(6)
        if r.random() < 0.6:
            at = min(at, r.randrange(132, max(133, min(len(data), 2048))), len(data) - 1)
        n = r.choice((1, 2, 4, 8))
        if kind == 0:
            data[at] ^= 1 << r.randrange(8)
        elif kind == 1:
            data[at:at + n] = r.randbytes(n)
        elif kind == 2:
            data[at:at + n] = r.choice((b"\xff", b"\x00", b"\x7f")) * n
        elif kind == 3:
            del data[at:at + n * 4]
        elif kind == 4:
            data[at:at] = data[at:at + n * 4]
        else:
            del data[at:]
        if not data:
            data = bytearray(1)
    return bytes(data)


def convert(dsprep, work, source):
    cmd = [dsprep, "dicom", "-q", "--json", "-j", "2", "--timeout", "20s", "--burned-in", "pass", "--max-frame", "16m",
           "--deid", "basic,clean-descriptors,clean-structured-content", "--key-file", os.path.join(work, "key"),
           "-o", os.path.join(work, "out"), "-z", "0", source]
    p = subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, timeout=1800)
    words = p.stderr.decode("utf-8", "replace")
    return p, words, p.returncode == 1 and "hold identifiers of the input" in words


def run(dsprep, work, number):
    p, words, found = convert(dsprep, work, os.path.join(work, "in"))
    if p.returncode not in (0, 3) and not found:
        sys.exit("batch %d: exit %d: %s" % (number, p.returncode, words[-2000:]))
    out = b""
    folder = os.path.join(work, "out")
    for f in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, f), "rb") as h:
            out += h.read().lower()
    for what in (b"quillfeather", ID.lower().encode()):
        if what in out:
            sys.exit("batch %d: %r is in the records" % (number, what))
    if found:
        alone = 0
        for i in range(BATCH):
            shutil.rmtree(folder, ignore_errors=True)
            alone += convert(dsprep, work, os.path.join(work, "in", "%03d" % i))[2]
        return {"found": BATCH, "found alone": alone}
    acc = json.loads(p.stdout)
    if acc["inputs"] != BATCH or acc["inputs"] != acc["output"] + sum(acc["held"].values()) + sum(acc["failed"].values()):
        sys.exit("batch %d: the accounts do not add up: %s" % (number, p.stdout))
    return dict(acc["failed"], output=acc["output"], held=sum(acc["held"].values()))


def main(argv):
    count, seed, work, dsprep = int(argv[1]), int(argv[2]), argv[3], argv[4]
    samples = [p for p in sorted(argv[5:], key=os.path.basename) if 0 < os.path.getsize(p) <= 300000]
    with open(os.path.join(work, "key"), "w") as f:
        f.write("%064d" % 7)
    os.chmod(f.name, 0o600)
    total = {}
    for batch in range((count + BATCH - 1) // BATCH):
        for d in ("in", "out"):
            shutil.rmtree(os.path.join(work, d), ignore_errors=True)
        os.mkdir(os.path.join(work, "in"))
        for i in range(BATCH):
            r = random.Random("%d %d %d" % (seed, batch, i))
            data = person(batch * BATCH + i)
            # persons and samples do not meet: what one is called may be a word of another
            if batch % 2 and samples:
                with open(r.choice(samples), "rb") as f:
                    data = f.read()
            with open(os.path.join(work, "in", "%03d" % i), "wb") as f:
                f.write(damage(r, data))
        for k, n in run(dsprep, work, batch).items():
            total[k] = total.get(k, 0) + n
    files = (count + BATCH - 1) // BATCH * BATCH
    said = "%d files: %s" % (count, ", ".join("%d %s" % (n, k) for k, n in sorted(total.items())))
    for reason in set(total) | set(MANY):
        n, fault = total.get(reason, 0), reason.startswith("worker-") or reason == "failed"
        low, high = MANY.get(reason, (0, FEW if fault else 1))
        if not low * files <= n <= high * files + (BATCH if reason == "found" else 0):
            sys.exit("too many or too few: %s: %s" % (reason, said))
    if total.get("found alone", 0) > max(1, REFUSED_FILES * files):
        sys.exit("files are refused by themselves: " + said)
    print(said)


if __name__ == "__main__":
    main(sys.argv)
