#!/usr/bin/env bats
# dsprep info: schema, sizes, sources, provenance.

load dsprep_common

@test "info: what a stream holds" {
    printf 'one\n' >a
    printf 'three\n' >b
    dsprep text -q --format text a b | dsprep tokenize -q -t "$TOKENIZER" >s.dsr
    exits 0 dsprep info s.dsr
    has records blocks "text" utf8 tokens16 "dsprep text" "dsprep tokenize" "sha256:"
    exits 0 dsprep info --sources s.dsr
    has "$(sha256sum <a | cut -c 1-64)" "$(sha256sum <b | cut -c 1-64)" '"a"' '"b"'
}

@test "info: --json is one object" {
    printf 'one\n' >a
    printf 'three\n' >b
    dsprep text -q --format text a b >s.dsr
    exits 0 dsprep info --json --sources s.dsr
    [ "${#lines[@]}" -eq 1 ]
    has '"records":2,' '"sources":2,' '"source_bytes":10,' '"schema":{"columns":[' '"provenance":[{' '{"name":"a","size":4,"sha256":"'
    if command -v jq >/dev/null; then
        [ "$(echo "$output" | jq -r '.source_list | length')" = 2 ]
        [ "$(echo "$output" | jq -r .type)" = info ]
    fi
    exits 0 dsprep info --json s.dsr s.dsr
    has '"files":2,' '"records":4,'
}

@test "info: golden streams of every type" {
    exits 0 dsprep info "$GOLDEN/types.dsr"
    has timestamp tensor "list of" runs nullable
    exits 0 dsprep info --json "$GOLDEN/types.dsr"
    if command -v jq >/dev/null; then
        echo "$output" | jq -e . >/dev/null
    fi
}

@test "info: what is broken ends in failure" {
    exits 12 dsprep info </dev/null
    exits 1 dsprep info "$GOLDEN/aborted.dsr"
    stream 3000
    head -c 100000 s.dsr >t.dsr
    exits 12 dsprep info t.dsr
    has t.dsr
    flip s.dsr 90000
    run bash -c 'dsprep info --json s.dsr 2>/dev/null'
    [ "$status" -eq 12 ]
    has '"code":12'
    run bash -c '{ head -c 100000 t.dsr; kill -9 $BASHPID; } | dsprep info'
    [ "$status" -eq 12 ]
}
