#!/usr/bin/env bats
# dsprep split: no group is in two parts, whatever the order, the stream and the threads.

load dsprep_common

visits() {
    awk -v n="$1" -v m="$2" 'BEGIN {
        s = 11
        for (i = 0; i < n; i++) { s = (s * 16807) % 2147483647
            printf "{\"id\":\"v%d\",\"text\":\"visit %d\",\"patient\":%d}\n", i, i, s % m }
        print "{\"id\":\"none\",\"text\":\"no patient\"}"
    }' >v.jsonl
    dsprep text -q --key-field id v.jsonl >v.dsr
}

@test "split: groups stay together, records add up" {
    visits 4000 500
    exits 0 dsprep split --by meta.patient -d parts --rejects r.dsr v.dsr
    has '4001 input = 4000 output + 1 held: 1 no_group' 'parts/test.dsr:'
    local p
    for p in train valid test; do
        dsprep check parts/$p.dsr
        dsprep cat parts/$p.dsr | jq -r .meta.patient | sort -u | sed "s/$/ $p/" >>all
        dsprep cat -c key parts/$p.dsr >>keys
    done
    [ "$(cut -d' ' -f1 all | sort | uniq -d | wc -l)" -eq 0 ]
    [ "$(wc -l <all)" -eq "$(jq -r '.patient // empty' v.jsonl | sort -u | wc -l)" ]
    [ "$(sort -u keys | wc -l)" -eq 4000 ]
    [ "$(grep -c valid all)" -gt 8 ]
    [ "$(grep -c valid all)" -lt 50 ]
    [ "$(dsprep cat -c reason r.dsr)" = '{"key":"none","reason":"no_group"}' ]
}

@test "split: the same part for a group in every stream, for any threads, and as the help says" {
    visits 3000 200
    dsprep split -q -j 1 --by meta.patient --salt s v.dsr >one.dsr
    dsprep split -q -j 8 --by meta.patient --salt s <v.dsr >eight.dsr
    cmp one.dsr eight.dsr
    dsprep cat one.dsr | jq -r '"\(.meta.patient) \(.split)"' | sort -u >a
    [ "$(cut -d' ' -f1 a | sort | uniq -d | wc -l)" -eq 0 ]
    head -n 700 v.jsonl | tac >w.jsonl
    dsprep text -q --key-field id w.jsonl | dsprep split -q --by 'meta.patient * 1' --salt s | dsprep cat |
        jq -r '"\(.meta.patient) \(.split)"' | sort -u | comm -23 - a >b
    [ ! -s b ]
    local g part h want
    while read -r g part; do
        h=$((16#$(printf 's\0%s' "$g" | sha256sum | cut -c1-8)))
        want=train
        [ $((h * 1000)) -ge $((900 << 32)) ] && want=valid
        [ $((h * 1000)) -ge $((950 << 32)) ] && want=test
        [ "$part" = $want ]
    done < <(head -n 60 a)
    dsprep split -q --by meta.patient --salt t v.dsr | dsprep cat | jq -r '"\(.meta.patient) \(.split)"' | sort -u >c
    ! cmp -s a c || return 1
}

@test "split: options that make no sense are refused" {
    visits 10 5
    local p
    exits 2 dsprep split v.dsr
    for p in a=0.5 a=0.5,a=0.5 a=1.5 a=x =1 a/b=1 a=0.3,b=0.8 a=0.0000000001,b=0.9999999999 ''; do
        exits 2 dsprep split --by key --parts "$p" v.dsr
    done
    exits 2 dsprep split --by nosuch v.dsr
    has "no column 'nosuch' in the stream" 'members of meta'
    exits 2 dsprep split --by 'nosuch + 1' v.dsr
    has "no column 'nosuch'"
    exits 2 dsprep split --by key -d d -o f v.dsr
    exits 0 dsprep split -q --by key --parts all=1 -o k.dsr v.dsr
}

@test "split: a broken input leaves no part" {
    visits 3000 200
    head -c 30000 v.dsr >cut.dsr
    exits 12 dsprep split --by meta.patient -d parts cut.dsr
    [ -z "$(ls parts)" ]
}
