#!/bin/bash
# transforms.sh - what dsprep's transforms and export do in a second of one processor, and datatrove's filters and near-duplicate
# removal, from signatures to the texts that stay, on the first documents of the same texts, where its python module is at hand.
# The stream alone is a filter that lets everything pass: reading, checking, cutting and writing. What a stage takes beside that
# stands behind its figure.
#
# DS_BIN_DIR        where the programs are
# DS_BENCH_TEXTS    JSON lines with members id and text (default: pages made of this machine's documentation, some 60 MB)
# DS_BENCH_PYTHON   the python whose module datatrove is the peer (default python3)
# DS_BENCH_RUNS     runs of each, the best counts (default 3)
set -eu -o pipefail
shopt -s inherit_errexit
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

# took COMMAND...: processor seconds of the best run.
took() {
    local best='' t i
    for ((i = 0; i < runs; i++)); do
        t=$({ TIMEFORMAT='%U %S'; time "$@" 2> err.txt > out.bin; } 2>&1 | awk '{ print $1 + $2 }') ||
            { echo "transforms: $*: $(tail -n 1 err.txt)" >&2; return 1; }
        best=$(awk -v a="$t" -v b="$best" 'BEGIN { print (b == "" || a < b) ? a : b }')
    done
    echo "$best"
}
# cpu NAME GOAL COMMAND...: megabytes a second of processor time, and those of the stage without the stream.
cpu() {
    local t
    t=$(took "${@:3}")
    awk -v n="$1" -v g="$2" -v b="$bytes" -v t="$t" -v s="$stream" 'BEGIN {
        printf "%-34s %8.0f MB/s", n, b / 1e6 / (t > 0 ? t : 0.01)
        if (s && t - s > 0.005) printf "   the stage alone %5.0f", b / 1e6 / (t - s)
        print g ? "   goal " g : "" }'
}
one() { cpu "$1" "$2" dsprep "${@:3}" -q -j 1 s.dsr; }
stream=''
one 'the stream alone' '' filter --where true
stream=$(took dsprep filter --where true -q -j 1 s.dsr)
for p in gopher-quality gopher-repetition gopher c4 fineweb-quality fineweb; do
    one "filter --preset $p" '>= 200' filter --preset $p
done
one 'filter --where' '' filter --where 'len(text) > 2000 and not text contains "xyz"'
one 'dedup' '' dedup
one 'dedup --near' '>= 50' dedup --near
near=$(took dsprep dedup --near -q -j 1 s.dsr)
one 'redact' '' redact --keys ignore
one 'split' '' split --by key
cpu 'sort' '' dsprep sort --by 'len(text)' -q s.dsr
cpu 'mix' '' dsprep mix -q s.dsr=1
head -n 200 "$texts" | dsprep text -q --format jsonl --key-field id - > against.dsr
one 'decontaminate' '' decontaminate --against against.dsr
one 'lang' '' lang

# MDS beside cat and zstd of the same bytes, by processor time, in turn: the best of each.
as_mds() { rm -rf mds && dsprep export -q -j 1 --format mds -o mds s.dsr; }
zipped() { cat s.dsr | zstd -q -3 -T1 -c; }
if command -v zstd > /dev/null; then
    for ((i = 0; i < runs; i++)); do
        echo "$(runs=1 took as_mds) $(runs=1 took zipped)"
    done | awk -v b="$bytes" 'NR == 1 || $1 < m { m = $1 } NR == 1 || $2 < z { z = $2 } END {
        printf "%-34s %8.0f MB/s\n%-34s %8.0f MB/s: %.2f times as long   goal <= 1.5\n", "cat, zstd -3", b / 1e6 / z, "export --format mds", b / 1e6 / m, m / z }'
fi
# Parquet, beside pyarrow reading and writing the same file, by one thread.
cpu 'export --format parquet' '' dsprep export -q -j 1 --format parquet -o s.parquet s.dsr
cpu 'import of Parquet' '' dsprep import -q s.parquet
"${DS_BENCH_PYTHON:-python3}" - "$bytes" "$runs" <<'PY' || echo 'pyarrow: failed'
import sys, time
try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    print("pyarrow: not installed")
    sys.exit(0)
pa.set_cpu_count(1)
pa.set_io_thread_count(1)

def clock(name, run):
    best = None
    for _ in range(int(sys.argv[2])):
        t = time.process_time()
        table = run()
        t = time.process_time() - t
        best = t if best is None or t < best else best
    print("%-34s %8.0f MB/s" % (name, float(sys.argv[1]) / 1e6 / best))
    return table

table = clock("pyarrow reading it", lambda: pq.read_table("s.parquet", use_threads=False))
clock("pyarrow writing it, zstd -3", lambda: pq.write_table(table, "p.parquet", compression="zstd", compression_level=3))
PY
"${DS_BENCH_PYTHON:-python3}" - "$texts" "$(awk -v b="$bytes" -v t="$near" 'BEGIN { print b / 1e6 / t }')" <<'PY' || echo 'datatrove: failed'
import json, sys, time
try:
    import datatrove
except ImportError:
    print("datatrove: not installed")
    sys.exit(0)
from loguru import logger
logger.remove()
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import (MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter,
                                              MinhashDedupSignature)
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

def documents(n):
    with open(sys.argv[1]) as f:
        return [Document(text=json.loads(l)["text"], id=str(i)) for i, l in zip(range(n), f)]

def clock(name, docs, run):
    t = time.process_time()
    run()
    rate = sum(len(d.text.encode()) for d in docs) / 1e6 / (time.process_time() - t)
    print("datatrove %-24s %8.2f MB/s" % (name, rate))
    return rate

docs = documents(300)
for F in (GopherQualityFilter, GopherRepetitionFilter, C4QualityFilter, FineWebQualityFilter):
    step = F().filter
    clock(F.__name__, docs, lambda: [step(Document(text=d.text, id=d.id)) for d in docs])
docs, config = documents(600), MinhashConfig()

def near():
    MinhashDedupSignature("sig", config=config).run(docs, rank=0, world_size=1)
    for rank in range(config.num_buckets):
        MinhashDedupBuckets("sig", "buckets", config=config).run(rank=rank, world_size=config.num_buckets)
    MinhashDedupCluster("buckets", "remove", config=config).run()
    return sum(1 for _ in MinhashDedupFilter("remove").run(docs, rank=0, world_size=1))

rate = clock("near-duplicates", docs, near)
print("%-34s %8.0f times as fast   goal >= 20" % ("dedup --near beside datatrove", float(sys.argv[2]) / rate))
PY
