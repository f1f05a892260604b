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

# Reports: of 300 patients two each; the second of patient 3k is, but for a word, that of patient 3k + 1.
reports() {
    awk 'function words(s, n,   i, t) { for (i = 0; i < n; i++) { s = (s * 16807 + 11) % 2147483647
            t = t sprintf(" %c%c%c", 97 + s % 26, 97 + int(s / 26) % 26, 97 + int(s / 676) % 26) } return t }
        BEGIN { for (p = 0; p < 300; p++) {
            printf "{\"id\":\"%da\",\"p\":%d,\"text\":\"%s\"}\n", p, p, words(p + 7, 40)
            printf "{\"id\":\"%db\",\"p\":%d,\"text\":\"%s end %s\"}\n", p, p,
                words((p % 3 ? p : p + 1) + 9000, 40), p % 3 ? "A" : "B" } }' >r.jsonl
    echo '{"id":"empty","p":5,"text":""}' >>r.jsonl
    echo '{"id":"dash","p":8,"text":"---"}' >>r.jsonl
    echo '{"id":"nobody","text":"no patient"}' >>r.jsonl
    dsprep text -q --key-field id r.jsonl >r.dsr
}

@test "split --near: near copies and what is of one group are in one part, and the rest is where it was" {
    reports
    exits 0 dsprep split --by meta.p --near --parts a=0.5,b=0.5 -o near.dsr r.dsr
    has '603 input = 602 output + 1 held: 1 no_group' '200 groups, the largest of 4 records'
    dsprep cat near.dsr | jq -r '"\(if .meta.p % 3 == 0 then .meta.p + 1 else .meta.p end) \(.split)"' | sort -u >got
    [ "$(wc -l <got)" -eq 200 ] # every pair and every single patient in one part
    # Without --near copies straddle the parts; and who has none is in the same part with and without.
    dsprep split -q --by meta.p --parts a=0.5,b=0.5 -o by.dsr r.dsr
    dsprep cat by.dsr | jq -r '"\(if .meta.p % 3 == 0 then .meta.p + 1 else .meta.p end) \(.split)"' | sort -u >straddles
    [ "$(wc -l <straddles)" -gt 220 ]
    diff <(dsprep cat by.dsr | jq -c 'select(.meta.p % 3 == 2) | [.key, .split]') \
        <(dsprep cat near.dsr | jq -c 'select(.meta.p % 3 == 2) | [.key, .split]')
    # A record more, at the end, moves nobody.
    { cat r.jsonl && echo '{"id":"new","p":900,"text":"quite another text about something else again"}'; } >more.jsonl
    dsprep text -q --key-field id more.jsonl | dsprep split -q --by meta.p --near --parts a=0.5,b=0.5 -j 3 -m 1M >more.dsr
    diff <(dsprep cat near.dsr | jq -c '[.key, .split]') <(dsprep cat more.dsr | jq -c 'select(.key != "new") | [.key, .split]')
}

@test "split --near: by texts alone, with derived keys, into files, for any threads" {
    reports
    dsprep text -q --no-meta r.jsonl >d.dsr
    exits 0 dsprep split --near --parts a=0.5,b=0.5 -d parts -j 1 d.dsr
    has '603 input = 603 output' '503 groups, the largest of 2 records'
    dsprep split -q --near --parts a=0.5,b=0.5 -d eight -j 8 <d.dsr
    cmp parts/a.dsr eight/a.dsr
    cmp parts/b.dsr eight/b.dsr
    exits 0 dsprep split --json --near --bands 1 --rows 1000 -o x.dsr d.dsr
    [ "$(echo "$output" | jq -c .groups)" = '{"number":603,"largest":1}' ]
    dsprep info --json x.dsr | jq -e '.provenance[-1].options | .near and .minhash.rows == 1000 and .by == null'
    exits 2 dsprep split --by key --bands 3 r.dsr
    has 'are of --near'
    exits 2 dsprep split --by key -m 2M r.dsr
    exits 2 dsprep split --by key -c text r.dsr
    exits 2 dsprep split --near -c nosuch r.dsr
    # texts without a word are like their equals, and are counted as such
    printf '%s\n' '{"text":"--","n":1}' '{"text":"--","n":2}' '{"text":"..","n":3}' | dsprep text -q --format jsonl - >dots.dsr
    exits 0 dsprep split --near -o x2.dsr dots.dsr
    has '2 groups, the largest of 2 records'
    exits 2 dsprep dedup --seed 4 r.dsr
}
