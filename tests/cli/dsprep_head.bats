#!/usr/bin/env bats
# dsprep head: the first records, and no further.

load dsprep_common

@test "head: the first lines of cat" {
    stream 5000
    dsprep cat s.dsr >all
    dsprep head s.dsr | cmp - <(head -n 10 all)
    dsprep head -n 3 <s.dsr | cmp - <(head -n 3 all)
    dsprep head -n 4000 s.dsr | cmp - <(head -n 4000 all)
    dsprep head -n 99999 s.dsr | cmp - all
    exits 0 dsprep head -n 0 s.dsr
    [ -z "$output" ]
    dsprep head -n 5001 s.dsr s.dsr | cmp - <(cat all <(head -n 1 all))
    dsprep head -n 1 --no-key -c text s.dsr | cmp - <(head -n 1 lines.txt | sed 's/.*/{"text":"&"}/')
}

@test "head: origins as cat shows them" {
    stream 6000
    dsprep cat --origin s.dsr s.dsr >all
    dsprep head --origin -n 12000 s.dsr s.dsr | cmp - all
}

@test "head: stops before damage further on, and does not hide damage on its way" {
    stream 6000
    head -c $(($(stat -c %s s.dsr) - 100)) s.dsr >t.dsr
    exits 0 dsprep head -n 1 t.dsr
    exits 12 dsprep head -n 99999 t.dsr
    exits 12 dsprep head </dev/null
    exits 1 dsprep head -n 99999 "$GOLDEN/aborted.dsr"
}

@test "head: a producer is ended by SIGPIPE" {
    lines 60000 >lines.txt
    run bash -c 'dsprep text -q --split line lines.txt | dsprep head -n 1 >one; echo "${PIPESTATUS[*]}"'
    [ "$output" = "141 0" ]
    [ "$(wc -l <one)" -eq 1 ]
}

@test "head: wrong numbers" {
    exits 2 dsprep head -n x /dev/null
    exits 2 dsprep head -n -1 /dev/null
}
