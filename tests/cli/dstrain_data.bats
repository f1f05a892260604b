#!/usr/bin/env bats
# dstrain: what is learnt from and in which shares: loss masks, weights, what was consumed. Datasets with masks are written by
# tests/compat/dsr.py, which is written from the format's document alone.
load dstrain_common

need_python() {
    local p
    for p in python3 git zstd; do
        command -v "$p" >/dev/null || skip "$p is not installed"
    done
}

# sft FILE EXPRESSION [I]: 60 records of tokens, labels and a loss mask; the mask's runs of record i with n tokens are EXPRESSION.
# Record I has a token that no model knows.
sft() {
    DS_FILE=$1 BAD=${3:--1} python3 -c '
import os, sys
sys.path.insert(0, os.environ["DS_ROOT"] + "/tests/compat")
import dsr
from dsrcol import Column, Schema
rows = []
for i in range(60):
    n = 5 + i * 7 % 23
    runs = '"$2"'
    runs = runs and [r for r in runs if r[0]]
    rows.append([b"r%03d" % i, [5000 if i == int(os.environ["BAD"]) else (i * 31 + k * k) % 290 for k in range(n)], runs, b"de" if i % 3 else None])
schema = Schema([Column("key", "utf8"), Column("tokens", "tokens16"), Column("loss", "runs", null=True, attrs={"of": "tokens"}),
                 Column("language", "utf8", null=True)], ["key"])
with open(os.environ["DS_FILE"], "wb") as f:
    f.write(dsr.write(schema, rows))'
}

# run_sft RUN DATA OPTION...
run_sft() {
    local run=$1 data=$2
    shift 2
    dstrain finetune --model "$F/base" --store . --data "$data" --seq-len 32 --batch 4 --steps 4 --lr 1e-3 --rank 4 -j 2 -q "$@" \
        -o "$run" >"$run.out"
}

# targets RUN: of all its steps
targets() {
    sed -n 's/.*"targets":\([0-9]*\),.*/\1/p' "$1/metrics.jsonl" | awk '{ n += $1 } END { print n }'
}

checker() {
    PYTHONDONTWRITEBYTECODE=1 python3 "$DS_ROOT/tests/compat/dslineage.py" check "$@"
}

@test "a loss mask: fewer targets, in the description, audited, replayed" {
    need_python
    dsver init >/dev/null
    sft half.dsr '[(n // 2, 0), (n - n // 2, 1)]'
    dsver commit -m half half half.dsr >/dev/null
    run_sft r half --steps 8
    run_sft all half --mask none --steps 8
    grep -q '"mask":"loss"' r/step-000008/lineage.json
    fails grep -q '"mask"' all/step-000008/lineage.json
    [ "$(targets r)" -gt 50 ]
    [ $(($(targets r) * 3)) -lt $(($(targets all) * 2)) ]
    [ "$(sum_of r)" != "$(sum_of all)" ]
    exits 0 dsver audit --store . r/step-000008
    has "ok targets" "loss mask" "ok consumed"
    exits 0 dsver audit --store . all/step-000008
    exits 0 checker .dsver r/step-000008
    exits 0 dstrain replay r/step-000008 --model "$F/base" --store .
    exits 0 dstrain replay all/step-000008 --model "$F/base" --store .
    # a record of 5: two tokens are read, three are learnt
    for s in 1 2 3 4 5 6 7 8; do dsver batch --store . r $s; done >b
    grep -q 'r000 tokens 0..4: \[0 1\] 4 9 16$' b
    for s in 1 2 3 4 5 6 7 8; do dsver batch --json --store . r $s; done >b
    grep -q '"key":"r000","offset":0,"length":5,"tokens":\[0,1,4,9,16\],"target":\[0,0,1,1,1\]' b
    # a file of the same records gives the same weights
    run_sft file half.dsr --steps 8
    weights r/step-000008 >w
    weights file/step-000008 | cmp - w
}

@test "a loss mask: micro-batches and threads change no bit; all of 1 is none" {
    need_python
    sft some.dsr 'None if i % 4 == 0 else [(n // 3, 0), (n // 3, 1), (n - 2 * (n // 3), 0)]'
    run_sft one some.dsr -j 1 --data-threads 1
    run_sft two some.dsr --batch 1 --accumulate 4 --data-threads 7
    [ "$(sum_of one)" = "$(sum_of two)" ]
    sft ones.dsr '[(n, 1)]'
    run_sft ones ones.dsr
    run_sft none ones.dsr --mask none
    weights ones/step-000004 >w
    weights none/step-000004 | cmp - w
}

@test "a loss mask: records and steps without a target" {
    need_python
    dsver init >/dev/null
    sft few.dsr '[(n, 1 if i == 7 else 0)]'
    dsver commit -m few few few.dsr >/dev/null
    run_sft r few --batch 1 --steps 30
    [ "$(targets r)" -gt 0 ]
    grep -q '"loss":0,.*"targets":0,' r/metrics.jsonl
    exits 0 dsver audit --store . r/step-000030
    exits 0 checker .dsver r/step-000030
    run_sft split few --batch 1 --accumulate 2 --steps 15
    run_sft whole few --batch 2 --steps 15
    [ "$(sum_of split)" = "$(sum_of whole)" ]
    sft never.dsr '[(n, 0)]'
    fails run_sft n never.dsr
    has "never.dsr" "leaves no token to learn from" "--mask none"
}

@test "a loss mask that does not fit" {
    need_python
    sft short.dsr '[(n - (i == 9), 1)]'
    fails run_sft n short.dsr
    has "short.dsr" "record 9: its mask is of 21 tokens, it has 22"
    sft two.dsr '[(n, 1 + (i == 9))]'
    fails run_sft n two.dsr
    has "record 9: its mask holds 2"
    fails run_sft n two.dsr --mask language
    has "'language' holds utf8"
    fails run_sft n two.dsr --mask other
    has "no column 'other'"
    run_sft n two.dsr --mask none
    dsver init >/dev/null
    dsver commit -m short short short.dsr >/dev/null
    fails run_sft n2 short
    has "'short'" "record 9"
}

@test "another layout of the store, and the data as a file: the same bits" {
    need_python
    sft a.dsr '[(n // 2, 0), (n - n // 2, 1)]'
    sft b.dsr '[(n // 3, 0), (n - n // 3, 1)]'
    mkdir one two
    for s in one two; do (cd $s && dsver init >/dev/null); done
    (cd one && dsver commit -m a a ../a.dsr >/dev/null)
    # in the second store the version is deltas of another, in packs of its own, after what was swept away
    (cd two && dsver commit -m b a ../b.dsr >/dev/null && dsver commit -m c c "$F/text.dsr" >/dev/null &&
        dsver commit -m a a ../a.dsr >/dev/null && dsver gc >/dev/null)
    run_sft r1 a --store one
    run_sft r2 a --store two
    [ "$(sum_of r1)" = "$(sum_of r2)" ]
    cp -R two three
    run_sft r3 a --store three
    [ "$(sum_of r1)" = "$(sum_of r3)" ]
    # each is found good with the other store, by its root
    exits 0 dsver audit --store two r1/step-000004
    exits 0 dsver audit --store one r2/step-000004
}

@test "weights: shares of the tokens, audited, replayed" {
    need_python
    dsver init >/dev/null
    sft a.dsr '[(n // 2, 0), (n - n // 2, 1)]'
    sed -n '1,40p' "$F/text.txt" >b.txt
    dsprep text -q --split line b.txt | dsprep tokenize -q -t "$F/tok.json" -o b.dsr
    dsver commit -m a a a.dsr >/dev/null
    dsver commit -m b b b.dsr >/dev/null
    run_sft r a --data b --weights 0.75,.25 --steps 12 --checkpoint-every 6
    run_sft again a --data b --weights 3,1 --steps 12 --checkpoint-every 6 --batch 2 --accumulate 2
    [ "$(sum_of r)" = "$(sum_of again)" ]
    grep -q '"mask":"loss","weight":3}.*"weight":1}' r/step-000012/lineage.json
    exits 0 dsver audit --json --store . r/step-000012
    has '"failed":0,"unchecked":0' '"type":"consumed","first":7,"last":12' '"name":"language","values":[["de",'
    echo "$output" | sed -n 's/.*"consumed".*"tokens":\([0-9]*\),.*"tokens":\([0-9]*\),.*/\1 \2/p' |
        awk '{ n++; r = $1 / $2; if (r < 2.3 || r > 3.9) { print r; exit 1 } } END { exit n != 1 }'
    for c in r/step-000006 r/step-000012; do exits 0 checker .dsver $c; done
    exits 0 dstrain replay r/step-000012 --from 6 --model "$F/base" --store .
    exits 0 dsver seen --store . a r007
    run_sft plain a --data b --steps 12
    [ "$(sum_of plain)" != "$(sum_of r)" ]
    exits 2 run_sft n a --data b --weights 1
    has "1 for 2 datasets"
    exits 2 run_sft n a --data b --weights 1,x
    has "number 2"
    exits 2 run_sft n a --data b --weights 1,0
}

@test "a prompt and its answer: from text to the audit" {
    dsver init >/dev/null
    for i in 0 1 2 3 4 5 6 7 8 9; do
        echo "{\"id\":\"q$i\",\"question\":\"who sees the cat $i?\",\"text\":\"the dog sees the cat.\",\"label\":\"<$((i % 3))>\"}"
    done >qa.jsonl
    dsprep text -q --key-field id qa.jsonl | dsprep tokenize -q -t "$F/tok.json" --prompt meta.question --response text \
        --separator ' ' | dsver commit -m qa qa >/dev/null
    run_sft r qa --steps 6 --checkpoint-every 3 --seq-len 64
    exits 0 dsver audit --store . r/step-000006
    has "under their loss mask" "ok consumed: steps 4 to 6: qa "
    dsver batch --store . r 1 >b
    # the question in brackets, the answer and the end of the text outside
    ids=$(printf %s 'the dog sees the cat.' | dstok encode -t "$F/tok.json" --no-special -)
    grep -qE "\[[0-9 ]+\] $ids( [0-9]+)?\$" b
    exits 0 dstrain replay r/step-000006 --from 3 --model "$F/base" --store .
    exits 0 dsver seen --store . qa q7
    dstrain report r -o r.html >/dev/null
    grep -q 'meta.label: .*&lt;0&gt; [0-9]' r.html
    grep -q '<td>4–6</td><td>qa</td>' r.html
    # what an erased record was labelled is not known any more; the rest is still counted
    exits 0 dsver forget --store . --reason asked q7
    has "consumed at step"
    exits 0 dsver audit --store . r/step-000006
    has "with records erased" "ok consumed: steps 4 to 6: qa " "of erased records: as told"
    run_sft s qa --steps 1
    grep -q '"mask":"loss","erased":\[\[[0-9]*,1\]\]}' s/step-000001/lineage.json
    exits 0 dstrain replay s/step-000001 --store .
}

@test "going back: what is abandoned is kept, verified, and told" {
    need_python
    dsver init >/dev/null
    sft a.dsr '[(n // 2, 0), (n - n // 2, 1)]'
    dsver commit -m a a a.dsr >/dev/null
    run_sft r a --steps 8 --checkpoint-every 2
    weights r/step-000008 >w
    fails run_sft r a --steps 8 --checkpoint-every 2 --resume r/step-000004
    has "r holds step-00000" "--abandon"
    run_sft r a --steps 8 --checkpoint-every 2 --resume r/step-000004 --abandon
    weights r/step-000008 | cmp - w
    [ -s r/abandoned/0001-from-000004/step-000008/lineage.json ]
    [ -s r/step-000008/abandoned/0001-from-000004/ledger-000007-000008.dsr ]
    exits 0 dsver audit --store . r/step-000008
    has "ok abandoned: stretch 1: steps 5 to 8, 16 rows that follow step 4"
    exits 0 dsver audit --store . r/abandoned/0001-from-000004/step-000008
    # again, from before the first departure
    run_sft r a --steps 8 --checkpoint-every 2 --resume r/step-000002 --abandon
    exits 0 dsver audit --store . r/step-000006
    has "stretch 1: steps 5 to 8" "stretch 2: steps 3 to 8, 24 rows that follow step 2"
    for c in r/step-000002 r/step-000004 r/step-000008; do exits 0 checker .dsver $c; done
    has "ok abandoned 2" "ok abandoned 1"
    exits 0 dsver audit --store . r/step-000008
    weights r/step-000008 | cmp - w
    exits 0 dsver seen --store . a r007
    has "first in step-" "abandoned after step 2"
    exits 0 dsver seen --json --store . a r007
    has '"abandoned":{"stretch":2,"from":2}'
    exits 0 dsver forget -n --store . r007
    has "of what it went back from; consumed at step" "tainted: step-"
    exits 0 dsver fsck --store .
    # an edited row of a stretch
    cp -r r/step-000008 lie
    flip lie/abandoned/0001-from-000004/ledger-000005-000006.dsr 700
    dsver audit --store . lie >out 2>&1 && return 1
    grep -q 'FAILED abandoned' out
    rm -r lie && cp -r r/step-000008 lie && rm lie/abandoned/0002-from-000002/ledger-000005-000006.dsr
    fails dsver audit --store . lie
    has "FAILED abandoned" "begins with step 5 belongs here"
    rm -r lie && cp -r r/step-000008 lie && mv lie/abandoned/0002-from-000002 lie/abandoned/0002-from-000001
    fails dsver audit --store . lie
    has "FAILED abandoned"
}

@test "a run that fails leaves its rows to the stretch of the resume" {
    need_python
    sft a.dsr '[(n // 2, 0), (n - n // 2, 1)]'
    run_sft whole a.dsr --batch 1 --steps 40 --checkpoint-every 18
    # Something stands where the second checkpoint is to be written. It is put there after the first step; a pipe of one page keeps the
    # run from being there before.
    python3 -c '
import fcntl, os, subprocess, sys
r, w = os.pipe()
fcntl.fcntl(w, 1031, 4096)
p = subprocess.Popen(sys.argv[1:], stdout=w)
os.close(w)
os.read(r, 1)
os.makedirs("r/step-000036/in the way")
while os.read(r, 65536):
    pass
sys.exit(p.wait())' dstrain finetune --model "$F/base" --data a.dsr --seq-len 32 --batch 1 --steps 40 --checkpoint-every 18 --lr 1e-3 \
        --rank 4 -j 2 -q --json -o r && return 1
    [ -s r/step-000018/lineage.json ]
    [ ! -e r/step-000036/lineage.json ]
    [ -s r/ledger/ledger-000019-000036.dsr ]
    rm -r r/step-000036
    run_sft r a.dsr --batch 1 --steps 40 --checkpoint-every 18 --resume r/step-000018
    [ -s r/step-000040/abandoned/0001-from-000018/ledger-000019-000036.dsr ]
    weights whole/step-000040 >w
    weights r/step-000040 | cmp - w
    exits 0 dsver audit --data a.dsr r/step-000040
    has "ok abandoned: stretch 1: steps 19 to 36"
}

@test "data that does not fit the model is refused before the first step" {
    need_python
    sft a.dsr 'None' 3
    fails run_sft r a.dsr
    has "'a.dsr', record 3: token 5000 is not in the model's vocabulary"
    [ ! -e r/step-000004 ]
    [ ! -e r/ledger ]
    sft b.dsr 'None'
    fails run_sft r b.dsr --long error --seq-len 24 --window 2
    has "'b.dsr', record" "has 2" "a row holds 24"
    [ ! -e r/ledger ]
}

@test "what was erased before a run is left out of it, and told; a run of before reads zeros, and so it says" {
    need_python
    mkdir e && dsver init e >/dev/null
    dsver commit --store e -m m docs "$F/text.dsr" >/dev/null 2>&1
    of_e() { dstrain finetune --model "$F/base" --store e --data docs --seq-len 32 --batch 4 --rank 4 -j 2 "$@"; }
    of_e --steps 4 --checkpoint-every 2 -q -o r >/dev/null
    exits 0 dstrain replay --store e r/step-000002
    dsver batch --store e r 1 >b
    key=$(sed -n 's/.* key \([^ ]*\) tokens.*/\1/p' b | head -n 1)
    next=$(sed -n 's/.* key \([^ ]*\) tokens.*/\1/p' b | sed -n 2p)
    cp -r e whole
    dsver forget --store e --reason "request 7" "$key" >/dev/null
    exits 1 dstrain replay --store e r/step-000002
    has "r/step-000002: not the same: step 1: " "; records of 'docs' were erased since"
    exits 0 of_e --steps 4 --checkpoint-every 2 --resume r/step-000002 --abandon -o r
    has "'docs': 1 record was erased since the run began: where they stood, nothing is learnt"
    exits 0 dsver audit --store e r/step-000004
    # a step that is nothing else has the loss 0, and a gradient of zeros
    cp -r e other
    lone() { of_e --store other --batch 1 --window 1 --steps 3 --checkpoint-every 2 -q "$@" -o l >/dev/null; }
    lone
    dsver forget --store other --reason asked "$(dsver batch --store other l 3 | sed -n 's/.* key \([^ ]*\) tokens.*/\1/p')" >/dev/null
    lone --resume l/step-000002 --abandon
    tail -n 3 l/metrics.jsonl | grep -q '"step":3,"loss":0,"lr":[^,]*,"norm":0,'
    exits 0 dsver audit --store other l/step-000003
    exits 0 of_e --steps 2 --checkpoint-every 1 -o s
    has "'docs': 1 record was erased, and left out"
    grep -q '"records":80,"erased":\[\[[0-9]*,1\]\]}\],"seed"' s/step-000002/lineage.json
    dsver batch --store e s 1 | cmp -s - b && return 1
    # where nothing is known of the erasure, that is what is wrong: order and ledger are those of the description
    exits 1 dsver audit --store whole s/step-000002
    has "FAILED dataset docs: record" "was left out as erased before the run, and it is not erased here" "ok order" "ok ledger"
    exits 1 checker whole/.dsver s/step-000002
    has "FAILED dataset docs: record" "was left out as erased, and is there" "ok order" "ok ledger"
    # what is erased afterwards changes nothing of what the run had left out
    dsver forget --store e --reason "request 8" "$next" >/dev/null
    exits 0 dsver audit --store e s/step-000002
    has "1 record erased before the run and left out"
    exits 1 dstrain replay --store e s/step-000002
    has "; records of 'docs' were erased since"
    exits 0 of_e --steps 2 --checkpoint-every 1 --resume s/step-000001 --abandon -o s
    has "'docs': 1 record was erased, and left out" "'docs': 1 record was erased since the run began"
    exits 0 of_e --steps 1 -o t
    has "'docs': 2 records were erased, and left out"
    exits 0 dstrain replay --store e t/step-000001
    exits 0 dstrain finetune --model "$F/base" --store "$F" --data docs --seq-len 32 --steps 1 -o u
    ! has "erased" || return 1
}

@test "gc beside a run leaves it the version that it reads" {
    mkdir s && cd s
    dsver init >/dev/null
    sentences 400 3 | dsprep text -q --split line - | dsprep tokenize -q -t "$F/tok.json" -o gone.dsr
    dsver commit -m first docs "$F/text.dsr" >/dev/null
    dsver commit -b trial -m trial docs gone.dsr >/dev/null
    cp -r .dsver ../whole.dsver && mkdir ../w && mv ../whole.dsver ../w/.dsver
    set -- finetune --model "$F/base" --data docs@trial --seq-len 32 --batch 4 --steps 80 --rank 4 -j 1 --json -q
    dstrain "$@" --store ../w -o whole >/dev/null # in another store: this one must not know of a run
    # shellcheck disable=SC2016
    held 'dsver branch -d docs trial >/dev/null; dsver gc --grace 0 --json >during; ls .dsver/locks/readers >pins' \
        dstrain "$@" --store . -o r >/dev/null
    grep -q '"dead":0' during
    [ "$(wc -l <pins)" -eq 1 ]
    diff -r --exclude lineage.json whole/step-000080 r/step-000080
    # the run is over, and with it the pin; the run in the catalog still leads to the version
    [ -z "$(ls .dsver/locks/readers)" ]
    dsver audit r/step-000080 >/dev/null
}
