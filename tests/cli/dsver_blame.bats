#!/usr/bin/env bats
# dsver blame: which versions introduced and changed a record.
load dsver_common

ids() { # FIRST LAST
    for i in $(seq "$1" "$2"); do
        echo "{\"id\":\"k$i\",\"text\":\"line $i of a log\",\"n\":$i}"
    done
}

put() { # MESSAGE FILE
    dsprep text -q --key-field id "$2" | dsver commit -m "$1" d >/dev/null
}

subjects() {
    dsver blame "$@" | awk '{print $1, $4}' | xargs
}

@test "blame: introduced, changed, unchanged versions left out" {
    ids 1 20000 >1.jsonl
    sed -e '5000s/log/LOG/' 1.jsonl >2.jsonl
    sed -e '10s/log/Log/' -e '15000d' 2.jsonl >3.jsonl
    sed -e '5000s/"n":5000/"n":0/' -e '$a {"id":"late","text":"t","n":1}' 3.jsonl >4.jsonl
    for i in 1 2 3 4; do put "v$i" "$i.jsonl"; done
    [ "$(subjects d k5000)" = "~ v4 ~ v2 + v1" ]
    dsver blame d k5000 | sed -n 1p | grep -q '(meta)$'
    dsver blame d k5000 | sed -n 2p | grep -q '(text)$'
    [ "$(subjects d k10)" = "~ v3 + v1" ]
    [ "$(subjects d k7777)" = "+ v1" ]
    [ "$(subjects d late)" = "+ v4" ]
    [ "$(subjects d~3 k15000)" = "+ v1" ]
    exits 1 dsver blame d k15000
    has "no record with the key 'k15000'"
    [ "$(subjects -j1 d k5000)" = "$(subjects -j4 d k5000)" ]
    dsver blame --json d k5000 | sed -n 1p | grep -q '"change":"changed",.*"columns":\["meta"\],"message":"v4"'
}

@test "blame: a record that was removed and came back was introduced twice, of which the last counts" {
    ids 1 100 >1.jsonl
    sed 50d 1.jsonl >2.jsonl
    put v1 1.jsonl
    put v2 2.jsonl
    put v3 1.jsonl
    [ "$(subjects d k50)" = "+ v3" ]
    [ "$(subjects d k51)" = "+ v1" ]
}

@test "blame: derived keys; a column of tokens is a change of all records" {
    printf '{"text":"a"}\n{"text":"b"}\n' >1.jsonl
    dsprep text -q 1.jsonl | dsver commit -m v1 e >/dev/null
    dstok train --vocab-size 300 -o tok.json 1.jsonl 2>/dev/null
    dsprep text -q 1.jsonl | dsprep tokenize -q -t tok.json | dsver commit -m v2 e >/dev/null
    key=$(dsver cat e | dsprep cat -c text | sed -n 2p | cut -d'"' -f4)
    [ "${#key}" = 32 ]
    [ "$(dsver blame e "$key" | awk '{print $1, $4}' | xargs)" = "~ v2 + v1" ]
    dsver blame e "$key" | grep -q '(tokens)$'
    exits 1 dsver blame e nothing
    exits 2 dsver blame e
}
