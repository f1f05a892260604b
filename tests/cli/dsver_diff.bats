#!/usr/bin/env bats
# dsver diff: records, columns, order, and the numbers of both.

load dsver_common

ids() { # FIRST LAST
    for i in $(seq "$1" "$2"); do
        echo "{\"id\":\"k$i\",\"text\":\"line $i of a log\",\"n\":$i}"
    done
}

put() { # FILE DATASET
    dsprep text -q --key-field id "$1" | dsver commit "$2" >/dev/null
}

@test "diff: removed, changed and added records, by key" {
    ids 1 3000 >a.jsonl
    sed -e 17d -e '2000s/log/LOG/' -e '2500a {"id":"new","text":"hi","n":0}' a.jsonl >b.jsonl
    put a.jsonl d
    put b.jsonl d
    run dsver diff d
    [ "$status" = 0 ]
    [ "${lines[0]}" = '- "k17"' ]
    [ "${lines[1]}" = '~ "k2000": text' ]
    [ "${lines[2]}" = '+ "new"' ]
    [ "${lines[3]}" = "1 removed, 1 changed, 1 added: 3000 records before, 3000 after" ]
    run dsver diff --stat --exit-code d~1 d
    [ "$status" = 1 ]
    [ "${#lines[@]}" = 1 ]
    run dsver diff --exit-code d d
    [ "$status" = 0 ]
    [ "$output" = "0 removed, 0 changed, 0 added: 3000 records before, 3000 after" ]
}

@test "diff --json: the values of both versions" {
    ids 1 10 >a.jsonl
    sed -e 1d -e '5s/log/LOG/' -e 's/"n":7}/"n":70}/' a.jsonl >b.jsonl
    put a.jsonl d
    put b.jsonl d
    dsver diff --json d >out
    [ "$(wc -l <out)" = 4 ]
    [ "$(sed -n 1p out)" = '{"type":"record","change":"removed","key":"k1","record":{"text":"line 1 of a log","meta":{"n":1}}}' ]
    [ "$(sed -n 2p out)" = '{"type":"record","change":"changed","key":"k5","fields":{"text":{"before":"line 5 of a log","after":"line 5 of a LOG"}}}' ]
    [ "$(sed -n 3p out)" = '{"type":"record","change":"changed","key":"k7","fields":{"meta":{"before":{"n":7},"after":{"n":70}}}}' ]
    sed -n 4p out | grep -q '"removed":1,"changed":2,"added":0,"same_schema":true,"reordered":false'
}

@test "diff: the same for any number of threads, and back again it is the opposite" {
    ids 1 20000 >a.jsonl
    awk 'NR % 97 == 0 { next } NR % 89 == 0 { sub("of", "OF") } { print } NR % 101 == 0 { print "{\"id\":\"x" NR "\",\"text\":\"new\",\"n\":1}" }' a.jsonl >b.jsonl
    put a.jsonl d
    put b.jsonl d
    dsver diff -j1 d >one
    dsver diff -j4 d >four
    cmp one four
    grep -c '^-' one | grep -qx 206
    grep -c '^~' one | grep -qx 222
    grep -c '^+' one | grep -qx 196
    dsver diff d d~1 >back
    [ "$(grep '^-' one | cut -c3- | sort)" = "$(grep '^+' back | cut -c3- | sort)" ]
    [ "$(grep '^~' one | sort)" = "$(grep '^~' back | sort)" ]
}

@test "diff: records without ids repeat, and are counted as often as they do" {
    printf '{"text":"a"}\n{"text":"a"}\n{"text":"b"}\n{"text":"a"}\n' >a.jsonl
    printf '{"text":"a"}\n{"text":"b"}\n{"text":"c"}\n' >b.jsonl
    dsprep text -q a.jsonl | dsver commit d >/dev/null
    dsprep text -q b.jsonl | dsver commit d >/dev/null
    run dsver diff --stat d
    [ "$output" = "2 removed, 0 changed, 1 added: 4 records before, 3 after" ]
    yes '{"text":"the same"}' | head -n 3000 >a.jsonl
    yes '{"text":"the same"}' | head -n 2500 >b.jsonl
    dsprep text -q a.jsonl | dsver commit e >/dev/null
    dsprep text -q b.jsonl | dsver commit e >/dev/null
    run dsver diff --stat e
    [ "$output" = "500 removed, 0 changed, 0 added: 3000 records before, 2500 after" ]
}

@test "diff: another order, another column, another kind of key" {
    ids 1 100 >a.jsonl
    tac a.jsonl >b.jsonl
    put a.jsonl d
    put b.jsonl d
    run dsver diff --exit-code d
    [ "$status" = 1 ]
    [ "$output" = "0 removed, 0 changed, 0 added: 100 records before, 100 after; the same records in another order" ]
    dstok train --vocab-size 300 -o tok.json b.jsonl 2>/dev/null
    dsprep text -q --key-field id b.jsonl | dsprep tokenize -q -t tok.json | dsver commit d >/dev/null
    run dsver diff d
    [ "${lines[0]}" = "+ column tokens (tokens16)" ]
    [ "${lines[1]}" = "0 removed, 0 changed, 0 added: 100 records before, 100 after" ]
    run dsver diff d d~1 --exit-code
    [ "$status" = 1 ]
    [ "${lines[0]}" = "- column tokens (tokens16)" ]
}

@test "diff: what cannot be compared is told" {
    ids 1 3 >a.jsonl
    put a.jsonl d
    run dsver diff d
    [ "$status" = 1 ]
    [[ "$output" == *"is the first of 'd'"* ]]
    run dsver diff d nothing
    [ "$status" = 1 ]
    run dsver diff a b c
    [ "$status" = 2 ]
}

@test "diff: all records changed and in another order, more than are looked at together" {
    need_jq
    # 180,000 records; the second time from the last to the first, each with another text.
    seq 180000 | awk '{ print "{\"id\":\"" $1 "\",\"text\":\"t" $1 "\"}" }' >a.jsonl
    seq 180000 -1 1 | awk '{ print "{\"id\":\"" $1 "\",\"text\":\"u" $1 "\"}" }' >b.jsonl
    sed -i '$d' b.jsonl # without the first one
    for f in a b; do
        dsprep text -q --key-field id $f.jsonl | dsver commit d >/dev/null
    done
    dsver diff d >said
    seq 180000 -1 2 | awk 'BEGIN { print "- \"1\"" } { print "~ \"" $1 "\": text" }' >want
    sed '$d' said | cmp - want
    tail -1 said | grep -qx '1 removed, 179999 changed, 0 added: 180000 records before, 179999 after'
    dsver diff --json d >said
    seq 180000 -1 2 | awk '{ print "{\"type\":\"record\",\"change\":\"changed\",\"key\":\"" $1 "\",\"fields\":{\"text\":{\"before\":\"t" $1 "\",\"after\":\"u" $1 "\"}}}" }' >want
    sed '1d; $d' said | cmp - want
}
