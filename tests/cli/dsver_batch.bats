#!/usr/bin/env bats
# dsver batch: the exact tokens of a step, by folder, checkpoint, name and digest.
load lineage_common

setup_file() {
    load lineage_common
    can_make || return 0
    cd "$BATS_FILE_TMPDIR" || return 1
    a_store
}

setup() {
    fresh
}

@test "batch: the tokens are those of the records" {
    exits 0 dsver batch run 2
    [ "$(echo "$output" | grep -c '^step 2 row [345] targets [0-9]*$')" -eq 3 ]
    dsprep cat -c tokens t.dsr >records
    echo "$output" | grep '^  docs' | while read -r _ _ record _ key _ range ids; do
        from=${range%%..*}
        to=${range##*..}
        to=${to%:}
        sed -n "$((record + 1))p" records | grep -q "\"key\":\"$key\""
        want=$(sed -n "$((record + 1))s/.*\[\(.*\)\].*/\1/p" records | tr ',' '\n' | sed -n "$((from + 1)),$((to + 1))p" | tr '\n' ' ')
        [ "$ids " = "$want" ]
    done
}

@test "batch: by folder, checkpoint, name and digest alike" {
    dsver batch run 3 >a
    dsver batch run/step-000003 3 >b
    dsver batch "$(cut -c1-8 digest)" 3 >c
    mv run away
    dsver batch run 3 >d
    for f in b c d; do cmp a $f; done
    exits 1 dsver batch nothing 3
    has "neither a folder nor a registered run"
}

@test "batch: JSON" {
    exits 0 dsver batch --json run 1
    [ "$(echo "$output" | grep -c '^{"type":"row","step":1,"row":[012],"targets":[0-9]*,"agrees":true,"pieces":\[{"dataset":"docs"')" -eq 3 ]
    if command -v jq >/dev/null; then
        echo "$output" | jq -e '[.pieces[] | .length == (.tokens | length)] | all' >/dev/null
    fi
}

@test "batch: steps that are not there" {
    exits 1 dsver batch run 7
    has "no checkpoint has seen step 7; the last is of step 6"
    exits 1 dsver batch run/step-000003 4
    has "it ends at step 3"
    exits 2 dsver batch run 0
    exits 2 dsver batch run x
    exits 2 dsver batch run
}

@test "batch: a ledger that says otherwise" {
    mkrun .dsver docs lie "tokenizer=$TOKENIZER" pieces=4
    exits 0 dsver batch lie 1
    exits 1 dsver batch lie 2
    has "row 4 targets" "NOT what the ledger has" "1 row of step 2 differs from the ledger"
    exits 1 dsver batch --json lie 2
    has '"agrees":false'
}

@test "batch: data from a file" {
    mkdir elsewhere
    mv run t.dsr old.dsr elsewhere
    dsver batch elsewhere/run 1 | sed 's/ key [0-9a-f]*//' >a
    mv .dsver hidden
    cd elsewhere
    dsver batch --data t.dsr run 1 | sed 's/ key -//' >b
    cmp ../a b
    exits 1 dsver batch --data old.dsr run 1
    has "holds other records than the run consumed"
    exits 1 dsver batch run 1
}
