#!/usr/bin/env bats
# dsprep cat: records as JSON lines.

load dsprep_common

@test "cat: golden streams give the recorded lines, with any number of threads" {
    local f n=0
    for f in "$GOLDEN"/*.dsr; do
        [ -e "${f%.dsr}.jsonl" ] || continue
        dsprep cat -j 1 "$f" >one
        cmp one "${f%.dsr}.jsonl"
        dsprep cat -j 8 <"$f" >eight
        cmp one eight
        n=$((n + 1))
    done
    [ "$n" -ge 5 ]
}

@test "cat: text comes back as it was" {
    stream 5000
    dsprep cat --no-key -c text s.dsr >out
    sed 's/.*/{"text":"&"}/' lines.txt >want
    cmp out want
}

@test "cat: columns and keys are chosen" {
    printf '{"id":"b","text":"x \\"q\\" \\u0001","n":1.50}\n{"id":"a","text":"\\u00e9","n":[1, 2]}\n' >in.jsonl
    dsprep text -q --key-field id in.jsonl >s.dsr
    exits 0 dsprep cat s.dsr
    has '{"key":"b","text":"x \"q\" \u0001"' '{"key":"a","text":"é"' '1.50' '[1,2]'
    exits 0 dsprep cat -c text s.dsr
    [ "${lines[1]}" = '{"key":"a","text":"é"}' ]
    exits 0 dsprep cat --no-key -c text s.dsr
    [ "${lines[1]}" = '{"text":"é"}' ]
    exits 0 dsprep cat -c key s.dsr
    [ "${lines[0]}" = '{"key":"b"}' ]
    exits 2 dsprep cat -c nothing s.dsr
    has nothing
    exits 2 dsprep cat --data --digests s.dsr
}

@test "cat: tensors as digests or as data" {
    dsprep cat "$GOLDEN/pieces.dsr" >digests
    dsprep cat --digests "$GOLDEN/pieces.dsr" | cmp - digests
    dsprep cat --data -j 1 "$GOLDEN/pieces.dsr" >one
    dsprep cat --data -j 8 "$GOLDEN/pieces.dsr" >eight
    cmp one eight
    grep -q '"data":"' one
    # The data of the second record has the digest that is shown for it.
    sed -n 2p one | sed 's/.*"data":"//; s/".*//' | base64 -d | sha256sum | cut -c 1-64 >sum
    sed -n 2p digests | grep -qF "$(cat sum)"
}

@test "cat: origins, counted on over several files" {
    printf 'one\n' >a
    printf 'three\n' >b
    dsprep text -q --format text a b >s.dsr
    exits 0 dsprep cat --origin --no-key s.dsr
    [ "${#lines[@]}" -eq 2 ]
    has '"origin":[[0,0,4]]' '"origin":[[1,0,6]]'
    exits 0 dsprep cat --origin --no-key s.dsr s.dsr
    has '"origin":[[2,0,4]]' '"origin":[[3,0,6]]'
    stream 5000
    dsprep cat --origin -j 1 s.dsr >one
    dsprep cat --origin -j 8 s.dsr >eight
    cmp one eight
    # Offset and length point at the line in the source.
    local range
    range=$(sed -n 4321p one | sed 's/.*"origin":\[\[0,//; s/\]\].*//')
    [ "$(tail -c +$((${range%,*} + 1)) lines.txt | head -c "${range#*,}")" = "$(sed -n 4321p lines.txt)" ]
}

@test "cat: files in order, as one" {
    lines 40 | head -n 20 >a
    lines 40 | tail -n 20 >b
    dsprep text -q --format text --split line a >a.dsr
    dsprep text -q --format text --split line b >b.dsr
    dsprep cat a.dsr b.dsr >ab
    dsprep cat a.dsr >want
    dsprep cat - <b.dsr >>want
    cmp ab want
    [ "$(wc -l <ab)" -eq 40 ]
}

@test "cat: what is broken ends in failure, after what came before it" {
    stream 6000
    dsprep cat s.dsr >all
    head -c $(($(stat -c %s s.dsr) * 3 / 4)) s.dsr >t.dsr
    local j
    for j in 1 8; do
        run bash -c "dsprep cat -j $j t.dsr >out 2>err"
        [ "$status" -eq 12 ]
        grep -q t.dsr err
        [ -s out ]
        cmp out <(head -c "$(stat -c %s out)" all)
        [ "$(tail -c 1 out)" = "" ]
        cp out out.$j
    done
    cmp out.1 out.8
    exits 12 dsprep cat </dev/null
    exits 1 dsprep cat "$GOLDEN/aborted.dsr"
    run bash -c '{ head -c 100000 s.dsr; kill -9 $BASHPID; } | dsprep cat >/dev/null'
    [ "$status" -eq 12 ]
}

@test "cat: an output that takes nothing, and one that is closed" {
    stream 6000
    exits 13 bash -c 'dsprep cat s.dsr >/dev/full'
    run bash -c 'dsprep cat s.dsr | head -n 1 | wc -l; echo "${PIPESTATUS[0]}"'
    [ "${lines[0]}" -eq 1 ]
    [ "${lines[1]}" -eq 141 ]
}

@test "cat: a stream without records" {
    : >empty.jsonl
    dsprep text -q empty.jsonl >s.dsr
    exits 0 dsprep cat s.dsr
    [ -z "$output" ]
}
