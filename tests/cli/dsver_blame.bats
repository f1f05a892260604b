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
    [ "$(subjects d k15000)" = "- v3 + v1" ]
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
    [ "$(subjects d~1 k50)" = "- v2 + v1" ]
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
    # Another text is another key.
    printf '{"text":"a"}\n{"text":"c"}\n' >3.jsonl
    dsprep text -q 3.jsonl | dsprep tokenize -q -t tok.json | dsver commit -m v3 e >/dev/null
    [ "$(subjects e "$key")" = "- v3 ~ v2 + v1" ]
    exits 1 dsver blame e nothing
    exits 2 dsver blame e
}

@test "blame: who removed a record, and what it had been" {
    ids 1 9000 >1.jsonl
    sed -e '4000s/log/LOG/' 1.jsonl >2.jsonl
    sed -e '4000d' 2.jsonl >3.jsonl
    sed -e '10s/log/Log/' 3.jsonl >4.jsonl
    sed -e '1d' 4.jsonl >5.jsonl
    for i in 1 2 3 4 5; do put "v$i" "$i.jsonl"; done
    [ "$(subjects d k4000)" = "- v3 ~ v2 + v1" ]
    [ "$(subjects -j1 d k4000)" = "$(subjects -j4 d k4000)" ]
    [ "$(subjects d k1)" = "- v5 + v1" ]
    [ "$(subjects d~3 k4000)" = "~ v2 + v1" ]
    removed=$(git -C .dsver/catalog.git rev-parse refs/heads/d/main~2)
    exits 0 dsver blame --json d k4000
    [ "$(printf '%s\n' "$output" | wc -l)" -eq 3 ]
    printf '%s\n' "$output" | sed -n 1p |
        grep -q '^{"type":"blame","change":"removed","commit":"'"$removed"'",.*,"columns":null,"message":"v3"}$'
    printf '%s\n' "$output" | sed -n 3p | grep -q '"change":"added",'
    exits 1 dsver blame d k9001
    has "no record with the key 'k9001', nor has any version before it"
    [[ "$output" != *erased* ]]
    # Before it was there, no version had it.
    put v6 1.jsonl
    sed -e '$a {"id":"late","text":"t","n":1}' 1.jsonl >7.jsonl
    put v7 7.jsonl
    [ "$(subjects d k4000)" = "+ v6" ]
    exits 1 dsver blame d~1 late
}

@test "blame: a removal in the branch that was merged, in both, and of what this one had changed" {
    ids 1 3000 >1.jsonl
    put v1 1.jsonl
    dsver branch d side >/dev/null
    sed -e '100d' -e '200d' -e '300s/log/LOG/' 1.jsonl >ours.jsonl
    sed -e '100d' -e '2000d' -e '300d' 1.jsonl >theirs.jsonl
    put ours ours.jsonl
    dsprep text -q --key-field id theirs.jsonl | dsver commit -m theirs -b side d >/dev/null
    dsver merge -m joined --theirs d side >/dev/null
    sed -e '100d' -e '200d' -e '300d' -e '2000d' -e '5s/log/LOG/' 1.jsonl >4.jsonl
    put v4 4.jsonl
    [ "$(subjects d k100)" = "- ours + v1" ]
    [ "$(subjects d k200)" = "- ours + v1" ]
    [ "$(subjects d k2000)" = "- theirs + v1" ]
    [ "$(subjects d k300)" = "- theirs + v1" ]
    [ "$(subjects d@side k2000)" = "- theirs + v1" ]
    [ "$(subjects d@side k200)" = "+ v1" ]
    exits 1 dsver blame d nowhere
}

@test "blame: of what was erased no key is left, which it says; what was removed is told all the same" {
    ids 1 500 >1.jsonl
    sed -e '50d' 1.jsonl >2.jsonl
    put v1 1.jsonl
    put v2 2.jsonl
    dsver forget --reason "request 7" k60 >/dev/null
    exits 1 dsver blame d k60
    has "no record with the key 'k60'" "records were erased from them"
    [ "$(subjects d k50)" = "- v2 + v1" ]
    # Erased where it had been removed already: nothing is left of it either.
    dsver forget --reason "request 8" k50 >/dev/null
    exits 1 dsver blame d k50
    has "records were erased"
}

@test "blame: of what stands in place of an erased record, which erasure it was" {
    need_jq
    ids 1 500 >1.jsonl
    put v1 1.jsonl
    said=()
    for k in 60 70; do # of one block, one after the other
        said+=("$(dsver forget --author "Ada <ada@ward>" --reason "request $k" k$k | sed -n 's/.*statement sha256://p')")
    done
    for i in 0 1; do
        key=$(dsver cat d | dsprep cat | sed -n "$((60 + 10 * i))p" | jq -r .key)
        [[ $key == erased:* ]]
        exits 0 dsver blame d "$key"
        [[ $(head -n 1 <<<"$output") == "x ${said[i]:0:10}  "*"  erased by Ada <ada@ward>: request $((60 + 10 * i))" ]]
        [[ $(tail -n 1 <<<"$output") == "+ "*" v1" ]]
        exits 0 dsver blame --json d "$key"
        [ "$(head -n 1 <<<"$output" | jq -r '[.change,.statement,.author,.message]|join(" ")')" = \
            "erased sha256:${said[i]} Ada <ada@ward> request $((60 + 10 * i))" ]
    done
    exits 1 dsver blame d "erased:${key:7:8}000000000000000000000000" # none that it left
    # A clone tells the same.
    dsver remote add far "$PWD/far" && dsver push far >/dev/null
    dsver clone far b >/dev/null
    cd b
    exits 0 dsver blame d "$key"
    has "request 70"
}
