#!/usr/bin/env bats
# dsprep sample: what is drawn is a function of keys and seed, adds up, and is what the help says.

load dsprep_common

visits() {
    awk -v n="$1" 'BEGIN {
        s = 11
        for (i = 0; i < n; i++) { s = (s * 16807) % 2147483647
            printf "{\"id\":\"v%d\",\"text\":\"visit %d\",\"site\":\"s%d\",\"w\":%s}\n", i, i, s % 7, (i % 4 ? i % 4 / 4 : "null") }
    }' >v.jsonl
    dsprep text -q --key-field id v.jsonl >v.dsr
}

keys() { dsprep cat -c key "$@" | jq -r .key; }

# What the help says, in other words: hashes of all keys, one a line, as "hash key".
draws() {
    local k
    for k in $(keys v.dsr); do
        printf '%s %s\n' "$(printf '%s\0%s' "$1" "$k" | sha256sum | cut -c1-16)" "$k"
    done
}

@test "sample: a rate keeps about as many, the same ones for any threads, and adds up" {
    visits 6000
    exits 0 dsprep sample --rate 0.25 -o a.dsr --rejects r.dsr v.dsr
    has '6000 input =' 'not_drawn'
    dsprep sample -q --rate 0.25 -j 7 <v.dsr >b.dsr
    [ "$(dsprep check a.dsr | sed 's/.*root//')" = "$(dsprep check b.dsr | sed 's/.*root//')" ]
    local n
    n=$(keys a.dsr | wc -l)
    [ "$n" -gt 1380 ]
    [ "$n" -lt 1620 ]
    { keys a.dsr; keys r.dsr; } | sort >both
    keys v.dsr | sort | cmp - both
    # What a smaller rate keeps, a larger one keeps, also when half of the stream is gone.
    keys a.dsr >a.txt
    dsprep sample -q --rate 0.1 v.dsr | keys >small
    [ "$(grep -cxFf a.txt small)" -eq "$(wc -l <small)" ]
    dsprep filter -q --where 'key endswith "1"' v.dsr | dsprep sample -q --rate 0.25 | keys >half
    grep '1$' a.txt | cmp - half
    dsprep sample -q --rate 0.25 --seed two v.dsr | keys >other
    [ "$(grep -cxFf a.txt other)" -lt 600 ]
}

@test "sample: a count keeps those with the lowest hashes" {
    visits 300
    draws pilot | sort | head -n 40 | cut -d' ' -f2 | sort >want
    dsprep sample -q --count 40 --seed pilot v.dsr | keys | sort | cmp - want
    dsprep sample -q --count 40 --seed pilot -j 5 <v.dsr | keys | sort | cmp - want
    [ "$(dsprep sample -q --count 0 v.dsr | keys | wc -l)" -eq 0 ]
    [ "$(dsprep sample -q --count 999 v.dsr | keys | wc -l)" -eq 300 ]
    # The rate of the help: kept when below rate * 2^64.
    draws '' | awk '$1 < "4000000000000000" { print $2 }' >rate
    dsprep sample -q --rate 0.25 v.dsr | keys | cmp - rate
}

@test "sample: caps, groups that go together, weights" {
    visits 3000
    exits 0 dsprep sample --cap 10 --group meta.site -o c.dsr v.dsr
    has '3000 input = 70 output + 2930 held: 2930 cap'
    [ "$(dsprep cat c.dsr | jq -r .meta.site | sort | uniq -c | awk '{ print $1 }' | sort -u)" = 10 ]
    dsprep cat v.dsr | jq -r 'select(.meta.site == "s3") | .key' | head -n 10 >first
    dsprep cat c.dsr | jq -r 'select(.meta.site == "s3") | .key' | cmp - first
    dsprep sample -q --rate 0.5 --by meta.site v.dsr | dsprep cat | jq -r .meta.site | sort | uniq -c >some
    dsprep cat v.dsr | jq -r .meta.site | sort | uniq -c >all
    [ "$(grep -cxFf all some)" -eq "$(wc -l <some)" ]
    dsprep sample -q --rate 0.8 --weight meta.w v.dsr | dsprep cat | jq -r .meta.w | sort | uniq -c >w
    [ "$(grep -c null w)" -eq 0 ]
    awk '{ n[$2] = $1 } END { exit !(n["0.25"] < n["0.5"] && n["0.5"] < n["0.75"] && n["0.75"] > 380 && n["0.75"] < 520) }' w
}

@test "sample: wrong command lines" {
    visits 10
    exits 2 dsprep sample v.dsr
    has '--rate, --count or --cap'
    exits 2 dsprep sample --rate 0.1 --count 3 v.dsr
    exits 2 dsprep sample --rate 1.5 v.dsr
    exits 2 dsprep sample --cap 3 v.dsr
    exits 2 dsprep sample --count 3 --weight meta.w v.dsr
    exits 2 dsprep sample --rate 1 --by 'nobody' v.dsr
    has '--by'
}
