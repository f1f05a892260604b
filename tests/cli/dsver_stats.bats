#!/usr/bin/env bats
# dsver stats and diff --stats: what columns hold, and how far they are from what they held.

load lineage_common

rows() { # SEED SHARE: 3,000 records; of SHARE percent the label is d, and x is larger by SHARE / 10
    awk -v s="$1" -v d="$2" 'function r() { s = (s * 16807) % 2147483647; return s / 2147483647 }
        BEGIN { for (i = 0; i < 3000; i++) {
            t = ""
            for (k = 0; k < 12; k++) t = t " w" int(r() * r() * 300)
            l = r() * 100 < d ? "d" : substr("aabc", 1 + int(r() * 4), 1)
            printf "{\"id\":\"k%d\",\"text\":\"%s\",\"label\":\"%s\",\"x\":%.6f%s}\n", i, substr(t, 2), l, r() * 4 + d / 10, i % 10 ? ",\"n\":" i : "" } }'
}

put() { # FILE
    dsprep text -q --key-field id "$1" | dsver commit d >/dev/null
}

py() {
    need_python
    python3 -c "import sys, json, math
rows = [json.loads(l) for l in sys.stdin]
$1"
}

@test "stats: counts, values, numbers and words of a version" {
    rows 5 0 >a.jsonl
    put a.jsonl
    run dsver stats d
    [ "$status" = 0 ]
    [[ "${lines[0]}" == "d "*": 3000 records in "* ]]
    dsver stats --json d >out
    py '
a = [json.loads(l) for l in open("a.jsonl")]
cols = {r["name"]: r for r in rows if r["type"] == "column"}
assert rows[0]["chunks_read"] == 0, "commit left them in the store"
for c in ("key", "text"):
    assert cols[c]["rows"] == 3000 and cols[c]["nulls"] == 0
lens = sorted(len(r["text"]) for r in a)
L = cols["text"]["lengths"]
assert (L["min"], L["max"], L["sum"]) == (lens[0], lens[-1], sum(lens)), L
assert abs(L["p50"] - lens[1499]) <= L["p50"] / 64 + 1
want = {}
for r in a: want[r["label"]] = want.get(r["label"], 0) + 1
assert dict(map(tuple, cols["meta.label"]["values"])) == want
assert cols["meta.n"]["nulls"] == 300 and cols["meta.n"]["values"] is None
xs = sorted(r["x"] for r in a)
N = cols["meta.x"]["numbers"]
assert (N["min"], N["max"]) == (xs[0], xs[-1])
assert abs(N["p25"] - xs[749]) <= N["p25"] / 32
assert abs(cols["key"]["distinct"] - 3000) < 300 and cols["meta.label"]["distinct"] == len(want)
' <out
    exits 1 dsver stats -c nothing d
    has "no column 'nothing'"
    exits 0 dsver stats -c meta.label d
    has "values"
}

@test "stats: a sample of the words of a column with few values has them in their shares" {
    awk 'BEGIN { for (i = 0; i < 20000; i++) { k = i * 7919 % 100
        print "{\"text\":\"" (k < 40 ? "INFO" : k < 72 ? "ERROR" : k < 94 ? "WARN" : "DEBUG") "\"}" } }' >levels.jsonl
    dsprep text -q levels.jsonl | dsver commit -q -m x levels
    dsver stats --json -c text levels | jq -es '.[-1].words as $w | [.[-1].values[] | {(.[0] | ascii_downcase): .[1]}] | add as $rows
        | $w.looked_at < 20000 and ($w.top | length) == 4
        and all($w.top[]; .[1] / $rows[.[0]] | . > 0.8 and . < 1.2)'
    tac levels.jsonl | dsprep text -q -f jsonl - | dsver commit -q -m y levels
    exits 0 dsver diff --stats --threshold psi=0.02 levels~1 levels
}

@test "stats: columns of the table stand under each other, whatever their names are made of" {
    printf '{"id":"a","text":"x","alter":1,"gr\xc3\xb6\xc3\x9fe":2,"\xe5\xb9\xb4\xe9\xbe\x84":3}\n' >a.jsonl
    put a.jsonl
    dsver stats d >out
    grep -q '^meta.alter       member ' out
    grep -q $'^meta.gr\xc3\xb6\xc3\x9fe       member ' out
    grep -q $'^meta.\xe5\xb9\xb4\xe9\xbe\x84        member ' out
}

@test "stats: the same whatever was stored, with any number of threads, and in a clone" {
    rows 5 0 >a.jsonl
    rows 6 0 >>a.jsonl
    sed -i 's/"id":"k\([0-9]*\)"/"id":"k\1-'"'"'"/' a.jsonl
    awk '{ sub(/"id":"k[0-9]*/, "\"id\":\"r" NR); print }' a.jsonl >b.jsonl
    put b.jsonl
    dsver stats --json d | sed 1d >one
    rm .dsver/stats.db
    dsver stats --json -j 1 d | sed 1d | cmp - one
    rm .dsver/stats.db
    dsver stats --json -j 7 d >all
    sed 1d all | cmp - one
    dsver stats -c text d >/dev/null
    head -1 all | py 'assert rows[0]["chunks_read"] == 3 * rows[0]["blocks"], rows'
    # An edit costs the blocks around it.
    sed '3000s/w1/w2/' b.jsonl >c.jsonl
    put c.jsonl
    dsver stats --json d >after
    head -1 after | py 'assert rows[0]["chunks_read"] == 0, rows'
    mv .dsver/stats.db kept.db
    dsver stats --json d | sed 1d >new
    sed 1d after | cmp - new
    # A damaged cache is none.
    head -c 30000 /dev/urandom >.dsver/stats.db
    rm -f .dsver/stats.db-wal .dsver/stats.db-shm
    dsver stats --json d | sed 1d | cmp - new
    printf 'x' | dd of=.dsver/stats.db bs=1 seek=9000 conv=notrunc 2>/dev/null
    dsver stats --json d | sed 1d | cmp - new
}

@test "diff --stats: alike is alike, a shift is told and stops a Makefile" {
    rows 5 0 >a.jsonl
    rows 77 0 >b.jsonl
    rows 99 30 >c.jsonl
    for f in a b c; do put $f.jsonl; done
    exits 0 dsver diff --stats --threshold psi=0.1,kl=0.1,js=0.1,ks=0.1,nulls=0.01 d~2 d~1
    case $output in *"too far"*) false ;; esac
    exits 1 dsver diff --stats --threshold psi=0.2 d~1 d
    has "too far: values PSI"
    has "new: d ("
    exits 0 dsver diff --stats d~1 d
    exits 2 dsver diff --stats --threshold psi=x d~1 d
    exits 2 dsver diff --threshold psi=1 d~1 d
    exits 2 dsver diff --column x d~1 d
    for about in --stat --exit-code "--data --json"; do
        # shellcheck disable=SC2086
        exits 2 dsver diff --stats $about d~1 d
        has "is about records, and does not go with --stats"
    done
    exits 2 dsver diff --data d~1 d
    has "--data goes with --json"
    exits 1 dsver diff --stats -c none d~1 d
    has "neither version has a column 'none'"
    exits 0 dsver diff --stats --column text --threshold psi=0.2 d~1 d
    exits 1 dsver diff --stats -c text -c meta.label --threshold psi=0.2 d~1 d
    [ "$(dsver diff --stats --json -c meta d~1 d | grep -c "\"type\":\"drift\"")" = 4 ]
    exits 2 dsver diff --stats --threshold pis=1 d~1 d
    dsver diff --stats --json --threshold ks=0.2 d~1 d >out || [ "$?" = 1 ]
    py '
def load(f): return [json.loads(l) for l in open(f)]
a, b = load("b.jsonl"), load("c.jsonl")
cols = {r.get("column"): r for r in rows}
def share(v, ks): return [(v.count(k) + .5) / (len(v) + .5 * len(ks)) for k in ks]
la, lb = [r["label"] for r in a], [r["label"] for r in b]
ks = sorted(set(la) | set(lb))
p, q = share(la, ks), share(lb, ks)
got = cols["meta.label"]["values"]
assert abs(got["psi"] - sum((y - x) * math.log(y / x) for x, y in zip(p, q))) < 1e-9
assert abs(got["kl"] - sum(y * math.log(y / x) for x, y in zip(p, q))) < 1e-9
xa, xb = sorted(r["x"] for r in a), sorted(r["x"] for r in b)
import bisect
D = max(abs(bisect.bisect_right(xa, v) / len(xa) - bisect.bisect_right(xb, v) / len(xb)) for v in xa + xb)
assert abs(cols["meta.x"]["numbers"]["ks"] - D) < 0.03
assert cols["meta.x"]["crossed"] == ["numbers KS"]
assert cols["meta.label"]["new"] == [["d", lb.count("d")]]
' <out
}

@test "diff --stats: what one version has no values of is as far away as can be" {
    gen() { # EXPRESSION: of i
        python3 -c "
import json
for i in range(2000): print(json.dumps({'id': 'k%d' % i, 'text': 't%d' % (i % 7), **($1)}))" >g.jsonl
        put g.jsonl
    }
    need_python
    gen "{'x': i, 'rare': 'r' if i == 7 else None}"
    gen "{'x': None, 'rare': None}"
    exits 1 dsver diff --stats -c meta.x --threshold psi=0.25 d~1 d
    has "numbers PSI"
    for limit in kl=0.5 js=0.5 ks=0.9 similarity=0.1; do
        exits 1 dsver diff --stats -c meta.x --threshold $limit d~1 d
        exits 1 dsver diff --stats -c meta.x --threshold $limit d d~1
    done
    # One value of 2,000 that is gone is chance.
    exits 0 dsver diff --stats -c meta.rare --threshold psi=0.01,kl=0.01,js=0.01,ks=0.01 d~1 d
    # Numbers that became texts, beyond what is counted one by one.
    gen "{'x': i, 'rare': None}"
    gen "{'x': str(i), 'rare': None}"
    exits 1 dsver diff --stats -c meta.x --threshold psi=0.25 d~1 d
    has "numbers PSI" "lengths PSI"
    dsver diff --stats --json -c meta.x d~1 d | head -1 | py '
n = rows[0]["numbers"]
p, q = [2000.5 / 2001, .5 / 2001], [.5 / 2001, 2000.5 / 2001]
assert n["bins"] == 2 and n["ks"] == 1, n
assert abs(n["psi"] - sum((b - a) * math.log(b / a) for a, b in zip(p, q))) < 1e-9, n'
    # A day on which nothing came.
    : >none.jsonl
    put none.jsonl
    exits 0 dsver stats d
    has ": 0 records in 0 blocks"
    exits 0 dsver stats --json d
    exits 1 dsver stats -c nothing d
    exits 1 dsver diff --stats -c text --threshold psi=0.25 d~1 d
    exits 0 dsver diff --stats --threshold psi=0.25,similarity=0.5 d d
}

@test "stats: what was erased is in them no more" {
    rows 5 0 >a.jsonl
    sed -i '1500s/"label":"."/"label":"ZEBRAFINCH"/; 1500s/"text":"/"text":"quagga quagga quagga /' a.jsonl
    put a.jsonl
    rows 6 0 >b.jsonl
    put b.jsonl
    dsver stats --json d~1 | grep -q ZEBRAFINCH
    key=$(sed -n '1500s/.*"id":"\(k[0-9]*\)".*/\1/p' a.jsonl)
    dsver forget --reason r "$key" >/dev/null
    [ "$(cat .dsver/stats.db* | grep -c -a -e ZEBRAFINCH -e quagga)" = 0 ]
    dsver stats --json d~1 >now
    [ "$(grep -c -e ZEBRAFINCH -e quagga now)" = 0 ]
}

@test "stats: gc lets those of blocks go that no branch has, and they come again" {
    rows 5 0 >a.jsonl
    rows 6 0 >b.jsonl
    put a.jsonl
    put b.jsonl
    dsver gc >/dev/null
    dsver stats --json d | py 'assert rows[0]["chunks_read"] == 0, rows[0]'
    dsver stats --json d~1 >old
    py 'assert rows[0]["chunks_read"] >= 2 * rows[0]["blocks"] > 0, rows[0]' <old
    dsver stats --json d~1 | py 'assert rows[0]["chunks_read"] == 0, rows[0]'
}

@test "stats: a store that nobody may write" {
    [ "$(id -u)" != 0 ] || skip "root may write everything"
    rows 5 0 >a.jsonl
    put a.jsonl
    dsver stats --json d | sed 1d >want
    rm .dsver/stats.db*
    chmod -R a-w .dsver
    dsver stats --json d >got
    chmod -R u+w .dsver
    sed 1d got | cmp - want
}
