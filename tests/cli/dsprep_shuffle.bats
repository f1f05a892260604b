#!/usr/bin/env bats
# dsprep shuffle: the order follows from seed and keys; nothing is lost on the way.

load dsprep_common

root() { dsprep check "$@" | sed 's/.*root //'; }

@test "shuffle: all records, with every type, in another order" {
    local s
    for s in types blocks explicit pieces empty lineage; do
        exits 0 dsprep shuffle -o $s.dsr "$GOLDEN/$s.dsr"
        dsprep check $s.dsr
        dsprep cat --data "$GOLDEN/$s.dsr" | sort >want
        dsprep cat --data $s.dsr | sort | cmp - want
    done
    # Where each came from goes with it.
    dsprep cat --origin lineage.dsr | sort >got
    dsprep cat --origin "$GOLDEN/lineage.dsr" | sort | cmp - got
    # Its seven sources too: blocks, sizes and steps alone differ.
    local differ='^blocks |^  (text|tokens|origin|dsprep shuffle) '
    dsprep info --sources "$GOLDEN/lineage.dsr" | grep -Ev "$differ" >want
    dsprep info --sources lineage.dsr | grep -Ev "$differ" | cmp - want
    [ "$(wc -l <want)" -gt 12 ]
}

@test "shuffle: as the help says, for any threads, memory and order of the input" {
    awk 'BEGIN { for (i = 0; i < 2500; i++) printf "{\"id\":\"k%d\",\"text\":\"%d and more of it\"}\n", i, i }' >k.jsonl
    tac k.jsonl >r.jsonl
    dsprep text -q --key-field id k.jsonl >k.dsr
    dsprep text -q --key-field id r.jsonl >r.dsr
    dsprep shuffle -q --seed 7 -j 1 k.dsr >one.dsr
    dsprep shuffle -q --seed 7 -j 6 -m 64K <k.dsr >six.dsr
    cmp one.dsr six.dsr
    [ "$(dsprep shuffle -q --seed 7 r.dsr | root)" = "$(root one.dsr)" ]
    [ "$(dsprep shuffle -q --seed 8 k.dsr | root)" != "$(root one.dsr)" ]
    local i
    for i in $(seq 0 60); do
        printf '%s k%d\n' "$(printf '7\0shuffle\0k%d' $i | sha256sum | cut -c1-32)" $i
    done | sort | cut -d' ' -f2 >want
    dsprep cat -c key one.dsr | jq -r .key | grep -xFf want | cmp - want
}

@test "shuffle: counts are kept, shards are one stream, a broken stream gives none" {
    lines 4000 >l.txt
    printf 'bad \xff line\n' >>l.txt
    dsprep text -q --split line --on-error skip l.txt >s.dsr || [ $? -eq 3 ]
    exits 0 dsprep shuffle -o t.dsr s.dsr
    has '4000 input = 4000 output'
    [ "$(dsprep info --json t.dsr | jq -c '[.held,.failed]')" = "$(dsprep info --json s.dsr | jq -c '[.held,.failed]')" ]
    head -c -60 s.dsr >cut.dsr
    exits 12 dsprep shuffle -o u.dsr cut.dsr
    [ ! -e u.dsr ]
}
