#!/usr/bin/env bats
# dsprep mix: shares, seeds, what happens at the end of an input, and accounts that add up.

load dsprep_common

# records NAME N: NAME.dsr of N records with keys NAME0, NAME1, ...
records() {
    awk -v n="$1" -v m="$2" 'BEGIN { for (i = 0; i < m; i++)
        printf "{\"id\":\"%s%d\",\"text\":\"%s %d\",\"n\":%d}\n", n, i, n, i, i % 5 }' >"$1.jsonl"
    dsprep text -q --key-field id "$1.jsonl" >"$1.dsr"
}

keys() { dsprep cat -c key "$@" | jq -r .key; }

@test "mix: by share, as an independent reckoning has it; inputs keep their order" {
    records a 900
    records b 400
    records c 50
    exits 0 dsprep mix a.dsr=0.5 b.dsr=0.375 c.dsr=0.125 -o m.dsr
    dsprep check m.dsr
    awk 'BEGIN { w["a"] = 4; w["b"] = 3; w["c"] = 1; m["a"] = 900; m["b"] = 400; m["c"] = 50
        for (;;) { best = "a"
            if (t["b"] * w[best] < t[best] * w["b"]) best = "b"
            if (t["c"] * w[best] < t[best] * w["c"]) best = "c"
            if (t[best] == m[best]) exit
            print best t[best]++ + 0 } }' >want
    keys m.dsr | cmp - want
    has "$(wc -l <want) output" '1350 input' 'not_drawn' 'c: 50 of 50 records, share 0.12'
    # What was left is in the end frame, and the provenance says what was done.
    [ "$(dsprep info --json m.dsr | jq '.records + (.held | add)')" = 1350 ]
    dsprep info --json m.dsr | jq -ce '.provenance[-1].options.inputs[1] == {"name":"b","weight":3}'
    [ "$(dsprep info --json m.dsr | jq '.sources')" = 3 ]
    exits 0 dsprep mix -q --when-dry rest a.dsr=0.5 b.dsr=0.375 c.dsr=0.125 -o r.dsr
    for i in a b c; do keys $i.dsr; done | sort | cmp - <(keys r.dsr | sort)
    head -n "$(wc -l <want)" <(keys r.dsr) | cmp - want
    # Origins still lead to where a record came from.
    dsprep info --sources r.dsr | grep -o '[abc][.]jsonl' | tr '\n' ' ' | grep -q 'a.jsonl b.jsonl c.jsonl'
    dsprep cat --origin r.dsr | jq -c '[.key, .origin[0][1:]]' | sort >got
    for i in a b c; do dsprep cat --origin $i.dsr; done | jq -c '[.key, .origin[0][1:]]' | sort | cmp - got
    dsprep cat --origin r.dsr | jq -r '.key[:1] + " \(.origin[0][0])"' | sort -u | tr '\n' ' ' | grep -qx 'a 0 b 1 c 2 '
}

@test "mix: drawn by a seed as the manual says, the same from files and pipes" {
    records a 300
    records b 300
    dsprep mix -q --seed 7 --when-dry rest a.dsr=1 b.dsr=2 >m.dsr
    dsprep mix -q --seed 7 --when-dry rest a.dsr=1 /dev/stdin=2 --names a,b <b.dsr | cmp - m.dsr
    dsprep mix -q --seed 8 --when-dry rest a.dsr=1 b.dsr=2 | cmp -s - m.dsr && return 1
    local i h
    for i in $(seq 0 40); do
        h=$(printf "7\\0mix\\0\\0\\0\\0\\0\\0\\0\\0\\x$(printf %02x "$i")" | sha256sum | cut -c1-2)
        [ $((16#$h)) = 85 ] && break # too near to a third to tell by one byte
        [ $((16#$h)) -lt 85 ] && echo a || echo b
    done >want
    [ "$(wc -l <want)" -gt 5 ]
    keys m.dsr | head -n "$(wc -l <want)" | tr -d 0-9 | cmp - want
}

@test "mix: repeat, epochs, caps, counts, and shares of something else" {
    records a 100
    records b 10
    exits 0 dsprep mix --when-dry repeat a.dsr=1 b.dsr=1 -o m.dsr
    has 'b: 100 of 10 records, share 0.5' '10.00 epochs' '200 input = 200 output + 0 held'
    [ "$(keys m.dsr | sort -u | wc -l)" = 200 ]
    [ "$(keys m.dsr | grep '^b3' | tail -1)" = 'b3~10' ]
    exits 0 dsprep mix --when-dry repeat --max-epochs 2 a.dsr b.dsr -o m.dsr
    has 'b: 20 of 10 records' '120 output'
    exits 0 dsprep mix --when-dry repeat --count 450 a.dsr b.dsr -o m.dsr
    has 'a: 225 of 100 records' '450 output'
    dsprep mix -q --when-dry repeat --count 450 a.dsr b.dsr >m.dsr
    dsprep mix -q --when-dry repeat --count 450 a.dsr - --names a,b <b.dsr | cmp - m.dsr
    # What counts as nothing is always furthest behind: it is read once.
    dsprep map -q --set 'meta.n=0' b.dsr >zero.dsr
    exits 0 dsprep mix --when-dry repeat --by meta.n zero.dsr a.dsr -o m.dsr
    has 'zero: 10 of 10 records' 'a: 100 of 100 records' '110 output'
    exits 0 dsprep mix --when-dry repeat --by meta.none --count 500 a.dsr b.dsr -o m.dsr
    has '110 output'
    exits 0 dsprep mix --cap a=7 a.dsr b.dsr -o m.dsr
    has '17 output + 93 held: 93 cap'
    exits 0 dsprep mix --json --by 'meta.n * 10' --count 30 a.dsr=3 b.dsr -o m.dsr
    echo "$output" | jq -e '.output == 30 and .input == 110 and .held.not_drawn == 80 and (.inputs[0].share - 0.75 | fabs) < 0.05'
}

@test "mix: keys, columns and tokenizers that do not go together are refused by name" {
    records a 20
    records b 20
    exits 2 dsprep mix a.dsr a.dsr -o m.dsr
    has "called 'a'"
    exits 1 dsprep mix a.dsr a.dsr --names x,y -o m.dsr
    has 'is there twice' '--keys prefix'
    [ ! -e m.dsr ]
    exits 0 dsprep mix -q a.dsr a.dsr --names x,y --keys prefix --label from -o m.dsr
    [ "$(dsprep cat m.dsr | jq -r '.key + " " + .from' | sed -n 2p)" = 'y/a0 y' ]
    dsprep text -q --split line b.jsonl >d.dsr
    exits 1 dsprep mix a.dsr d.dsr -o m2.dsr
    has 'd.dsr' 'keys are derived'
    dsprep map -q --set 'n:f64=meta.n' a.dsr >af.dsr
    dsprep map -q --set 'n:i64=meta.n' b.dsr >bi.dsr
    exits 1 dsprep mix af.dsr bi.dsr -o m2.dsr
    has "bi.dsr: column 'n' is i64, and was f64"
    exits 0 dsprep mix -q af.dsr b.dsr -o m3.dsr
    [ "$(dsprep cat m3.dsr | jq -c '[.key, .n == 0]' | head -2 | tr '\n' ' ')" = '["a0",true] ["b0",false] ' ]
    dsprep tokenize -q -t "$TOKENIZER" a.dsr >at.dsr
    dsprep tokenize -q -t "$TOKENIZER" --no-special --eos none b.dsr >bt.dsr
    exits 0 dsprep mix -q at.dsr bt.dsr -o m4.dsr
    exits 2 dsprep mix a.dsr=0 b.dsr
    exits 2 dsprep mix a.dsr b.dsr --cap z=3
    exits 2 dsprep mix a.dsr b.dsr --max-epochs 3
    exits 1 dsprep mix a.dsr nothing
    head -c -40 b.dsr >cut.dsr
    exits 12 dsprep mix a.dsr=9 cut.dsr=1 --count 3 -o m5.dsr
    [ ! -e m5.dsr ]
}

@test "mix: a record that names source eight billion takes no memory for it, and is named" {
    command -v python3 >/dev/null || skip "python3 is missing"
    records a 3
    PYTHONPATH=$DS_ROOT/tests/compat python3 - >far.dsr <<'END'
import sys
import dsr
from dsrcol import Column, Schema
schema = Schema([Column("key", "utf8"), Column("text", "utf8")], ["text"])
sys.stdout.buffer.write(dsr.write(schema, [[b"k%d" % i, b"t"] for i in range(3)],
                                  origins=[[(0, 0, 1)], [(8000000000, 0, 1)], [(2**62, 0, 1)]], sources=[(b"s", 3, bytes(32))]))
END
    exits 12 dsprep mix --when-dry rest far.dsr a.dsr -o m.dsr
    has 'far: a record names source 8000000000, which it does not describe'
    [ ! -e m.dsr ]
}

@test "mix: versions of a store, by commit and root" {
    command -v dsver >/dev/null || skip "no dsver beside dsprep"
    export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@e GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@e HOME=$PWD
    records a 30
    records b 30
    dsver init
    dsver commit -m one web <a.dsr
    dsver commit -m two books <b.dsr
    exits 0 dsprep mix web@main=2 books=1 -o m.dsr
    dsprep mix -q a.dsr=2 b.dsr=1 --names web,books -o f.dsr
    [ "$(dsprep check m.dsr | sed 's/.*root//')" = "$(dsprep check f.dsr | sed 's/.*root//')" ]
    dsprep info --json m.dsr | jq -r '.provenance[-1].options.inputs[0] | .version + " " + .root' >got
    dsver show --json web | jq -r '"web@" + .commit + " " + .root' | cmp - got
    dsprep mix -q --when-dry repeat web=1 books=1 --count 100 | dsver commit mixed
    exits 1 dsver rebuild mixed --source a.jsonl
    has 'dsprep mix'
    exits 1 dsprep mix web nowhere
    has 'nowhere: no such file, and dsver finds no version'
    # why not is a part of that, and no line of another program beside it
    exits 1 dsprep mix --json nowhere
    jq -es 'length == 1 and .[0].code == 1 and (.[0].error | test("finds no version of that name: no (store|dataset)"))' <<<"$output"
}
