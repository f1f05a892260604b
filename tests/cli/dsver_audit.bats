#!/usr/bin/env bats
# dsver audit: a true checkpoint passes, and each lie is named.
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

# failed CHECK...: the last run failed in exactly these.
failed() {
    local got want
    got=$(echo "$output" | sed -n 's/^FAILED \([^:]*\):.*/\1/p' | tr '\n' ' ')
    want="${*:+$* }"
    [ "$got" = "$want" ] || {
        echo "failed: $got, not $want"
        echo "$output"
        return 1
    }
}

@test "audit: all is good" {
    for c in run/step-000003 run/step-000006 run/step-000006/; do
        exits 0 dsver audit $c
        [ "$(echo "$output" | grep -c '^ok ')" -eq 8 ]
        ! [[ $output == *FAILED* || $output == *unchecked* ]] || return 1
    done
    exits 0 dsver audit --json run/step-000006
    has '"check":"order","status":"ok"' '"type":"audit"' '"step":6,"rows":18,"failed":0,"unchecked":0' "$(cat digest)"
    if command -v jq >/dev/null; then echo "$output" | jq -e . >/dev/null; fi
}

@test "audit: a file was changed, added, or is missing" {
    printf x >>run/step-000006/adapter_model.safetensors
    exits 1 dsver audit run/step-000006
    failed files
    has "lineage.json says sha256:"
    rm run/step-000003/state.json
    exits 1 dsver audit run/step-000003
    failed files
}

@test "audit: a folder that is called as another step of the run is" {
    mv run/step-000006 run/step-000009
    exits 1 dsver audit run/step-000009
    failed name
    has "called step-000009, and lineage.json is of step-000006"
    mv run/step-000009 run/copy-of-the-last
    exits 0 dsver audit run/copy-of-the-last
}
@test "audit: a record was changed: the checkpoint names another version" {
    old=$(git -C .dsver/catalog.git rev-parse refs/heads/docs/main~1)
    new=$(git -C .dsver/catalog.git rev-parse refs/heads/docs/main)
    sed -i "s/$new/$old/" run/step-000006/lineage.json
    exits 1 dsver audit run/step-000006
    failed "dataset docs" registered
    has "the run says sha256:" "unchecked order"
}

@test "audit: the version is found by its root when its commit is another" {
    new=$(git -C .dsver/catalog.git rev-parse refs/heads/docs/main)
    mkrun .dsver docs other "tokenizer=$TOKENIZER" seed=8
    sed -i "s/$new/0123456789012345678901234567890123456789/" {run,other}/step-000006/lineage.json
    exits 0 dsver audit other/step-000006
    has "commit 0123456789012345678901234567890123456789 is not in the store" \
        "unchecked registered: the catalog does not know the run"
    # of a run that was registered here the catalog knows another: that one made elsewhere would pass, too, is said
    exits 0 dsver audit run/step-000006
    has "ok registered: as one made elsewhere: the catalog has another lineage.json of step-000006" "taken as told"
}

@test "audit: two segments were swapped" {
    cd run/step-000006/ledger
    mv ledger-000001-000003.dsr x
    mv ledger-000004-000006.dsr ledger-000001-000003.dsr
    mv x ledger-000004-000006.dsr
    cd ../../..
    exits 1 dsver audit run/step-000006
    failed files ledger order targets
    has "ledger-000001-000003.dsr: step 4, row 9: not a step of this segment"
}

@test "audit: a segment is missing, or too many" {
    mv run/step-000006/ledger/ledger-000001-000003.dsr .
    exits 1 dsver audit run/step-000006
    has "ledger-000004-000006.dsr: a segment that begins with step 1 belongs here"
    cp run/step-000006/ledger/ledger-000004-000006.dsr run/step-000003/ledger
    exits 1 dsver audit run/step-000003
    has "ends behind step 3"
}

@test "audit: a ledger that is consistent, but not what the data gives" {
    mkrun .dsver docs lie "tokenizer=$TOKENIZER" pieces=11
    exits 0 dsver audit lie/step-000003
    exits 1 dsver audit lie/step-000006
    failed order registered
    has "FAILED order: step 4, row 11: docs:" "expected, the ledger has docs:"
}

@test "audit: a row was edited, and the chain not" {
    mkrun .dsver docs lie "tokenizer=$TOKENIZER" targets=1
    exits 1 dsver audit lie/step-000006
    failed targets registered
    has "step 1, row 1: "
    # the other run's second segment behind the first of this one
    cp lie/step-000006/ledger/ledger-000004-000006.dsr run/step-000006/ledger/
    exits 1 dsver audit run/step-000006
    failed files ledger
    has "FAILED ledger: step 4, row 9: the row does not follow from those before it"
}

@test "audit: the lineage of another run" {
    mkrun .dsver docs other "tokenizer=$TOKENIZER" seed=8
    exits 0 dsver audit other/step-000006
    cp other/step-000006/lineage.json run/step-000006/
    exits 1 dsver audit run/step-000006
    failed files ledger order consumed
    has "step 1, row 0: the row does not follow" "FAILED order: step 1, row 0:"
}

@test "audit: what fits together, and is not what was registered" {
    cp -r run was
    # other weights, and a digest that is theirs
    printf x >>run/step-000006/adapter_model.safetensors
    resum run/step-000006
    exits 1 dsver audit run/step-000006
    failed registered
    has "the catalog has another lineage.json of step-000006"
    # what computed it, by what program
    for change in 's/"backend":"./&x/' 's/\("name":"dstrain","digest":{"sha256":"\)../\100/' 's/"name":"model:/&x/'; do
        sed "$change" was/step-000003/lineage.json >run/step-000003/lineage.json
        ! cmp -s {was,run}/step-000003/lineage.json || return 1
        exits 1 dsver audit run/step-000003
        failed registered
    done
    # a folder's name is its step's
    sed 's/"subject":\[{"name":"step-000003"/"subject":[{"name":"step-000006"/' was/step-000003/lineage.json >run/step-000003/lineage.json
    exits 12 dsver audit run/step-000003
    has "subject.name is not 'step-000003'"
    # the same run once more, computed by something else, is registered, too; the first one stays what it was
    git -C .dsver/catalog.git for-each-ref --format='%(refname)' refs/dsver/runs >ref
    mkrun .dsver docs again "tokenizer=$TOKENIZER" register=1 backend=other
    git -C .dsver/catalog.git for-each-ref --format='%(refname)' refs/dsver/runs | cmp - ref
    for c in was/step-00000[36] again/step-00000[36]; do
        exits 0 dsver audit "$c"
        has "ok registered: "
    done
}

@test "audit: a run that the catalog does not know is told of, and one that was taken out of it" {
    dsver init other >/dev/null
    dsver cat docs~1 >old && dsver cat docs >new
    DSVER_STORE=other dsver commit docs old >/dev/null
    DSVER_STORE=other dsver commit docs new >/dev/null
    exits 0 dsver audit --store other run/step-000003
    has "unchecked registered: the catalog does not know the run; its commit, program and environment are taken as told"
    exits 0 dsver audit --store other --json run/step-000003
    has '"check":"registered","status":"unchecked"' '"failed":0,"unchecked":1'
    exits 1 dsver audit --store other --registered run/step-000003
    failed registered
    exits 0 dsver audit --registered run/step-000003
    # a later step of it than any that was registered
    ref=$(git -C .dsver/catalog.git for-each-ref --format='%(refname)' refs/dsver/runs)
    first=$(git -C .dsver/catalog.git log --first-parent --format=%H "$ref" | tail -n +2 | head -n 1)
    last=$(git -C .dsver/catalog.git rev-parse "$ref")
    git -C .dsver/catalog.git update-ref "$ref" "$first"
    exits 0 dsver audit run/step-000006
    has "unchecked registered: the catalog knows the run, and not this step of it"
    git -C .dsver/catalog.git update-ref "$ref" "$last"
    # what dsver itself brought is in its log
    dsver remote add far "$PWD/far" >/dev/null
    dsver push far >/dev/null
    dsver clone far copy >/dev/null
    exits 0 dsver audit --store copy --registered run/step-000006
    git -C copy/.dsver/catalog.git update-ref -d "$ref"
    exits 1 dsver audit --store copy run/step-000006
    failed registered
    has "which by the operation log was registered: something other than dsver removed it, or the command that registered it died"
    # data that lies at a remote which is away is not at hand: nothing is damaged
    dsver clone --lazy far lazy >/dev/null
    mv far away
    exits 1 dsver audit --store lazy run/step-000006
    failed
    has "unchecked dataset docs: a piece that is not here yet: " "no remote is there" "4 checks could not be made"
    exits 0 dsver audit --store lazy --offline run/step-000006
    mv away far
    exits 0 dsver audit --store lazy run/step-000006
    # pieces that an erasure took from the remote
    dsver clone --lazy far late >/dev/null
    dsver forget --reason r "$(dsver cat docs | records - | sed -n '1s/.*"key":"\([^"]*\)".*/\1/p')" >/dev/null
    dsver push far >/dev/null
    exits 12 dsver cat --store late docs -o x
    has "lacks it; where records were erased there, dsver fetch brings what is read in their place"
    dsver fetch --store late >/dev/null
    dsver cat --store late docs >x
}

@test "audit: the tokenizer was swapped" {
    echo '{}' >run/step-000006/tokenizer.json
    exits 1 dsver audit run/step-000006
    failed files tokenizer
    has "dataset 'docs' was tokenized with sha256:"
    rm run/step-000003/tokenizer.json
    exits 1 dsver audit run/step-000003
    failed files tokenizer
}

@test "audit: the base model" {
    mkdir model
    echo '{}' >model/config.json
    echo w >model/model.safetensors
    exits 1 dsver audit --model model run/step-000006
    failed model
    mkrun .dsver docs run2 "tokenizer=$TOKENIZER" model=model
    exits 0 dsver audit --model model run2/step-000006
    exits 12 dsver audit --model nothing run2/step-000006
    failed model
}

@test "audit: damaged files" {
    f=run/step-000006/ledger/ledger-000004-000006.dsr
    printf '\377' | dd of=$f bs=1 seek=700 conv=notrunc 2>/dev/null
    exits 12 dsver audit run/step-000006
    failed files ledger order targets
    has "ledger-000004-000006.dsr"
    head -c 500 run/step-000003/lineage.json >x
    cp x run/step-000003/lineage.json
    exits 12 dsver audit run/step-000003
    has "lineage.json"
    exits 13 dsver audit nowhere
    exits 2 dsver audit
}

@test "audit: without the store, and with the data as a file" {
    mkdir elsewhere
    mv run t.dsr old.dsr elsewhere
    mv .dsver hidden
    cd elsewhere
    exits 1 dsver audit run/step-000006
    has "unchecked dataset docs: there is no store to look into" "unchecked order"
    exits 0 dsver audit --offline run/step-000006
    has "unchecked registered: there is no store to look into"
    exits 0 dsver audit --data t.dsr run/step-000006
    has "ok dataset docs: t.dsr: 80 records" "ok order: 18 rows"
    exits 1 dsver audit --data old.dsr run/step-000006
    failed "dataset docs"
    exits 10 dsver audit --store nowhere run/step-000006
}

@test "audit: several datasets, and what is longer than a row" {
    short 30 | tokens more.dsr
    dsver commit more more.dsr >/dev/null
    mkrun .dsver docs,more two "tokenizer=$TOKENIZER" seq_len=24 window=7 long=truncate every=2 steps=20
    exits 0 dsver audit two/step-000020
    [ "$(echo "$output" | grep -c '^ok dataset')" -eq 2 ]
    has "ok ledger: 60 rows in 20 steps, 10 segments"
}
