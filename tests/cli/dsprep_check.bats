#!/usr/bin/env bats
# dsprep check: a stream is whole and sound, or the command says where it is not.

load dsprep_common

@test "check: golden streams have the roots that were recorded" {
    local f n=0
    for f in "$GOLDEN"/*.dsr; do
        case $f in */aborted.dsr) continue ;; esac
        exits 0 dsprep check "$f"
        grep -qF "$(echo "$output" | sed 's/.*root //')" "$GOLDEN/roots"
        n=$((n + 1))
    done
    [ "$n" -ge 5 ]
}

@test "check: one line a file, the same for any number of threads" {
    stream 6000
    exits 0 dsprep check -j 1 s.dsr
    has "s.dsr: 6000 records " " blocks 1 source root sha256:"
    local one=$output
    exits 0 dsprep check -j 8 s.dsr
    [ "$output" = "$one" ]
    [ "$(dsprep check <s.dsr)" = "${one/s.dsr/standard input}" ]
}

@test "check: standard input that is empty, closed or not DSR" {
    exits 12 dsprep check </dev/null
    has "standard input"
    fails bash -c 'dsprep check <&-'
    lines 100 >x
    exits 12 dsprep check x
    has "x"
    fails dsprep check not-there
    has "not-there"
    mkdir empty
    fails dsprep check empty
    has "empty"
}

@test "check: every truncation is found" {
    stream 3000
    local size at i
    size=$(stat -c %s s.dsr)
    for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
        at=$((size * i / 20))
        head -c "$at" s.dsr >t.dsr
        exits 12 dsprep check t.dsr
        has t.dsr
    done
    head -c $((size - 1)) s.dsr >t.dsr
    exits 12 dsprep check t.dsr
    { cat s.dsr; echo; } >t.dsr
    exits 12 dsprep check t.dsr
    cat s.dsr s.dsr >t.dsr
    exits 12 dsprep check t.dsr
}

@test "check: a flipped byte is found wherever it lies" {
    stream 3000
    local size i
    size=$(stat -c %s s.dsr)
    for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
        cp s.dsr t.dsr
        flip t.dsr $((size * i / 20 + i % 7))
        exits 12 dsprep check t.dsr
        has t.dsr
    done
}

@test "check: a producer that failed or was killed" {
    exits 1 dsprep check "$GOLDEN/aborted.dsr"
    stream 3000
    run bash -c '{ head -c 100000 s.dsr; kill -9 $BASHPID; } | dsprep check'
    [ "$status" -eq 12 ]
    # A real producer, killed while it waits for more input.
    mkfifo in
    : >cut.dsr # there even if the producer is killed before it begins
    dsprep text -q --format text --split line - <in >cut.dsr 2>/dev/null &
    local pid=$!
    exec 9<>in
    lines 500 >&9 # less than a pipe holds
    kill -9 "$pid"
    wait "$pid" || true
    exec 9>&-
    exits 12 dsprep check cut.dsr
}

@test "check: several files, folders of shards, and a shard that is missing" {
    stream 3000
    cp s.dsr a.dsr
    exits 0 dsprep check a.dsr s.dsr
    [ "${#lines[@]}" -eq 2 ]
    mkdir d
    cp s.dsr d/shard-00000.dsr
    cp s.dsr d/shard-00001.dsr
    cp s.dsr d/shard-00002.dsr
    exits 0 dsprep check d
    [ "${#lines[@]}" -eq 3 ]
    rm d/shard-00001.dsr
    exits 12 dsprep check d
    has "shard 1 is missing"
    exits 1 dsprep check s.dsr "$GOLDEN/types.dsr"
    has "schema"
}

@test "check: --json parses, in failure too" {
    stream 100
    exits 0 dsprep check --json s.dsr
    has '{"type":"check","file":"s.dsr","records":100,' '"root":"sha256:'
    run bash -c 'dsprep check --json /dev/null 2>/dev/null'
    [ "$status" -eq 12 ]
    has '"code":12'
    if command -v jq >/dev/null; then
        echo "$output" | jq -e . >/dev/null
    fi
}

@test "check: the root depends on records, not on how they are stored" {
    stream 3000
    dsprep text -q --split line lines.txt -o d -z 9
    local a b
    a=$(dsprep check s.dsr | sed 's/.*root //')
    b=$(dsprep check d | sed 's/.*root //')
    [ "$a" = "$b" ]
    sed -i '1500s/line/LINE/' lines.txt
    b=$(dsprep text -q --split line lines.txt | dsprep check | sed 's/.*root //')
    [ "$a" != "$b" ]
}

@test "check: help, and wrong options" {
    exits 0 dsprep check -h
    has "dsprep check"
    exits 2 dsprep check --nonsense
}
