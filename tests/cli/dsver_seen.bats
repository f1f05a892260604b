#!/usr/bin/env bats
# dsver seen: which runs consumed a record. Registered runs among the datasets.
load lineage_common

setup_file() {
    load lineage_common
    can_make || return 0
    cd "$BATS_FILE_TMPDIR" || return 1
    a_store
    # the first run has several epochs
    mkrun .dsver docs many "tokenizer=$TOKENIZER" register=1 steps=40 every=16 window=20 seq_len=96 >many.digest
}

setup() {
    fresh
}

key_of() { # TEXT: the key of the record that is this text
    dsprep cat -c text t.dsr | sed -n "s/^{\"key\":\"\([0-9a-f]*\)\",\"text\":\"$1\"}\$/\1/p"
}

@test "seen: every time, with its tokens and the first checkpoint" {
    k=$(key_of "line 17")
    [ ${#k} -eq 32 ]
    exits 0 dsver seen "$k"
    dsver batch many 1 >/dev/null
    # every line is in the batch that it names
    echo "$output" | grep '^many ' >lines
    [ -s lines ]
    while read -r _ _ _ _ record _ step _ row _; do
        dsver batch many "$step" | sed -n "/ row $row /,/^step/p" | grep -q "^  docs record $record key $k tokens 0\.\."
    done <lines
    # and every batch that has it is a line
    n=0
    for s in $(seq 40); do
        n=$((n + $(dsver batch many $s | grep -c "key $k" || true)))
    done
    [ "$n" -eq "$(wc -l <lines)" ]
    awk '{ step = $7; c = step <= 16 ? "step-000016" : step <= 32 ? "step-000032" : "step-000040"; if ($NF != c) exit 1 }' lines
}

@test "seen: options" {
    k=$(key_of "line 17")
    all=$(dsver seen docs "$k" | grep -c '^many ')
    [ "$all" -gt 1 ]
    [ "$(dsver seen -n 1 docs "$k" | grep -c '^many ')" -eq 1 ]
    exits 0 dsver seen --json docs "$k"
    has "\"key\":\"$k\"" '"run":"many"' "$(cut -c1-16 many.digest)" '"checkpoint":"step-0000'
    if command -v jq >/dev/null; then echo "$output" | jq -e .step >/dev/null; fi
    printf '%s\n\nnothing\n%s\n' "$k" "$(key_of "line 34")" >keys
    exits 0 dsver seen --key-file - < <(printf '\xef\xbb\xbf' && cat keys keys)
    [ "$(echo "$output" | grep -c "$k")" -ge "$all" ]
    has "$(key_of "line 34")" "1 of 3 keys: no run's data holds them"
    exits 1 dsver seen nothing
    has "no run's data holds it"
    exits 1 dsver seen other "$k"
    has "no run's data of this dataset holds it; a run's data of another dataset holds a record of this key: leave out 'other'"
    exits 2 dsver seen
    exits 2 dsver seen a/b "$k"
}

@test "seen: a record that only an older version has" {
    k=$(dsprep cat -c text old.dsr | sed -n '20s/^{"key":"\([0-9a-f]*\)".*/\1/p')
    exits 1 dsver seen "$k"
    has "no run's data holds it"
}

@test "seen: explicit keys" {
    printf '{"id":"a","text":"one two"}\n{"id":"b","text":"three"}\n{"id":"c","text":"four"}\n' >r.jsonl
    dsprep text -q --key-field id r.jsonl | dsprep tokenize -q -t "$TOKENIZER" - >k.dsr
    dsver commit keyed k.dsr >/dev/null
    mkrun .dsver keyed kr "tokenizer=$TOKENIZER" register=1 steps=1
    exits 0 dsver seen keyed b
    has "kr " "keyed record 1 "
    exits 0 dsver batch kr 1
    has " key a tokens" " key c tokens"
}

@test "runs are no datasets: ls, log, fsck, gc, reindex" {
    exits 0 dsver ls
    [ "$(echo "$output" | wc -l)" -eq 1 ]
    [ "$(dsver log --oneline docs | wc -l)" -eq 2 ]
    exits 0 dsver fsck --read-data
    has "2 versions"
    exits 0 dsver gc
    exits 0 dsver reindex
    exits 0 dsver audit run/step-000006
    exits 0 dsver batch run 6
}

@test "a run keeps its data when the branch is gone, and no longer" {
    k=$(key_of "line 17")
    git -C .dsver/catalog.git update-ref -d refs/heads/docs/main
    exits 0 dsver gc
    has "2 versions"
    exits 0 dsver fsck --read-data
    exits 0 dsver audit run/step-000006
    exits 0 dsver seen docs "$k"
    git -C .dsver/catalog.git for-each-ref --format='delete %(refname)' | git -C .dsver/catalog.git update-ref --stdin
    exits 0 dsver gc
    exits 1 dsver audit run/step-000006
}

@test "a ledger in the catalog that is not the one that the checkpoint was registered with answers nothing" {
    k=$(key_of "line 17")
    mkrun .dsver docs lie "tokenizer=$TOKENIZER" pieces=11 # follows from row to row, and is another
    g="git --git-dir=.dsver/catalog.git -c user.name=Eve -c user.email=eve@x"
    ref=$($g for-each-ref --format='%(refname)' refs/dsver/runs | while read -r r; do
        [ "$($g show "$r:name")" = run ] && echo "$r"
    done)
    seg=ledger/ledger-000004-000006.dsr
    export GIT_INDEX_FILE=$PWD/ix
    for blob in "100644 $($g hash-object -w lie/step-000006/$seg)" "0 0000000000000000000000000000000000000000"; do
        $g read-tree "$ref"
        printf '%s\t%s\n' "$blob" "$seg" | $g update-index --index-info
        $g update-ref "$ref" "$($g cat-file commit "$ref" | sed "s/^tree .*/tree $($g write-tree)/" | $g hash-object -t commit -w --stdin)"
        for cmd in "seen $k" "forget -n --dataset docs $k" "fsck"; do
            exits 12 dsver $cmd
            has "$ref: "
        done
        exits 12 dsver sql "SELECT count(*) FROM consumed"
    done
    exits 0 dsver audit run/step-000006 # which has its own
}
