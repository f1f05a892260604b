#!/usr/bin/env bats
# dsver du: what takes the room of a store.

load dsver_common

number() { # NAME [FILTER]: of the lines of JSON in `out` that have FILTER
    grep "${2:-}" out | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}
du() { dsver du --json "$@" >out; }

@test "du: pieces that two datasets have are told for both, and as nobody's alone; gc frees what is" {
    versions 4000
    dsver commit a v1.dsr >/dev/null
    dsver commit b v1.dsr >/dev/null
    head -c 300000 /dev/urandom | base64 | dsprep text -q --split line - >own.dsr
    dsver commit b own.dsr >/dev/null
    du
    [ "$(number stored '"a"')" -gt 10000 ]
    [ "$(number alone '"a"')" = 0 ]
    [ "$(number versions '"b"')" = 2 ]
    [ "$(number alone '"b"')" -gt 200000 ]
    [ "$(number stored '"b"')" = $(($(number stored '"a"') + $(number alone '"b"'))) ]
    [ "$(number in_no_version)" = 0 ]
    [ "$(number packs)" = "$(cat .dsver/packs/*.pack | wc -c)" ]
    alone=$(number alone '"b"') packs=$(number packs)
    dsver branch -d b main >/dev/null
    dsver gc --grace 0 >/dev/null
    du
    [ "$(number alone '"a"')" = "$(number stored '"a"')" ]
    [ $((packs - $(number packs))) -ge "$alone" ]
    exits 0 dsver du
    [[ ${lines[0]} == *STORED*ALONE*DATASET ]]
    [[ ${lines[1]} == *KB*" 1  a" ]]
}

@test "du DATASET: what each version added; together they are what the dataset has, bases and all" {
    versions 3000
    dsver commit d v1.dsr >/dev/null
    dsver commit -b side d v2.dsr >/dev/null
    for i in 1 2 3; do
        { cat l1.txt && echo "line $i"; } | dsprep text -q --split line - | dsver commit -m "m$i" d >/dev/null
    done
    dsver merge d@side main >/dev/null
    dsver commit other v2.dsr >/dev/null
    du
    stored=$(number stored '"d"')
    du d
    [ "$(wc -l <out)" = 6 ]
    [ "$(number added | awk "{ n += \$1 } END { print n }")" = "$stored" ]
    [ "$(sed -n 6p out | grep -c '"parent":null')" = 1 ]
    [ "$(number added | tail -n 1)" -gt $((stored / 2)) ]
    [ "$(number records | tail -n 1)" = 3000 ]
    # one that repeats another adds nothing
    dsver revert d d >/dev/null
    du d
    [ "$(number added | head -n 1)" -lt 1000 ]
}

@test "du: of a clone that lacks pieces, of no dataset, of no store" {
    versions 500
    dsver commit d v1.dsr >/dev/null
    mkdir far
    dsver remote add origin far >/dev/null
    dsver push -q origin
    dsver clone -q --lazy far lazy
    dsver du --store lazy --json >out
    [ "$(number stored '"d"')" = 0 ]
    [ "$(number pieces_afar)" -gt 2 ]
    exits 0 dsver du --store lazy
    [[ $output == *"pieces not here)"* ]]
    exits 1 dsver du nobody
    exits 10 dsver du --store far
    mkdir new
    dsver init new >/dev/null
    exits 0 dsver du --store new
    [[ ${lines[1]} == "0 bytes in no version; packs 0 bytes,"* ]]
}
