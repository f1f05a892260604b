#!/usr/bin/env bats
# dsver fsck, reindex, gc.
load dsver_common

pack() { ls .dsver/packs/*.pack | head -n 1; }

@test "a whole store has no problems" {
    versions 2000
    dsver commit d v1.dsr
    dsver commit d v2.dsr
    exits 0 dsver fsck
    has "2 versions" "0 problems"
    exits 0 dsver fsck --read-data -j 1
    has "all bytes read"
}

@test "fsck --read-data finds a flipped byte and names pack and version" {
    need_jq
    versions 2000
    dsver commit d v1.dsr
    p=$(pack)
    chmod u+w "$p"
    flip "$p" $(($(wc -c <"$p") / 2))
    exits 12 dsver fsck --read-data
    has "$(basename "$p")" "d@"
    dsver fsck --read-data --json >j 2>/dev/null || true
    jq -es 'map(select(.type == "problem")) | length > 0 and all(.file | startswith("packs/"))' j
    run bash -c 'dsver cat d >out.dsr'
    [ "$status" -eq 12 ]
    fails dsprep check out.dsr
}

@test "fsck finds a pack that is gone" {
    versions 1000
    dsver commit d v1.dsr
    rm -f "$(pack)"
    exits 12 dsver fsck
}

@test "a stream committed again brings lost pieces back" {
    versions 1000
    dsver commit d v1.dsr
    rm -f .dsver/packs/*.pack
    exits 0 dsver reindex
    exits 12 dsver fsck
    exits 0 dsver commit d v1.dsr
    has unchanged
    exits 0 dsver fsck --read-data
    dsver cat d >back.dsr
    records back.dsr | cmp - <(records v1.dsr)
}

@test "fsck finds a flipped byte anywhere in the catalog's packs" {
    versions 1000
    dsver commit d v1.dsr
    cd .dsver/catalog.git/objects/pack
    for f in *.pack *.idx; do
        size=$(wc -c <"$f")
        chmod u+w "$f"
        for at in 9 $((size / 2)) $((size - 30)) $((size - 1)); do
            flip "$f" "$at"
            run dsver fsck
            echo "$f $at: $status $output"
            [ "$status" -eq 12 ]
            flip "$f" "$at"
        done
    done
    exits 0 dsver fsck
}

@test "fsck finds a ref that leads nowhere" {
    versions 300
    dsver commit d v1.dsr
    echo 1234567890123456789012345678901234567890 >.dsver/catalog.git/refs/heads/d/main
    exits 12 dsver fsck
}

@test "reindex: the same index as before, from nothing" {
    versions 3000
    dsver commit d v1.dsr
    dsver commit d v2.dsr
    dsver reindex --dump >before
    rm -f .dsver/index.db*
    exits 0 dsver reindex
    dsver reindex --dump | cmp - before
    exits 0 dsver fsck --read-data
    echo garbage >.dsver/index.db
    rm -f .dsver/index.db-*
    exits 0 dsver reindex
    dsver reindex --dump | cmp - before
    dsver cat d >back.dsr
    records back.dsr | cmp - <(records v2.dsr)
}

@test "gc keeps what versions need, removes the rest" {
    need_jq
    versions 5000
    dsver commit -m one d v1.dsr
    dsver commit -m two e v2.dsr
    dsver commit -m three f "$GOLDEN/types.dsr"
    dsver reindex --dump >all
    exits 0 dsver gc
    dsver reindex --dump | cmp - all
    git -C .dsver/catalog.git update-ref -d refs/heads/d/main
    git -C .dsver/catalog.git update-ref -d refs/heads/f/main
    dsver gc --dry-run --json | jq -e '.dead > 0 and .dry_run'
    dsver reindex --dump | cmp - all
    dsver gc --json | jq -e '.dead > 0 and .bytes_after < .bytes_before and .missing == 0'
    exits 0 dsver fsck --read-data
    dsver cat e >back.dsr
    records back.dsr | cmp - <(records v2.dsr)
    dsver commit -m again f "$GOLDEN/types.dsr" # its pieces are stored anew
    dsver cat f | cmp - "$GOLDEN/types.dsr"
}

@test "a tag keeps a version" {
    need_jq
    versions 2000
    dsver commit -m one d v1.dsr
    git -C .dsver/catalog.git tag keep refs/heads/d/main
    git -C .dsver/catalog.git update-ref -d refs/heads/d/main
    dsver gc --json | jq -e '.dead == 0 and .versions == 1'
}

@test "gc removes nothing when a version cannot be read" {
    versions 2000
    dsver commit -m one d v1.dsr
    ls .dsver/packs >before
    rm -f .dsver/catalog.git/objects/pack/*.pack
    exits 12 dsver gc
    ls .dsver/packs | cmp - before
}

@test "gc joins the catalog's packs past 64, and drops leftovers" {
    for i in $(seq 65); do
        printf 'line %s\n' "$i" | dsprep text -q --split line - | dsver commit -m "$i" d >/dev/null
    done
    touch .dsver/catalog.git/objects/pack/tmp_pack_1_1 .dsver/catalog.git/objects/pack/pack_git2_abc
    dsver log --json d >before
    exits 0 dsver gc
    [ "$(ls .dsver/catalog.git/objects/pack/*.pack | wc -l)" -eq 1 ]
    [ "$(ls .dsver/catalog.git/objects/pack | wc -l)" -eq 2 ]
    dsver log --json d | cmp - before
    git -C .dsver/catalog.git fsck --strict
    exits 0 dsver fsck --read-data
    printf 'after\n' | dsprep text -q --split line - | dsver commit -m after d
    exits 0 dsver fsck
}

@test "gc --no-wait gives up while a writer is at work" {
    versions 1000
    dsver commit d v1.dsr
    mkfifo pipe
    dsver commit -m slow d pipe >/dev/null &
    exec 9>pipe
    head -c 60000 v2.dsr >&9 # the writer has begun: it holds the lock until the pipe ends
    for i in $(seq 500); do
        run dsver gc --no-wait
        [ "$status" -eq 11 ] && break
    done
    [ "$status" -eq 11 ]
    tail -c +60001 v2.dsr >&9
    exec 9>&-
    wait
    exits 0 dsver gc --no-wait
    dsver log --oneline d | grep -q slow
}

@test "gc: a version that is being read stays although nothing leads to it any more" {
    versions 40000
    dsver commit docs v1.dsr >/dev/null
    dsver commit -b trial docs v2.dsr >/dev/null
    mkfifo slow
    dsver cat docs@trial >slow &
    reader=$!
    exec 7<slow
    head -c 8 <&7 >begin # it has begun: its pin is there
    dsver branch -d docs trial >/dev/null
    dsver gc --grace 0 --json >during
    grep -q '"dead":0' during
    cat begin - <&7 >read.dsr
    exec 7<&-
    wait "$reader"
    dsprep check read.dsr
    [ "$(records read.dsr | sha256sum)" = "$(records v2.dsr | sha256sum)" ]
    dsver gc --grace 0 --json >after
    ! grep -q '"dead":0,' after
    [ -z "$(ls .dsver/locks/readers)" ]
    dsver fsck --read-data
}

@test "gc: the pin of a reader that was killed goes" {
    lines 100 | dsprep text -q --split line - | dsver commit docs >/dev/null
    mkdir -p .dsver/locks/readers
    git -C .dsver/catalog.git rev-parse refs/heads/docs/main | tr -d '\n' >.dsver/locks/readers/1-1
    dsver reset docs main >/dev/null
    dsver gc
    [ -z "$(ls .dsver/locks/readers)" ]
}

@test "gc: objects of the catalog that nothing leads to go, those of annotated tags stay" {
    versions 300
    dsver commit docs v1.dsr >/dev/null
    dsver tag -m "kept" docs@main t1 >/dev/null
    dsver commit -b trial docs v2.dsr >/dev/null
    gone=$(git -C .dsver/catalog.git rev-parse refs/heads/docs/trial)
    tag=$(git -C .dsver/catalog.git rev-parse refs/tags/docs/t1)
    dsver branch -d docs trial >/dev/null
    dsver gc --dry-run --grace 0 >/dev/null
    git -C .dsver/catalog.git cat-file -e "$gone"
    dsver gc >/dev/null # within its time of grace
    git -C .dsver/catalog.git cat-file -e "$gone"
    dsver gc --grace 0 --json >out
    grep -q '"catalog_objects_pruned":[1-9]' out
    ! git -C .dsver/catalog.git cat-file -e "$gone" 2>/dev/null
    [ "$(git -C .dsver/catalog.git cat-file -t "$tag")" = tag ]
    git -C .dsver/catalog.git fsck --strict
    dsver fsck --read-data
    [ "$(dsver cat docs@t1 | records - | sha256sum)" = "$(records v1.dsr | sha256sum)" ]
}
