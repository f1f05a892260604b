#!/usr/bin/env python3
"""Real text for lora.sh, from what apt knows: what each package is, in one line, and the section of the archive that it is in.

    apt-cache dumpavail | loradata.py FOLDER

Writes into FOLDER: learn.jsonl, choose.jsonl and test.jsonl (text, answer, label), the sections in labels, and lines.txt, the texts of
packages that are in none of the last two. All packages of one source are in the same of them: "NAME - development files" and its like must
not be learned from a sister.
"""
import json
import re
import sys
import zlib

SECTIONS = ("admin", "doc", "games", "java", "libs", "net", "perl", "python", "science", "sound")
MOST = {"learn": 1200, "choose": 60, "test": 150}  # of each section


def packages(stream):
    for record in stream.read().split("\n\n"):
        field = dict(re.findall(r"^([A-Z][A-Za-z0-9-]*): (.+)$", record, re.M))
        text = field.get("Description") or field.get("Description-en")
        if text and "Section" in field and "Package" in field:
            yield field.get("Source", field["Package"]).split()[0], text, field["Section"].split("/")[-1]


def main():
    folder = sys.argv[1]
    seen, count = set(), {}
    out = {name: open("%s/%s.jsonl" % (folder, name), "w") for name in MOST}
    with open(folder + "/lines.txt", "w") as lines:
        # In an order that has nothing to do with names, so that the first of each section are a sample.
        for source, text, section in sorted(packages(sys.stdin), key=lambda p: (zlib.crc32((p[0] + p[1]).encode()), p)):
            share = zlib.crc32(source.encode()) % 10
            to = "test" if share == 9 else "choose" if share == 8 else "learn"
            if text in seen:
                continue
            seen.add(text)
            if to == "learn":
                print(text, file=lines)
            at = (to, section)
            if section in SECTIONS and count.get(at, 0) < MOST[to]:
                count[at] = count.get(at, 0) + 1
                print(json.dumps({"text": text, "answer": " %s." % section, "label": section}), file=out[to])
    for f in out.values():
        f.close()
    with open(folder + "/labels", "w") as f:
        print(",".join(SECTIONS), file=f)
    if min(count.get((to, s), 0) for to in MOST for s in SECTIONS) < 20:
        print("loradata.py: too few packages are known here (apt-get update)", file=sys.stderr)
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
