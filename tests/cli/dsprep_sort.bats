#!/usr/bin/env bats
# dsprep sort: the order of the values, exactly; equal ones as they came.

load dsprep_common

root() { dsprep check "$@" | sed 's/.*root //'; }

# keyed JSON...: a stream k.dsr with the value v of record r1, r2, ... in meta.
keyed() {
    local i=0 v
    for v in "$@"; do
        i=$((i + 1))
        printf '{"id":"r%d","text":"t","v":%s}\n' $i "$v"
    done >k.jsonl
    dsprep text -q --key-field id k.jsonl >k.dsr
}

order() { dsprep sort -q "$@" | dsprep cat -c key | jq -r .key | tr '\n' ' '; }

@test "sort: all records, with every type, and back by their origins" {
    local s
    for s in types blocks explicit pieces empty lineage; do
        exits 0 dsprep sort --by 'key desc' -o $s.dsr "$GOLDEN/$s.dsr"
        dsprep check $s.dsr
        dsprep cat --data "$GOLDEN/$s.dsr" | sort >want
        dsprep cat --data $s.dsr | sort | cmp - want
    done
    dsprep cat --origin lineage.dsr | sort >got
    dsprep cat --origin "$GOLDEN/lineage.dsr" | sort | cmp - got
    stream 3000
    dsprep shuffle -q s.dsr >mixed.dsr
    [ "$(root mixed.dsr)" != "$(root s.dsr)" ]
    [ "$(dsprep sort -q --by origin mixed.dsr | root)" = "$(root s.dsr)" ]
    tac lines.txt >back.txt
    [ "$(dsprep sort -q --by 'origin desc' mixed.dsr | root)" = "$(dsprep text -q --split line back.txt | root)" ]
}

@test "sort: numbers exactly, kinds in their order, null last both ways" {
    keyed 9007199254740993 9007199254740992.0 9007199254740992 null 9223372036854775807 9.3e18 '"b"' '"a"' -0.0 0 \
        true false -1e300 '[1]' '"a\u0000"' -9223372036854775808 -9.3e18
    [ "$(order --by meta.v k.dsr)" = "r12 r11 r13 r17 r16 r9 r10 r2 r3 r1 r5 r6 r8 r15 r7 r4 r14 " ]
    [ "$(order --by meta.v --reverse k.dsr)" = "r7 r15 r8 r6 r5 r1 r2 r3 r9 r10 r16 r17 r13 r11 r12 r4 r14 " ]
    [ "$(order --by 'meta.v desc' k.dsr)" = "$(order --by meta.v --reverse k.dsr)" ]
    keyed '"10"' '"9"' '"x"' '"-2.5"' 9.5 null
    [ "$(order --by meta.v --numeric k.dsr)" = "r4 r2 r5 r1 r3 r6 " ]
    [ "$(order --by meta.v k.dsr)" = "r5 r4 r1 r2 r3 r6 " ]
    # Texts that begin alike for longer than what lies in the sort itself, and one that begins another.
    keyed '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"' '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"' '"aaaaaaaaaaaaaaaaaaaaa"' \
        '"aaaaaaaaaaaaaa"' '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"' '"aaaaaaaaaaaaaaa"'
    [ "$(order --by meta.v k.dsr)" = "r4 r6 r3 r2 r5 r1 " ]
    [ "$(order --by 'meta.v desc' --by key k.dsr)" = "r1 r2 r5 r3 r6 r4 " ]
}

@test "sort: by several keys, against an independent sort; any threads and memory, a pipe or a file" {
    awk 'BEGIN { s = 5; for (i = 0; i < 6000; i++) { s = (s * 16807) % 2147483647
        printf "{\"id\":\"k%04d\",\"text\":\"a text that begins like all others do: %d\",\"n\":%d}\n", i, s % 700, s % 13 } }' >m.jsonl
    dsprep text -q --key-field id m.jsonl >m.dsr
    dsprep sort -q -j 1 --by text --by 'meta.n desc' m.dsr >one.dsr
    dsprep sort -q -j 6 -m 20K --by text --by 'meta.n desc' <m.dsr >six.dsr
    cmp one.dsr six.dsr
    jq -r '[.text, .n, .id] | @tsv' m.jsonl | sort -s -t "$(printf '\t')" -k1,1 -k2,2nr | cut -f3 >want
    dsprep cat -c key one.dsr | jq -r .key | cmp - want
    exits 0 dsprep sort --by key -o t.dsr m.dsr
    has 'dsprep sort: 6000 input = 6000 output + 0 held'
    exits 0 dsprep sort --json --by key -o t.dsr m.dsr
    [ "$output" = '{"type":"summary","command":"dsprep sort","input":6000,"output":6000,"held":{}}' ]
    dsprep info --json t.dsr | jq -ce '.provenance[-1] | [.tool, .options]' >step
    [ "$(cat step)" = '["dsprep sort",{"by":["key"],"numeric":false,"reverse":false}]' ]
}

@test "sort: what has no order is refused by name, and a broken stream gives none" {
    stream 2000
    exits 2 dsprep sort s.dsr
    has '--by is needed'
    exits 2 dsprep sort --by nothing s.dsr
    has '--by nothing' "no column 'nothing'"
    exits 2 dsprep sort --by tokens "$GOLDEN/types.dsr"
    exits 2 dsprep sort --by tokens --json "$GOLDEN/types.dsr"
    echo "$output" | jq -e '.type == "exit" and .code == 2'
    head -c -60 s.dsr >cut.dsr
    exits 12 dsprep sort --by key -o u.dsr cut.dsr
    [ ! -e u.dsr ]
}
