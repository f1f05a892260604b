#!/bin/bash
# bench.sh - ratios against a peer or a physical limit, measured in the same run.
#
#   bench.sh [commit] [small] [drift] [column] [line] [cat] [text] [files] [scan] [seen] [diff] [dicom] [j2k] [logs] [transforms] [lora] [tok] [toktrain] [web] [pipe] [peers] [remote]
#                                  (default: all)
#
# DS_BIN_DIR       where dsprep, dstok and dsver are
# DS_BENCH_PROGS   where the benchmarks' own programs are (default: ../bench beside them)
# DS_BENCH_WORK    a scratch folder (default: a temporary one, removed at the end). The text corpus is W/work/w1 when it is
#                  there (see docs/figures.md); otherwise about 300 MB are made.
# DS_BENCH_PYTHON  the python whose modules are the peers of `tok` and `toktrain` (tokenizers, tiktoken, gigatoken), `logs` (drain3) and
#                  `web` (warcio, fastwarc; default python3)
# DS_SHARED        where data/tokenizers/deepseek-v3/tokenizer.json is, which `tok` uses (default: ../shared beside the tree)
# DS_BENCH_RUNS    runs of each timed thing, the best counts (default 3; `peers`: 2)
# DS_BENCH_RECORDS records of `diff` (default 10000000)
# DS_BENCH_SCANS   DICOM files of `peers` (default 5000, of 206 KB)
# DS_BENCH_OBJECTS objects of `dicom` in one folder (default 100000)
# DS_BENCH_DRIFT   versions after the first in `drift` (default 50)
# DS_BENCH_LINES   lines of the corpus used in `drift` (default 20000)
set -eu -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
bin=${DS_BIN_DIR:-$here/../../build/release/bin}
PATH=$(cd "$bin" && pwd):$PATH
progs=${DS_BENCH_PROGS:-$bin/../bench}
[ ! -d "$progs" ] || progs=$(cd "$progs" && pwd)
runs=${DS_BENCH_RUNS:-3}
work=${DS_BENCH_WORK:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work/tmp"
cd "$work" || exit 1

die() { echo "bench: $*" >&2; exit 1; }
now() { date +%s.%N; }
# secs COMMAND...: the best wall time of $runs runs; RESET, if set, is run before each.
secs() {
    local best='' t0 t1 i
    for ((i = 0; i < runs; i++)); do
        [ -z "${RESET:-}" ] || eval "$RESET"
        t0=$(now)
        "$@" > tmp/out 2> tmp/err || die "failed: $* ($(tail -n 1 tmp/err))"
        t1=$(now)
        best=$(awk -v a="$t0" -v b="$t1" -v m="$best" 'BEGIN { d = b - a; print (m == "" || d < m) ? d : m }')
    done
    echo "$best"
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
rate() { awk -v n="$1" -v t="$2" 'BEGIN { printf "%.2f", n / t / 1e9 }'; }
size() { stat -c %s "$1"; }
stored() { du -sb --apparent-size "$1/.dsver/packs" "$1/.dsver/catalog.git" | awk '{ n += $1 } END { print n }'; }
say() { printf '%-58s %10s   goal %s\n' "$1" "$2" "$3"; }
store() { rm -rf "$1" && mkdir -p "$1" && dsver init "$1" > /dev/null || die "dsver init $1"; }

# The manifest's lines of a version, sorted: a line a block.
blocks() { # STORE REV
    git -C "$1/.dsver/catalog.git" ls-tree -r --name-only "$2" blocks/ |
        while read -r f; do git -C "$1/.dsver/catalog.git" show "$2:$f"; done | sort
}
# Lines of version 2 that version 1 does not have.
fresh() { comm -13 "$1" "$2"; }

corpus() {
    [ -e v1.dsr ] && return
    if [ -d work/w1/v1 ]; then
        cat work/w1/v1/*.jsonl > v1.jsonl
        cat work/w1/v2/*.jsonl > v2.jsonl
    else
        python3 "$here/makelines.py" words 1000000 1 > v1.jsonl
        python3 "$here/makelines.py" drift v1.jsonl v2.jsonl 1
    fi
    dsprep text --format jsonl --key-field id v1.jsonl > v1.dsr || die "dsprep text v1"
    dsprep text --format jsonl --key-field id v2.jsonl > v2.dsr || die "dsprep text v2"
}

bench_commit() {
    corpus
    local z c s a v1 v2
    z=$(RESET='' secs zstd -q -f -3 -T2 v1.dsr -o tmp/v1.zst)
    c=$(RESET='store s1' secs env DSVER_STORE=s1 dsver commit -m one docs v1.dsr)
    a=$(RESET='' secs env DSVER_STORE=s1 dsver commit -m again docs v1.dsr)
    s=$(RESET='' secs openssl dgst -sha256 v1.dsr)
    say 'first commit / zstd -3 -T2' "$(ratio "$c" "$z")" '<= 1.3'
    say 'same stream again / openssl sha256' "$(ratio "$a" "$s")" '<= 2.5'
    p=$(RESET='store s2' secs bash -c 'dsprep text --format jsonl --key-field id v1.jsonl | env DSVER_STORE=s2 dsver commit -m one docs')
    say 'whole pipe from JSON lines / zstd -3 -T2' "$(ratio "$p" "$z")" '(beside it)'
    v1=$(stored s1)
    env DSVER_STORE=s1 dsver commit -m two docs v2.dsr > tmp/out || die "commit v2"
    v2=$(($(stored s1) - v1))
    say 'v2 (1 % changed) stored / v1' "$(awk -v a="$v2" -v b="$v1" 'BEGIN { printf "%.2f %%", 100 * a / b }')" '<= 2 %'
}

bench_small() {
    local kind v1 v2 n
    for kind in plain words; do
        python3 "$here/makelines.py" $kind 200000 1 > small1.jsonl
        python3 "$here/makelines.py" drift small1.jsonl small2.jsonl 1
        local key=()
        [ $kind = plain ] || key=(--key-field id)
        store s3
        dsprep text --format jsonl "${key[@]}" small1.jsonl | env DSVER_STORE=s3 dsver commit -m one docs > tmp/out || die small1
        v1=$(stored s3)
        dsprep text --format jsonl "${key[@]}" small2.jsonl | env DSVER_STORE=s3 dsver commit -m two docs > tmp/out || die small2
        v2=$(($(stored s3) - v1))
        n=$(zstd -q -3 -c small2.jsonl.new | wc -c)
        say "300-byte records ($kind): v2 / zstd -3 of the new lines" "$(ratio "$v2" "$n")" '<= 2.2'
    done
}

bench_drift() {
    corpus
    local n=${DS_BENCH_DRIFT:-50} lines=${DS_BENCH_LINES:-20000} i v1 v2 all t1 t51
    awk -v n="$lines" 'NR > n { exit } { print }' v1.jsonl > drift1.jsonl
    awk -v n="$lines" 'NR > 3 * n { exit } NR > n { print }' v1.jsonl > pool.jsonl
    store s4
    cp drift1.jsonl drift.jsonl
    for ((i = 0; i <= n; i++)); do
        if ((i > 0)); then
            python3 "$here/makelines.py" drift drift.jsonl next.jsonl "$i" pool.jsonl
            mv next.jsonl drift.jsonl
        fi
        dsprep text --format jsonl drift.jsonl | env DSVER_STORE=s4 dsver commit -m "v$i" docs > tmp/out || die "drift $i"
        if ((i == 0)); then v1=$(stored s4); fi
        if ((i == 1)); then v2=$(($(stored s4) - v1)); fi
    done
    all=$(($(stored s4) - v1))
    say "$n versions / $n x v2" "$(ratio "$all" $((n * v2)))" '<= 3'
    t1=$(RESET='' secs env DSVER_STORE=s4 dsver cat "docs@main~$n")
    t51=$(RESET='' secs env DSVER_STORE=s4 dsver cat docs@main)
    say 'speed of cat, last version / first' "$(ratio "$t1" "$t51")" '>= 0.5'
}

bench_cat() {
    corpus
    [ -d s1/.dsver ] || { store s1; env DSVER_STORE=s1 dsver commit -m one docs v1.dsr > tmp/out || die commit; }
    local t z
    env DSVER_STORE=s1 dsver cat docs@main~1 > tmp/first.dsr 2> /dev/null || env DSVER_STORE=s1 dsver cat docs@main > tmp/first.dsr || die cat
    t=$(RESET='' secs bash -c "env DSVER_STORE=s1 dsver cat docs > /dev/null")
    z=$(zstd -q -b3 -i1 -B262144 v1.dsr 2>&1 | tr '\r' '\n' |
        awk '/MB\/s.*MB\/s/ { for (i = 2; i <= NF; i++) if ($i ~ /^MB\/s/) v = $(i - 1) } END { print v }')
    say 'dsver cat / zstd decode of 256 KiB blocks' \
        "$(awk -v n="$(size v1.dsr)" -v t="$t" -v z="$z" 'BEGIN { printf "%.2f", n / t / 1e6 / z }')" '>= 0.8'
}

bench_column() {
    corpus
    awk 'NR > 20000 { exit } { print }' v1.jsonl > col.jsonl
    dstok train --vocab-size 4096 -o col.tok.json col.jsonl 2> tmp/err || die train
    dsprep text --format jsonl --key-field id col.jsonl > col.dsr
    dsprep tokenize -t col.tok.json col.dsr > coltok.dsr || die tokenize
    store s5
    env DSVER_STORE=s5 dsver commit -m text docs col.dsr > tmp/out || die column
    env DSVER_STORE=s5 dsver commit -m tokens docs coltok.dsr > tmp/out || die column
    for v in main~1 main; do # field 3: the text, after rows and key
        blocks s5 docs/$v | cut -d ' ' -f 3 | sed 's/^[0-9]*://' | tr ',' '\n' | sort -u > "tmp/$v"
    done
    say 'pieces of text stored again with a tokens column' "$(fresh tmp/main~1 tmp/main | wc -l)" '0'
}

bench_line() {
    local kind
    for kind in plain logs; do
        python3 "$here/makelines.py" $kind 100000 1 > line1.jsonl
        { echo '{"text":"one more line on top of all"}'; cat line1.jsonl; } > line2.jsonl
        store s6
        dsprep text --format jsonl line1.jsonl | env DSVER_STORE=s6 dsver commit -m one docs > tmp/out || die line1
        dsprep text --format jsonl line2.jsonl | env DSVER_STORE=s6 dsver commit -m two docs > tmp/out || die line2
        blocks s6 docs/main~1 > tmp/one
        blocks s6 docs/main > tmp/two
        say "blocks stored for a line on top of 100,000 ($kind)" "$(fresh tmp/one tmp/two | wc -l)" '1'
    done
}

bench_text() {
    corpus
    local t c
    t=$(RESET='' secs bash -c "dsprep text --format jsonl --key-field id v1.jsonl > /dev/null")
    c=$(RESET='' secs bash -c "cat v1.jsonl > /dev/null")
    say 'dsprep text, GB/s end to end' "$(rate "$(size v1.jsonl)" "$t")" '>= 0.5'
    say '  (cat of the same file, GB/s)' "$(rate "$(size v1.jsonl)" "$c")" '-'
}

# 100,000 files of 3 KB in 256 folders.
small_files() { # FOLDER
    [ -d "$1" ] || python3 - "$1" <<'PY'
import os, random, sys
r = random.Random(5)
for d in range(256):
    os.makedirs("%s/%02x" % (sys.argv[1], d))
for i in range(100000):
    with open("%s/%02x/%06d.txt" % (sys.argv[1], i % 256, i), "w") as f:
        f.write(" ".join("w%d" % r.randrange(5000) for _ in range(700)))
PY
}

bench_files() {
    local dir=work/w3/v1 t f
    if [ ! -d $dir ]; then
        dir=small_files
        small_files $dir
    fi
    find $dir -type f -print0 | xargs -0 cat > /dev/null
    t=$(RESET='' secs bash -c "dsprep text $dir > /dev/null")
    f=$(RESET='' secs bash -c "find $dir -type f -print0 | xargs -0 cat > /dev/null")
    say '100,000 small files / find | xargs cat' "$(ratio "$t" "$f")" '<= 1.5'
}

bench_scan() {
    corpus
    local f got
    [ -x "$progs/bench_jscan" ] || { say 'JSON-lines scanner' 'not built' '>= 1 GB/s a core'; return; }
    [ -e small1.jsonl ] || python3 "$here/makelines.py" words 200000 1 > small1.jsonl
    for f in v1.jsonl small1.jsonl; do
        got=$("$progs/bench_jscan" $f) || die "bench_jscan $f"
        say "JSON-lines scanner, GB/s a core ($f)" "$(echo "$got" | cut -d ' ' -f 2)" '>= 1'
        echo "  $got"
    done
}

# A run of 100,000 rows of one sequence each, the worst case for its ledger; written by tests/compat/mkrun.py.
bench_seen() {
    local t
    if [ ! -d seen/run ]; then
        store seen
        awk 'BEGIN { for (i = 0; i < 100000; i++) printf "{\"id\":\"k%06d\",\"text\":\"the %d red cat sees %d\"}\n", i, i * 7919 % 1009, i % 97 }' \
            > seen/t.jsonl
        head -n 2000 seen/t.jsonl > seen/head.jsonl
        dstok train --vocab-size 400 -o seen/tok.json seen/head.jsonl 2> tmp/err || die "dstok train"
        dsprep text -q --key-field id seen/t.jsonl | dsprep tokenize -q -t seen/tok.json |
            dsver commit --store seen -m x docs > tmp/out || die 'dsver commit'
        (cd seen && python3 -B "$here/../compat/mkrun.py" .dsver docs run steps=1600 rows=64 seq_len=16 window=64 every=400 \
            tokenizer=tok.json register=1 > /dev/null) || die 'mkrun.py'
    fi
    t=$(RESET='' secs dsver seen --store seen docs k050000)
    say "dsver seen, 100,000 sequences, seconds" "$(ratio "$t" 1)" '< 1'
    t=$(RESET='' secs dsver audit --store seen seen/run/step-001600)
    say "  (dsver audit of the same run, seconds)" "$(ratio "$t" 1)" '-'
}

# Versions of 10 million records of about 100 bytes, made as they are read: the second differs in 1 %, the third in one record.
many() { # VERSION
    awk -v n="${DS_BENCH_RECORDS:-10000000}" -v v="$1" 'BEGIN { s = 11
        for (i = 0; i < n; i++) {
            s = (s * 16807) % 2147483647
            if (v > 1 && s % 200 == 7) continue
            took = v > 1 && s % 200 == 9 ? "TOOK" : v > 2 && i == int(n / 2) ? "takes" : "took"
            printf "{\"id\":\"k%d\",\"text\":\"2026-11-0%d host%d service[%d]: request %d %s %d ms\"}\n", i, i % 9 + 1, i % 37,
                i * 7919 % 65536, i * 104729 % 1000003, took, s % 1000
        } }'
}
many_commit() { # VERSION
    many "$1" | dsprep text -q --format jsonl --key-field id - | dsver commit --store many -m "$1" many > tmp/out || die "dsver commit $1"
}

bench_diff() {
    local t n=${DS_BENCH_RECORDS:-10000000} before
    store many
    many_commit 1
    many_commit 2
    t=$(RESET='' secs dsver diff --store many --stat many~1 many)
    say "dsver diff, $n records, 1 % differ, seconds" "$(ratio "$t" 1)" '< 5'
    t=$(RESET='' secs dsver blame --store many many "k$((n * 3 / 4 + 1))")
    say 'dsver blame, seconds' "$(ratio "$t" 1)" '< 1'
    before=$(stored many)
    many_commit 3
    say '  one changed record, MB stored' "$(awk -v a="$(stored many)" -v b="$before" 'BEGIN { print (a - b) / 1e6 }')" '< 1'
    t=$(RESET='' secs dsver diff --store many --stat many~1 many)
    say '  dsver diff of those, seconds' "$(ratio "$t" 1)" '< 1'
    rm -rf many
}

# Beside restic, borg, casync, git and git-lfs, as far as they are installed: JSON lines, DICOM files of which three header
# fields are rewritten, 100,000 small files of which some change.
bench_peers() {
    local w=work/w1 f=work/w3 n=${DS_BENCH_SCANS:-5000}
    if [ ! -d $w/v3 ]; then
        w=peers
        corpus
        mkdir -p $w/v1 $w/v2 $w/v3
        ln -f v1.jsonl $w/v1/a.jsonl
        ln -f v2.jsonl $w/v2/a.jsonl
        ln -f v1.jsonl $w/v3/a.jsonl
        python3 "$here/makelines.py" words $(($(wc -l < v1.jsonl) / 20)) 77 | sed 's/"id": *"/&more-/' > $w/v3/b.jsonl
    fi
    echo 'JSON lines: 1 % deleted and 1 % new, then 5 % more'
    DS_BIN_DIR=$bin bash "$here/peers.sh" --goals lines --jsonl id $w/v1 $w/v2 $w/v3
    [ -d scans ] || python3 "$here/makedicom.py" scans "$n" 320 scans
    [ -d scans2 ] || python3 "$here/makedicom.py" rewrite scans scans2
    echo "$n DICOM files, then three header fields of each rewritten"
    DS_BIN_DIR=$bin bash "$here/peers.sh" --goals scans scans scans2
    rm -rf scans scans2
    if [ ! -d $f/v2 ]; then
        f=small
        mkdir -p $f && rm -rf $f/v2 && small_files $f/v1
        cp -r $f/v1 $f/v2
        find $f/v2 -name '*7.txt' | LC_ALL=C sort | head -n 1000 | while read -r x; do echo more >> "$x"; done
    fi
    echo '100,000 small files, then some of them changed'
    DS_BIN_DIR=$bin bash "$here/peers.sh" --goals small $f/v1 $f/v2
}

bench_lora() {
    DS_BIN_DIR=$(dirname "$(command -v dstrain)") bash "$here/lora.sh"
}

bench_transforms() {
    DS_BIN_DIR=$(dirname "$(command -v dsprep)") bash "$here/transforms.sh"
}

# English, Chinese, code and logs; one thread and all. Goals on one thread: 20 x tokenizers, 8 x tiktoken, 1.2 x gigatoken.
bench_tok() {
    local t=${DS_SHARED:-$here/../../../shared}/data/tokenizers/deepseek-v3/tokenizer.json
    [ -x "$progs/bench_tok" ] || { say 'tokenizer' 'not built' ''; return; }
    [ -e "$t" ] || { say 'tokenizer' "no $t" ''; return; }
    corpus
    [ -e tok/logs.txt ] || python3 "$here/toktexts.py" tok 64 v1.jsonl
    "${DS_BENCH_PYTHON:-python3}" "$here/tokpeers.py" "$progs/bench_tok" "$t" tok/{en,zh,code,logs}.txt
    "${DS_BENCH_PYTHON:-python3}" "$here/tokpeers.py" --threads "$(nproc)" "$progs/bench_tok" "$t" tok/{en,zh,code,logs}.txt
}

# Training on the same texts. Goals: 5 x tokenizers in a third of its memory; 3 minutes with the peer.
bench_toktrain() {
    corpus
    [ -e tok/logs.txt ] || python3 "$here/toktexts.py" tok 64 v1.jsonl
    "${DS_BENCH_PYTHON:-python3}" "$here/toktrain.py" "$(command -v dstok)" tok/{en,zh,code,logs}.txt || [ $? = 77 ]
}

# A crawl and a box of mail into records, beside what others take to read them.
bench_web() {
    TMPDIR=tmp "${DS_BENCH_PYTHON:-python3}" "$here/web.py" "$(command -v dsprep)"
}

# From JSON lines to a version with tokens: processor seconds of each stage, and what share of the pipe's time the busiest of
# them worked. With a processor for each stage that share is near 1; with fewer, all of them together fill the processors.
bench_pipe() {
    local t=${DS_SHARED:-$here/../../../shared}/data/tokenizers/deepseek-v3/tokenizer.json s wall most=0 all=0
    [ -e "$t" ] || { say 'pipe' "no $t" ''; return; }
    corpus
    store s9
    on() { /usr/bin/time -f '%U %S %w' -o "tmp/pipe.$1" "${@:2}"; }
    wall=$(now)
    on text dsprep text -q --format jsonl --key-field id v1.jsonl | on tokenize dsprep tokenize -q -t "$t" |
        on commit dsver commit --store s9 -m one docs > tmp/out || die 'pipe'
    wall=$(awk -v a="$(now)" -v b="$wall" 'BEGIN { print a - b }')
    for s in text tokenize commit; do
        read -r most all < <(awk -v m="$most" -v a="$all" '{ c = $1 + $2; print (c > m ? c : m), a + c }' "tmp/pipe.$s")
        say "pipe: $s, MB of JSON lines for a processor second" \
            "$(awk -v n="$(size v1.jsonl)" '{ printf "%.0f", n / 1e6 / ($1 + $2) }' "tmp/pipe.$s")" ''
    done
    say 'pipe: processors busy' "$(ratio "$all" "$wall")" "(of $(nproc))"
    say 'pipe: the busiest stage / the whole' "$(ratio "$most" "$wall")" ''
}

# 600 CT slices of 512 x 512 x 16 bits in a tar, and many small objects in a folder. The peer is pydicom, on one core.
bench_dicom() {
    local n=600 many=${DS_BENCH_OBJECTS:-100000} a b c p r1 r2
    [ -e ct.tar ] || { "$here/makedicom.py" ct $n 512 ct && tar cf ct.tar ct && rm -r ct; }
    [ -e site.key ] || { head -c 32 /dev/urandom > site.key && chmod 600 site.key; }
    a=$(RESET='' secs taskset -c 0 dsprep dicom -j 1 --key-file site.key ct.tar)
    b=$(RESET='' secs taskset -c 0,1 dsprep dicom -j 2 --key-file site.key ct.tar)
    c=$(all_cpu taskset -c 0 dsprep dicom -j 1 --key-file site.key ct.tar)
    say 'dsprep dicom, CT 512 x 512 x 16, files/s on one core' "$(ratio $n "$a")" '>= 500'
    say '  on two cores' "$(ratio $n "$b")" ''
    say '  files a second of processor time, workers and system included' "$(ratio $n "$c")" '>= 500'
    if "${DS_BENCH_PYTHON:-python3}" -c 'import pydicom, numpy' 2> /dev/null; then
        p=$(RESET='' secs taskset -c 0 "${DS_BENCH_PYTHON:-python3}" "$here/dicompeer.py" ct.tar)
        say '  (pydicom, files/s)' "$(ratio $n "$p")" '-'
        say 'processor time, pydicom / dsprep dicom' "$(ratio "$(all_cpu taskset -c 0 "${DS_BENCH_PYTHON:-python3}" "$here/dicompeer.py" ct.tar)" "$c")" '>= 1.3'
        say 'dsprep dicom on one core / pydicom' "$(ratio "$p" "$a")" '>= 1.3'
        say 'dsprep dicom on two cores / pydicom' "$(ratio "$p" "$b")" '>= 2.5'
    else
        say '  (pydicom)' 'not installed' ''
    fi
    for i in $((many / 10)) "$many"; do
        rm -rf objects && "$here/makedicom.py" ct "$i" 8 objects
        /usr/bin/time -f '%e %M' -o tmp/time dsprep dicom --key-file site.key objects > tmp/out 2> tmp/err || die 'dsprep dicom'
        [ "$i" = "$many" ] && read -r a r1 < tmp/time || read -r b r2 < tmp/time
    done
    rm -rf objects
    say "$many objects in one folder, seconds / a tenth of them" "$(ratio "$a" "$b")" '10'
    say '  peak memory of a process, MB / with a tenth' "$(ratio "$r1" 1024) / $(ratio "$r2" 1024)" 'flat'
}

# 300 frames of 512 x 512 x 16 bits, lossless JPEG 2000: what OpenJPEG takes to decode them and no more, beside all that
# `dsprep dicom` does with them. Processor time, so that a busy machine tells the same; wall time with two frames at a time.
bench_j2k() {
    local n=300 a b c d
    [ -x "$progs/bench_j2k" ] || { say 'JPEG 2000' 'bench_j2k is not built' ''; return; }
    [ -e site.key ] || { head -c 32 /dev/urandom > site.key && chmod 600 site.key; }
    rm -rf j2k && "$here/makedicom.py" noise 10 512 j2k && "$progs/bench_j2k" encode 512 j2k/*.raw
    "$here/makedicom.py" wrapall 1.2.840.10008.1.2.4.90 $n 512 j2k/objects j2k/*.j2k
    "$here/makedicom.py" wrap 1.2.840.10008.1.2.4.90 $n 512 j2k/frames.dcm j2k/*.j2k
    a=$(all_cpu "$progs/bench_j2k" decode 2 $n j2k/*.j2k)
    b=$(all_cpu dsprep dicom -j 2 --key-file site.key j2k/frames.dcm)
    c=$(all_cpu dsprep dicom -j 2 --key-file site.key j2k/objects)
    say 'JPEG 2000, 300 frames: frames/s of processor time' "$(ratio $n "$b")" ''
    say '  OpenJPEG alone / dsprep dicom, one object of 300 frames' "$(ratio "$a" "$b")" '>= 0.95'
    say '  the same, 300 objects of one frame' "$(ratio "$a" "$c")" '>= 0.95'
    a=$(RESET='' secs "$progs/bench_j2k" decode 2 $n j2k/*.j2k)
    d=$(RESET='' secs dsprep dicom -j 2 --key-file site.key j2k/frames.dcm)
    c=$(RESET='' secs dsprep dicom -j 2 --key-file site.key j2k/objects)
    say '  by the clock, two frames at a time: frames, objects' "$(ratio "$a" "$d"), $(ratio "$a" "$c")" '>= 0.95'
    rm -rf j2k
}

# 1,000,000 requests as access logs and as JSON lines; processor time of one thread, so that a busy machine tells the same.
bench_logs() {
    local f t n
    [ -e acc.log ] || awk 'BEGIN { s = 7; for (i = 0; i < 1000000; i++) {
        s = (s * 16807) % 2147483647; ip = "10." s % 256 "." int(s / 256) % 256 "." i % 251
        p = "/api/v1/users/" s % 100000 "?page=" i % 7
        printf "%s - - [10/Oct/2023:13:%02d:%02d +0000] \"GET %s HTTP/1.1\" %d %d \"https://example.com%s\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\"\n",
            ip, int(i / 60) % 60, i % 60, p, i % 9 ? 200 : 404, s % 100000, p > "acc.log"
        printf "{\"time\":\"2023-10-10T13:%02d:%02d.%06dZ\",\"level\":\"info\",\"logger\":\"http\",\"pid\":4711,\"msg\":\"request %s finished in %d ms\",\"remote\":\"%s\"}\n",
            int(i / 60) % 60, i % 60, i, p, i % 1000, ip > "js.log" } }'
    for f in 'combined acc' 'json js'; do
        [ -x "$progs/bench_logscan" ] || { say 'records of logs in memory' 'not built' '>= 1 GB/s a core'; break; }
        n=$("$progs/bench_logscan" "${f% *}" "${f#* }.log") || die "bench_logscan $f"
        say "records in memory to typed cells, GB/s a core (${f#* }.log)" "$(echo "$n" | cut -d ' ' -f 2)" "$([ "$f" = 'json js' ] && echo - || echo '>= 1')"
    done
    for f in acc js; do
        t=$(cpu dsprep logs -q -j1 $f.log)
        say "dsprep logs, GB/s to DSR on one core ($f.log)" "$(rate "$(size $f.log)" "$t")" '>= 0.4'
        cp tmp/out $f.dsr
    done
    n=$(wc -l < js.log)
    t=$(cpu dsprep templates -q -j1 js.dsr)
    say 'dsprep templates, million lines/s on one core, both passes' "$(awk -v n="$n" -v t="$t" 'BEGIN { printf "%.2f", n / t / 1e6 }')" '>= 2'
    if "${DS_BENCH_PYTHON:-python3}" -c 'import drain3' 2> /dev/null; then
        # What a record gets from `dsprep templates` is a template and its variables: the first of two numbers is Drain3's time for
        # both, in memory, the second that for templates alone. Reading, and writing the stream, are ours besides.
        f=$("${DS_BENCH_PYTHON:-python3}" - js.log <<'PY'
import json, sys, time
from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig
miner = TemplateMiner(config=TemplateMinerConfig())
lines = [json.loads(line)["msg"] for line in open(sys.argv[1])]
start = time.process_time()
mined = [miner.add_log_message(line)["template_mined"] for line in lines]
alone = time.process_time() - start
for template, line in zip(mined, lines):
    miner.extract_parameters(template, line)
print(time.process_time() - start, alone)
PY
)
        say '  (Drain3, templates and variables, seconds / ours)' "$(ratio "${f% *}" "$t")" '>= 20'
        say '  (Drain3, templates alone / ours with variables, reading, writing)' "$(ratio "${f#* }" "$t")" '-'
    else
        say '  (Drain3)' 'not installed' ''
    fi
}

# clone_curl: the same packs by curl, one connection, into files.
clone_curl() {
    local f args=()
    for f in afar/.dsver/packs/*.pack; do args+=("http://127.0.0.1:$1/bench/x/packs/${f##*/}" -o "got/${f##*/}"); done
    curl -s -f --aws-sigv4 aws:amz:us-east-1:s3 -u AK:SK -H "x-amz-content-sha256: $2" "${args[@]}"
}

# A clone from Ceph's object store on loopback, beside curl getting the same packs. Both begin without files, in turns.
bench_remote() (
    local rgw=$here/../remote/rgw.sh port=$((20000 + $$ % 20000)) url c='' t='' one i
    local none=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    for p in radosgw ceph-mon ceph-mgr ceph-osd curl; do
        command -v $p > tmp/out || { say 'clone over S3' "no $p" ''; exit 0; }
    done
    rm -rf rgw
    timeout 300 bash "$rgw" start "$PWD/rgw" $port < /dev/null > tmp/out 2>&1 || die "Ceph: $(tail -n 1 tmp/out)"
    trap 'bash "$rgw" stop "$PWD/rgw"; rm -rf rgw afar got near afar.git' EXIT
    export AWS_ACCESS_KEY_ID=AK AWS_SECRET_ACCESS_KEY=SK no_proxy=127.0.0.1
    curl -s -f -X PUT --aws-sigv4 aws:amz:us-east-1:s3 -u AK:SK -H "x-amz-content-sha256: $none" "http://127.0.0.1:$port/bench"
    url="s3://bench/x?endpoint=http://127.0.0.1:$port"
    corpus
    store afar
    dsver commit --store afar docs v1.dsr > tmp/out || die 'dsver commit'
    git init -q --bare afar.git
    (cd afar && dsver remote add origin "$url" --catalog ../afar.git && dsver push -q) || die 'dsver push'
    for ((i = 0; i < runs; i++)); do
        one=$(runs=1 RESET='rm -rf got && mkdir got' secs clone_curl $port $none)
        c=$(awk -v a="$one" -v m="$c" 'BEGIN { print (m == "" || a < m) ? a : m }')
        one=$(runs=1 RESET='rm -rf near' secs dsver clone -q "$url" --catalog "$PWD/afar.git" near)
        t=$(awk -v a="$one" -v m="$t" 'BEGIN { print (m == "" || a < m) ? a : m }')
    done
    say 'curl of the packs / dsver clone' "$(ratio "$c" "$t")" '>= 0.7'
)

# cpu COMMAND...: processor seconds of the user, the best of $runs runs; all_cpu: those of the system too.
cpu() { best_cpu %U "$@"; }
all_cpu() { best_cpu '%U %S' "$@"; }
best_cpu() {
    local what=$1 best='' i u k
    shift
    for ((i = 0; i < runs; i++)); do
        /usr/bin/time -f "$what" -o tmp/time "$@" > tmp/out 2> tmp/err || die "failed: $*"
        read -r u k < tmp/time
        best=$(awk -v u="$u" -v k="${k:-0}" -v m="$best" 'BEGIN { u += k; print (m == "" || u < m) ? u : m }')
    done
    echo "$best"
}

for what in ${*:-commit small drift column line cat text files scan seen diff dicom j2k logs transforms lora tok toktrain web pipe peers remote}; do
    "bench_$what"
done
