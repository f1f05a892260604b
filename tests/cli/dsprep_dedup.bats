#!/usr/bin/env bats
# dsprep dedup: the first of what is the same stays; near duplicates are found as often as theory says.

load dsprep_common

some() {
    cat >s.jsonl <<'END'
{"id":"a","text":"The valve was replaced on Monday, and the pump runs again without noise."}
{"id":"b","text":"Bearing 7 runs hot."}
{"id":"c","text":"The valve was replaced on Monday, and the pump runs again without noise."}
{"id":"d","text":"the VALVE was replaced: on Monday and the pump runs again without noise"}
{"id":"e","text":""}
{"id":"f","text":"Bearing 12 runs hot!"}
{"id":"g","text":""}
{"id":"j","text":"..."}
{"id":"k","text":"!!"}
END
    dsprep text -q --key-field id s.jsonl >s.dsr
}

keys() { dsprep cat -c key "$@" | sed 's/.*"key":"\([^"]*\)".*/\1/' | tr -d '\n'; }

@test "dedup: exact, the first stays, and rejects name it" {
    some
    dsprep dedup --rejects r.dsr s.dsr >k.dsr 2>err
    [ "$(cat err)" = 'dsprep dedup: 9 input = 7 output + 2 held: 2 duplicate' ]
    [ "$(keys k.dsr)" = abdefjk ]
    [ "$(dsprep cat -c reason,note r.dsr | tr -d '\n')" = '{"key":"c","reason":"duplicate","note":"a"}{"key":"g","reason":"duplicate","note":"e"}' ]
    dsprep check k.dsr
    exits 0 dsprep info --json k.dsr
    has '"dedup: duplicate":2' '"tool":"dsprep dedup"'
}

@test "dedup: near, marks, derived keys" {
    some
    [ "$(dsprep dedup -q --near s.dsr | dsprep cat -c key | wc -l)" -eq 6 ]
    [ "$(keys <(dsprep dedup -q --near s.dsr))" = abegjk ]
    [ "$(dsprep dedup -q --near --mark s.dsr | dsprep cat -c duplicate_of | grep -o '"duplicate_of":"."' | tr '\n' ' ')" = '"duplicate_of":"a" "duplicate_of":"a" "duplicate_of":"b" ' ]
    dsprep text -q s.jsonl | dsprep dedup -q --mark | dsprep cat -c duplicate_of >out
    [ "$(sed -n 3p out | jq -r .duplicate_of)" = "$(sed -n 1p out | jq -r .key)" ]
}

@test "dedup: against records that are elsewhere" {
    some
    head -n 2 s.jsonl >old.jsonl
    dsprep text -q --key-field id old.jsonl >old.dsr
    exits 0 dsprep dedup --near --against <(cat old.dsr) --rejects r.dsr -o k.dsr s.dsr
    has '5 held: 5 against'
    [ "$(keys k.dsr)" = egjk ]
    fails dsprep dedup --against nosuch.dsr s.dsr
    has 'nosuch.dsr'
}

@test "dedup: the same bytes for any threads and memory, from a pipe and from shards" {
    mkdir d
    lines 6000 | sed 's/^line [0-9]* //' >a.txt
    { cat a.txt; head -n 500 a.txt | sed 's/$/ and more/'; head -n 700 a.txt; } >b.txt
    dsprep text -q --split line b.txt >s.dsr
    dsprep text -q --split line --shard-size 64K -o d b.txt
    [ -e d/shard-00001.dsr ]
    dsprep dedup -q --near -j 1 s.dsr >one.dsr
    dsprep dedup -q --near -j 8 -m 1M <s.dsr >eight.dsr
    cmp one.dsr eight.dsr
    dsprep check one.dsr
    dsprep dedup -q --near d | dsprep cat -c text >shards
    dsprep cat -c text one.dsr | cmp - shards
    dsprep dedup -q <s.dsr | dsprep cat --no-key -c text >exact
    [ "$(wc -l <exact)" -eq "$(sort -u b.txt | wc -l)" ]
}

@test "dedup: a broken input leaves no output and no temporary" {
    some
    head -c 300 s.dsr >cut.dsr
    mkdir tmp
    TMPDIR=$PWD/tmp exits 12 dsprep dedup --near -o k.dsr --rejects r.dsr <cut.dsr
    [ ! -e k.dsr ]
    [ ! -e r.dsr ]
    [ -z "$(ls tmp)" ]
    exits 2 dsprep dedup -c nosuch s.dsr
}
