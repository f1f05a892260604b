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
    has 'standard input: ends at byte 300' # not the copy that is read
    exits 12 dsprep dedup --parts line -o k.dsr --rejects r.dsr <cut.dsr
    has 'standard input: ends at byte 300'
    exits 12 dsprep sample -n 2 -o k.dsr <cut.dsr
    has 'standard input: ends at byte 300'
    [ ! -e k.dsr ]
    [ ! -e r.dsr ]
    [ -z "$(ls tmp)" ]
    exits 2 dsprep dedup -c nosuch s.dsr
}

pages() {
    printf '%s\n' '{"id":"a","text":"Home | About\nThe valve was replaced.\n\nCopyright 2024 Acme"}' \
        '{"id":"b","text":"Home | About\r\nBearing 7 runs hot.\r\n\r\n  Copyright 2024 Acme"}' \
        '{"id":"c","text":"Home | About\nCopyright 2024 Acme\n"}' '{"id":"d","text":""}' \
        '{"id":"e","text":"home about\nCopyright 2025 ACME!\nx\n\nx\nx"}' '{"id":"f","text":"\n"}' >p.jsonl
    dsprep text -q --key-field id p.jsonl >p.dsr
}

# left OPTION...: keys and texts of what dedup leaves of p.dsr.
left() { dsprep dedup -q "$@" p.dsr | dsprep cat | jq -r '.key + "=" + (.text | @json)' | tr '\n' ' '; }

@test "dedup: lines and paragraphs that stood before are cut; nothing left is held, and all is counted" {
    pages
    local a='a="Home | About\nThe valve was replaced.\n\nCopyright 2024 Acme"' c='c="Home | About\nCopyright 2024 Acme\n"' e='e="home about\nCopyright 2025 ACME!'
    exits 0 dsprep dedup --parts line --rejects r.dsr -o k.dsr p.dsr
    has '6 input = 5 output + 1 held: 1 nothing_left' '6 of 13 parts stood before, 77 bytes, in 3 records'
    [ "$(dsprep cat -c reason,note r.dsr)" = '{"key":"c","reason":"nothing_left","note":"2 parts, 33 bytes"}' ]
    [ "$(dsprep cat -c text r.dsr | jq -r .text)" = "$(sed -n 3p p.jsonl | jq -r .text)" ]
    dsprep check k.dsr
    [ "$(left --parts line)" = "$a b=\"Bearing 7 runs hot.\" d=\"\" $e\nx\" f=\"\n\" " ]
    [ "$(left --parts line --min-chars 2)" = "$a b=\"Bearing 7 runs hot.\" d=\"\" $e\nx\n\nx\nx\" f=\"\n\" " ]
    [ "$(left --parts line --near)" = "$a b=\"Bearing 7 runs hot.\" d=\"\" e=\"x\" f=\"\n\" " ]
    [ "$(left --parts paragraph)" = "$a b=\"Home | About\r\nBearing 7 runs hot.\" $c d=\"\" $e\nx\n\nx\nx\" f=\"\n\" " ]
    [ "$(dsprep dedup -q --parts line --mark p.dsr | dsprep cat | jq -c '.duplicate_share * 100 | round' | tr '\n' ' ')" = '0 60 100 0 8 0 ' ]
    head -n 1 p.jsonl | dsprep text -q --key-field id --format jsonl - >o.dsr
    sed -n '2,$p' p.jsonl | dsprep text -q --key-field id --format jsonl - >n.dsr
    [ "$(dsprep dedup -q --parts line --against o.dsr n.dsr | dsprep cat --no-key)" = "$(dsprep dedup -q --parts line p.dsr | dsprep cat --no-key | sed 1d)" ]
    [ "$(dsprep dedup --json --parts line p.dsr 2>&1 >k.dsr | jq -c .cut)" = '{"parts":6,"of_parts":13,"bytes":77,"records":3}' ]
}

# nwords FROM N: N words that are no other's.
nwords() { seq -f "w%.0f" -s ' ' "$1" $(($1 + $2 - 1)) | sed 'y/0123456789/abcdefghij/'; }

@test "dedup: runs of words that stood before are cut, whatever stands around them" {
    local run again
    run=$(nwords 100 8) again=$(echo "${run^^}" | sed 's/ /, /g')
    printf '{"id":"%s","text":"%s"}\n' a "$(nwords 200 9) $run $(nwords 300 9)" b "$(nwords 400 3) ($again). $(nwords 500 2)" \
        c "$(nwords 100 7) $(nwords 600 2)" d "$run" e "ja ja ja ja ja ja ja ja ja ja ja ja ja ja ja ja ja ja ja ja" >p.jsonl
    dsprep text -q --key-field id p.jsonl >p.dsr
    [ "$(left --parts words=8)" = "a=\"$(nwords 200 9) $run $(nwords 300 9)\" b=\"$(nwords 400 3) ($(nwords 500 2)\" c=\"$(nwords 100 7) $(nwords 600 2)\" e=\"ja ja ja ja ja ja ja ja\" " ]
    [ "$(left --parts words=9 | grep -c "b=\"$(nwords 400 3) ($again)")" -eq 1 ]
    exits 2 dsprep dedup --parts words=4 p.dsr
    has 'line, paragraph or words=N, with N from 5 to 100000'
    exits 2 dsprep dedup --parts words=8 --min-chars 5 p.dsr
    exits 2 dsprep dedup --parts line --bands 5 p.dsr
    exits 2 dsprep dedup --min-chars 5 p.dsr
    exits 2 dsprep dedup --near --bands 4096 --rows 5 p.dsr
}

@test "dedup: how many records the one that stays stands for" {
    some
    [ "$(dsprep dedup -q --near --count copies s.dsr | dsprep cat | jq -r '.key + (.copies | tostring)' | tr '\n' ' ')" = 'a3 b2 e1 g1 j1 k1 ' ]
    [ "$(dsprep dedup -q --count copies s.dsr | dsprep cat | jq -r '.key + (.copies | tostring)' | tr '\n' ' ')" = 'a2 b1 d1 e2 f1 j1 k1 ' ]
    [ "$(dsprep dedup -q --near --mark --count n s.dsr | dsprep cat | jq -r '.key + (.n | tostring)' | tr '\n' ' ')" = 'a3 b2 c3 d3 e1 f2 g1 j1 k1 ' ]
    head -n 2 s.jsonl | dsprep text -q --key-field id --format jsonl - >o.dsr
    [ "$(dsprep dedup -q --count n --against o.dsr s.dsr | dsprep cat | jq -r '.key + (.n | tostring)' | tr '\n' ' ')" = 'd1 e2 f1 j1 k1 ' ]
    exits 2 dsprep dedup --parts line --count n s.dsr
}

@test "dedup: bands and rows decide which similarity is found" {
    printf '{"id":"%s","text":"%s"}\n' a "$(nwords 100 60)" b "$(nwords 100 40) $(nwords 500 20)" c "$(nwords 900 60)" >p.jsonl
    dsprep text -q --key-field id p.jsonl >p.dsr
    [ "$(keys <(dsprep dedup -q --near p.dsr))" = abc ]
    [ "$(keys <(dsprep dedup -q --near --bands 300 --rows 3 p.dsr))" = ac ]
    [ "$(keys <(dsprep dedup -q --near --bands 3 --rows 3 --words 50 p.dsr))" = abc ]
    dsprep dedup -q --near --bands 14 --rows 8 --words 5 p.dsr | cmp - <(dsprep dedup -q --near p.dsr)
}

@test "dedup: parts are the same for any threads and memory, from a pipe and from shards" {
    mkdir d
    { lines 3000; lines 4000 | sed 's/^line [0-9]* //'; lines 500; } | awk '{ printf "%s%s", $0, NR % 7 ? "\n" : "\n\n" }' >t.txt
    dsprep text -q --split bytes=900 t.txt >s.dsr
    dsprep text -q --split bytes=900 --shard-size 64K -o d t.txt
    local how
    for how in line paragraph words=6; do
        dsprep dedup -q --parts $how -j 1 s.dsr >one.dsr
        dsprep dedup -q --parts $how -j 8 -m 1M <s.dsr >eight.dsr
        cmp one.dsr eight.dsr
        dsprep check one.dsr
        dsprep dedup -q --parts $how d | dsprep cat -c text | cmp - <(dsprep cat -c text one.dsr)
    done
    # Each line stays once, where it stood first.
    tidy() { dsprep cat -c text "$@" | jq -r .text | sed 's/^ *//; s/ *$//' | grep -v '^$'; }
    dsprep dedup -q --parts line s.dsr | tidy | cmp - <(tidy s.dsr | awk '!seen[$0]++')
}
