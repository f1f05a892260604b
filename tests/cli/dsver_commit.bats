#!/usr/bin/env bats
# dsver commit, and what comes back by dsver cat.
load dsver_common

@test "what was committed comes back, byte for byte" {
    for n in types explicit; do
        exits 0 dsver commit -m first $n "$GOLDEN/$n.dsr"
        dsver cat $n >back.dsr
        cmp back.dsr "$GOLDEN/$n.dsr"
    done
    for n in blocks pieces lineage empty; do # these are compressed, or have an index
        dsver commit -m first $n <"$GOLDEN/$n.dsr"
        dsver cat $n >back.dsr
        dsprep check back.dsr
        records back.dsr >back.jsonl
        records "$GOLDEN/$n.dsr" >want.jsonl
        cmp back.jsonl want.jsonl
        dsver cat -j 1 $n | cmp - back.dsr
    done
}

@test "the root and provenance are the stream's" {
    need_jq
    [ -z "$(dsver commit -q d "$GOLDEN/lineage.dsr" 2>&1)" ]
    root=$(dsprep check --json "$GOLDEN/lineage.dsr" | jq -r .root)
    [ "$(dsver show --json d | jq -r .root)" = "$root" ]
    dsver log d | grep -q "root    $root"
    dsver cat d >back.dsr
    [ "$(dsprep check --json back.dsr | jq -r .origin_root)" = "$(dsprep check --json "$GOLDEN/lineage.dsr" | jq -r .origin_root)" ]
    [ "$(dsprep info --json back.dsr | jq -c .provenance)" = "$(dsprep info --json "$GOLDEN/lineage.dsr" | jq -c .provenance)" ]
    git -C .dsver/catalog.git log -1 --format=%B d/main | grep -q "^Dsver-Root: $root"
}

@test "without a store nothing is made" {
    mkdir -p "$BATS_TEST_TMPDIR/../none.$$" && cd "$BATS_TEST_TMPDIR/../none.$$"
    run dsver commit -m x d <"$GOLDEN/blocks.dsr"
    [ "$status" -eq 10 ]
    has "dsver init"
    [ ! -e .dsver ]
}

@test "the same records again make no version, and cost nothing" {
    versions 3000
    dsver commit -m one d v1.dsr
    state d >before
    ls .dsver/packs .dsver/catalog.git/objects/pack >packs
    exits 0 dsver commit -m two d v1.dsr
    has unchanged
    state d | cmp - before
    ls .dsver/packs .dsver/catalog.git/objects/pack | cmp - packs
    [ -z "$(ls .dsver/tmp)" ]
}

@test "a small edit shares nearly everything" {
    need_jq
    versions 20000
    dsver commit --json -m one d v1.dsr >j1
    dsver commit --json -m two d v2.dsr >j2
    jq -e '.pieces_new > 4 and .pieces_shared == 0 and .bytes_read > 1000000 and .ratio > 1' j1
    jq -e '.pieces_shared > .pieces_new and .unchanged == false' j2
    [ $(($(jq '.bytes_stored + .catalog_bytes' j2) * 10)) -lt "$(jq .bytes_stored j1)" ]
    dsver cat d >two.dsr
    records two.dsr >two.jsonl
    records v2.dsr | cmp - two.jsonl
    dsver cat d~1 >one.dsr
    records one.dsr >one.jsonl
    records v1.dsr | cmp - one.jsonl
    [ "$(jq -r .commit j2)" = "$(dsver log --json d | head -n 1 | jq -r .commit)" ]
}

@test "files with another header each share all the rest" {
    need_jq
    for i in $(seq 24); do
        awk -v i="$i" 'BEGIN { srand(i); for (k = 0; k < 6000; k++) printf "%09d ", rand() * 1e9 }' >body
        mkdir -p one two
        { echo "patient $i" && cat body; } >one/$i
        { echo "patient $i of ward $((i * 7))" && cat body; } >two/$i
    done
    dsprep files -q one | dsver commit --json f >j1
    dsprep files -q two | dsver commit --json f >j2
    [ $(($(jq '.bytes_stored + .catalog_bytes' j2) * 5)) -lt "$(jq .bytes_stored j1)" ]
    exits 0 dsver checkout f out
    diff -r two out
}

@test "a broken stream changes nothing: cut, flipped, empty, aborted, text" {
    versions 2000
    dsver commit -m one d v1.dsr
    state d >before
    size=$(wc -c <v2.dsr)
    for n in 0 1 8 100 $((size / 2)) $((size - 1)); do
        head -c "$n" v2.dsr >cut.dsr
        fails dsver commit -m bad d cut.dsr
        state d | cmp - before
    done
    for at in 9 40 $((size / 3)) $((size / 2)) $((size - 3)); do
        cp v2.dsr flip.dsr
        flip flip.dsr "$at"
        fails dsver commit -m bad d flip.dsr
        state d | cmp - before
    done
    run dsver commit d </dev/null
    [ "$status" -eq 12 ]
    run bash -c 'dsver commit d - <&-'
    [ "$status" -ne 0 ]
    exits 1 dsver commit d "$GOLDEN/aborted.dsr"
    has "producer failed"
    run dsver commit d <l1.txt
    [ "$status" -eq 12 ]
    (cat v2.dsr && echo more) >long.dsr
    exits 12 dsver commit d long.dsr
    exits 13 dsver commit d none.dsr
    state d | cmp - before
    exits 0 dsver fsck --read-data
    exits 0 dsver gc
    exits 0 dsver fsck --read-data
    dsver cat d >back.dsr
    records back.dsr >back.jsonl
    records v1.dsr | cmp - back.jsonl
}

@test "a stream without records is committed with a warning" {
    mkdir none
    dsprep text -q none >none.dsr
    exits 0 dsver commit -m x d none.dsr
    has "holds no record, and so this version of 'd' has none" "0 records"
}

@test "a producer that dies in a pipe commits nothing" {
    versions 2000
    run bash -c 'dsprep text -q --split line l1.txt missing.txt | dsver commit -m x d'
    [ "$status" -ne 0 ]
    exits 1 dsver log d
}

@test "two records with one explicit key are refused and both named" {
    dsprep text -q --format jsonl --key-field id - >dup.dsr <<'X'
{"id":"a","text":"one"}
{"id":"b","text":"two"}
{"id":"c","text":"three"}
{"id":"b","text":"four"}
{"id":"a","text":"five"}
X
    exits 1 dsver commit d dup.dsr
    has "'b'" "record 2" "record 4"
    exits 1 dsver log d
    exits 1 dsver commit d "$GOLDEN/rootless.dsr"
    has "'same'"
}

@test "the clash names file and byte" {
    mkdir in
    printf '{"id":"x1","text":"one"}\n{"id":"x2","text":"two"}\n' >in/a.jsonl
    printf '{"id":"y1","text":"one"}\n{"id":"x2","text":"two"}\n' >in/b.jsonl
    dsprep text -q --key-field id in >dup.dsr
    exits 1 dsver commit d dup.dsr
    has "'x2'" "a.jsonl, byte 25" "b.jsonl, byte 25"
}

@test "derived keys may repeat" {
    printf 'same\nsame\nsame\n' | dsprep text -q --split line - >s.dsr
    exits 0 dsver commit d s.dsr
    dsver cat d >back.dsr
    [ "$(records back.dsr | wc -l)" -eq 3 ]
}

@test "--strict refuses counted failures" {
    exits 1 dsver commit --strict d "$GOLDEN/lineage.dsr"
    has "failed"
    exits 1 dsver log d
    exits 0 dsver commit d "$GOLDEN/lineage.dsr"
    exits 0 dsver show d
    has "unreadable" "not text"
    exits 0 dsver commit --strict e "$GOLDEN/types.dsr"
}

@test "message, author, date, branch" {
    need_jq
    versions 500
    exits 0 dsver commit -m "first line
second line" --author "Ann B <a@b.c>" --date 2020-05-06T07:08:09Z d v1.dsr
    dsver log --json d >j
    jq -e '.author == "Ann B <a@b.c>" and .date == "2020-05-06T07:08:09Z" and .message == "first line\nsecond line"' j
    exits 0 dsver commit -b topic/x --date @1600000000 d v2.dsr
    dsver log --json d@topic/x >j
    [ "$(jq -s length j)" -eq 2 ]
    jq -es '.[0].message == "500 records" and .[0].author == "dsver <dsver@localhost>"' j
    [ "$(dsver log --json d | jq -s length)" -eq 1 ]
    dsver config user.name Carl
    dsver config user.email c@d
    GIT_AUTHOR_NAME=Dora dsver commit d v2.dsr
    [ "$(dsver log --json d | jq -rs '.[0].author')" = "Dora <c@d>" ]
    exits 2 dsver commit --author nobody d v1.dsr
    for date in yesterday @ @-1 @+1 '@ 1' @1x @253402300800 @99999999999999999999; do
        exits 2 dsver commit --date "$date" d v1.dsr
    done
    dsver commit --date 2020-07-01 -b day d v1.dsr >/dev/null
    [ "$(dsver log --json d@day | jq -rs '.[0].date')" = "2020-07-01T00:00:00Z" ]
}

@test "names of datasets and branches are checked before anything is read" {
    for n in a/b a@b a~b .a a..b -- 'a b' a.lock 'a^' 'a:b'; do
        run dsver commit -m x -- "$n" "$GOLDEN/blocks.dsr"
        echo "$n: $status"
        if [ "$n" = -- ]; then continue; fi
        [ "$status" -eq 2 ]
    done
    exits 2 dsver commit -b 'x y' d "$GOLDEN/blocks.dsr"
    exits 0 dsver commit 'größe' "$GOLDEN/blocks.dsr"
    exits 0 dsver log 'größe'
}

@test "without DATASET: the only one, or the configured one" {
    versions 300
    exits 2 dsver commit -m x <v1.dsr
    has "dataset"
    dsver commit d v1.dsr
    dsver commit -m two <v2.dsr
    dsver log --oneline | grep -q two
    dsver commit e v1.dsr
    exits 2 dsver log
    exits 0 dsver config --json dsver.dataset e
    has '{"type":"config","did":"set","name":"dsver.dataset","value":"e"}'
    exits 0 dsver log
}

@test "the store is the same for any number of threads" {
    versions 20000
    for j in 1 2 5; do
        dsver init s$j >/dev/null
        dsver commit -j $j --date @1500000000 --store s$j -m one d v1.dsr >/dev/null
        dsver commit -j $j --date @1500000001 --store s$j -m two d v2.dsr >/dev/null
        (cd s$j/.dsver && git -C catalog.git for-each-ref && find packs catalog.git/objects -type f | sort | xargs sha256sum) >t$j
        cmp t1 t$j
    done
}

@test "commit --json parses when it fails too" {
    need_jq
    dsver commit --json d "$GOLDEN/blocks.dsr" | jq -e '.type == "commit" and .records == 100'
    dsver commit --json d "$GOLDEN/blocks.dsr" | jq -e '.unchanged'
    run bash -c "dsver commit --json d $GOLDEN/aborted.dsr 2>/dev/null | jq -e '.type == \"exit\" and .code == 1'"
    [ "$status" -eq 0 ]
}

@test "--parent: refused where the branch has moved on since" {
    versions 300
    exits 1 dsver commit --parent main docs v1.dsr
    has "'docs' has no version 'main'"
    dsver commit docs v1.dsr >/dev/null
    v1=$(git -C .dsver/catalog.git rev-parse docs/main)
    exits 0 dsver commit --parent "${v1:0:12}" docs v2.dsr
    before=$(state docs)
    exits 11 dsver commit --parent "$v1" docs v1.dsr
    has "refs/heads/docs/main has moved: it is at $(git -C .dsver/catalog.git rev-parse docs/main | cut -c1-10), not at ${v1:0:10}: nothing was changed"
    exits 11 dsver commit --parent main~1 docs v1.dsr
    exits 11 dsver commit --parent main -b trial docs v1.dsr
    has "refs/heads/docs/trial is not there, not at" || has "is not there"
    [ "$(state docs)" = "$before" ]
    # Somebody is faster, while the stream comes: once the first one is at work, for gc.lock is held.
    mkfifo p
    dsver commit --parent main docs p >said 2>&1 &
    exec 9>p
    head -c 100 v1.dsr >&9
    while flock -n -x .dsver/locks/gc.lock true; do sleep 0.02; done
    dsver commit -m faster docs v1.dsr >/dev/null
    tail -c +101 v1.dsr >&9
    exec 9>&-
    rc=0
    wait $! || rc=$?
    [ "$rc" -eq 11 ]
    grep -q "has moved" said
    exits 2 dsver commit --parent main --append docs v1.dsr
    exits 0 dsver commit --parent docs@main docs v2.dsr --json
    has '"unchanged":false'
}

@test "commit: a column that the new version lacks is told of" {
    versions 50
    dsprep map -q --set 'n=len(text)' v1.dsr | dsver commit docs >/dev/null
    exits 0 dsver commit docs v2.dsr
    has "the version before had a column 'n', and this one has not"
    dsprep map -q --set 'n=len(text)' v1.dsr >n.dsr
    exits 0 bash -c "dsver commit docs n.dsr 2>&1 | grep -c 'had a column' | grep -qx 0"
    exits 0 dsver commit --json docs v2.dsr
    has '"columns_gone":["n"]'
    exits 0 dsver commit --json -b other docs v2.dsr
    has '"columns_gone":[]'
}

@test "commit: the shards of a folder, and several files, are the stream that was cut" {
    need_jq
    awk 'BEGIN { for (i = 1; i <= 2500; i++) { t = ""; for (k = 0; k < 100; k++) t = t " " (i * 7919 + k * 104729) % 99991
        printf "{\"id\":\"%d\",\"text\":\"%s\"}\n", i, t } }' >l.jsonl
    dsprep text -q --key-field id l.jsonl >whole.dsr
    dsprep text -q --key-field id -z 0 --shard-size 300K -o shards l.jsonl
    [ "$(find shards -name '*.dsr' | wc -l)" -gt 3 ]
    root=$(dsprep check --json whole.dsr | jq -r .root)
    exits 0 dsver commit --json d shards
    jq -e ".records == 2500 and .root == \"$root\"" <<<"$output"
    exits 0 dsver commit --json d shards
    jq -e .unchanged <<<"$output"
    exits 0 dsver commit --json -j 1 -b files d shards/shard-*
    jq -e ".root == \"$root\"" <<<"$output"
    dsver cat d | dsprep info --json | jq -c .provenance >got
    dsprep info --json whole.dsr | jq -c .provenance | cmp - got
}

@test "commit: of shards all, or none" {
    versions 300
    mkdir shards empty
    cp v1.dsr shards/shard-00000.dsr
    dsprep text -q --split line - <<<'one more' >shards/shard-00001.dsr
    dsprep text -q --split line - <<<'the last' >shards/shard-00002.dsr
    dsver commit d v2.dsr >/dev/null
    before=$(state d)
    mv shards/shard-00001.dsr kept
    exits 12 dsver commit d shards
    has 'shards: shard 1 is missing'
    head -c -10 kept >shards/shard-00001.dsr
    exits 12 dsver commit d shards
    has 'shards/shard-00001.dsr: '
    echo 'no stream' >shards/shard-00001.dsr
    exits 12 dsver commit d shards
    has 'shards/shard-00001.dsr: '
    exits 13 dsver commit d v1.dsr nowhere.dsr
    has nowhere.dsr
    exits 1 dsver commit d empty
    has 'empty: a folder without shard-*.dsr files'
    printf '{"text":"x"}\n' | dsprep text -q -f jsonl --no-meta - >other.dsr
    exits 1 dsver commit d v1.dsr other.dsr
    has 'other.dsr: it was made by other steps'
    exits 2 dsver commit d v1.dsr - <v1.dsr
    has 'standard input goes with no other FILE'
    [ "$(state d)" = "$before" ]
    mv kept shards/shard-00001.dsr
    # on a version that it was made from; behind what is there, also again after somebody else
    dsver commit -b other d v1.dsr >/dev/null
    before=$(state d)
    exits 11 dsver commit --parent d@other d shards
    [ "$(state d)" = "$before" ]
    exits 0 dsver commit --json --parent d@main d shards
    has '"records":302'
    exits 0 dsver commit --json --append --retry d shards
    has '"records":604'
    exits 0 dsver commit --json --append --every-records 301 d shards
    has '"records":905' '"records":906'
}
