#!/bin/bash
# transforms.sh - what dsprep filter, dedup, redact, split and export do in a second of one processor, and datatrove's filters and
# MinHash beside them on the first documents of the same texts, where its python module is at hand.
#
# DS_BIN_DIR        where the programs are
# DS_BENCH_TEXTS    JSON lines with members id and text (default: pages made of this machine's documentation, some 60 MB)
# DS_BENCH_PYTHON   the python whose module datatrove is the peer (default python3)
# DS_BENCH_RUNS     runs of each, the best counts (default 3)
set -eu -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
PATH=$(cd "${DS_BIN_DIR:-$here/../../build/release/bin}" && pwd):$PATH
texts=${DS_BENCH_TEXTS:+$(realpath "$DS_BENCH_TEXTS")}
runs=${DS_BENCH_RUNS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if [ -z "$texts" ]; then
    texts=$work/texts.jsonl
    python3 - > "$texts" <<'PY'
import glob, json
n = 0
for f in sorted(glob.glob("/usr/share/perl/5*/**/*.p[mo]d*", recursive=True) + glob.glob("/usr/share/doc/**/*", recursive=True)):
    try:
        t = open(f, encoding="utf-8").read()
    except (OSError, UnicodeDecodeError):
        continue
    for at in range(0, len(t), 8000):
        print(json.dumps({"id": "%s %d" % (f, at), "text": t[at:at + 8000]}))
        n += len(t[at:at + 8000])
    if n > 60e6:
        break
PY
fi
dsprep text -q --key-field id "$texts" > s.dsr
bytes=$(stat -c %s s.dsr)

# cpu NAME COMMAND...: megabytes a second of processor time, the best run.
cpu() {
    local name=$1 best='' t i
    shift
    for ((i = 0; i < runs; i++)); do
        t=$({ TIMEFORMAT='%U %S'; time "$@" -q -j 1 s.dsr > out.dsr; } 2>&1 | awk '{ print $1 + $2 }')
        best=$(awk -v a="$t" -v b="$best" 'BEGIN { print (b == "" || a < b) ? a : b }')
    done
    awk -v n="$name" -v b="$bytes" -v t="$best" 'BEGIN { printf "%-34s %8.0f MB/s\n", n, b / 1e6 / (t > 0 ? t : 0.01) }'
}
for p in gopher-quality gopher-repetition gopher c4 fineweb-quality fineweb; do
    cpu "filter --preset $p" dsprep filter --preset $p
done
cpu 'filter --where' dsprep filter --where 'len(text) > 2000 and not text contains "xyz"'
cpu 'dedup' dsprep dedup
cpu 'dedup --near' dsprep dedup --near
cpu 'redact' dsprep redact
cpu 'split' dsprep split --by key

# MDS beside cat and zstd of the same bytes, by processor time, in turn: the best of each.
took() {
    { TIMEFORMAT='%U %S'; time "$@" > out.bin; } 2>&1 | awk '{ print $1 + $2 }'
}
as_mds() { rm -rf mds && dsprep export -q -j 1 --format mds -o mds s.dsr; }
zipped() { cat s.dsr | zstd -q -3 -T1 -c; }
if command -v zstd > /dev/null; then
    for ((i = 0; i < runs; i++)); do
        echo "$(took as_mds) $(took zipped)"
    done | awk -v b="$bytes" 'NR == 1 || $1 < m { m = $1 } NR == 1 || $2 < z { z = $2 } END {
        printf "%-34s %8.0f MB/s\n%-34s %8.0f MB/s: %.2f times as long\n", "cat, zstd -3", b / 1e6 / z, "export --format mds", b / 1e6 / m, m / z }'
fi
"${DS_BENCH_PYTHON:-python3}" - "$texts" <<'PY' || echo 'datatrove: not at hand'
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashDedupSignature
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

with open(sys.argv[1]) as f:
    docs = [Document(text=json.loads(l)["text"], id=str(i)) for i, l in zip(range(300), f)]
size = sum(len(d.text.encode()) for d in docs) / 1e6
sig = MinhashDedupSignature(output_folder="sig")
steps = [(F.__name__, F().filter) for F in (GopherQualityFilter, GopherRepetitionFilter, C4QualityFilter, FineWebQualityFilter)]
steps.append(("MinhashDedupSignature", lambda d: sig.get_signature(sig.get_shingles(d.text))))
for name, step in steps:
    t = time.process_time()
    for d in docs:
        step(d)
    print("datatrove %-24s %8.2f MB/s" % (name, size / (time.process_time() - t)))
PY
