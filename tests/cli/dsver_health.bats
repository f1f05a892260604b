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

@test "fsck finds a pack that is gone or cut off, and names what lay there and the versions that need it" {
    need_jq
    versions 1000
    dsver commit d v1.dsr
    dsver commit e "$GOLDEN/types.dsr"
    dsver commit d v2.dsr
    one="d@$(git -C .dsver/catalog.git rev-parse --short=12 refs/heads/d/main~1)"
    two="d@$(git -C .dsver/catalog.git rev-parse --short=12 refs/heads/d/main)"
    p=$(ls -S .dsver/packs/*.pack | head -n 1)
    dsver reindex --dump >dump
    name=$(basename "$p" .pack)
    n=$(sed -n "s/^pack $name .*objects=//p" dump)
    mv "$p" kept
    exits 12 dsver fsck
    has "$name.pack: the pack is missing" "touches $two $one"
    # Every piece of it, and each piece of the second version that was stored against one.
    dsver fsck --json >j 2>/dev/null || true
    jq -es "map(select(.type == \"problem\" and .file == \"packs/$name.pack\" and .id)) | length == $n" j
    jq -es 'map(select(.type == "problem" and .id)) | length > 0 and all(.versions | length > 0 and all(startswith("d@")))' j
    jq -es "map(select(.type == \"problem\" and .file != \"packs/$name.pack\")) | length > 0 and all(.versions == [\"$two\"])" j
    for size in $(($(wc -c <kept) / 2)) 5 0; do
        head -c $size kept >"$p"
        exits 12 dsver fsck
        has "$name.pack" "touches $two $one"
        rm "$p"
    done
    mv kept "$p"
    exits 0 dsver fsck --read-data
}

@test "fsck --read-data-subset: N of T, and not all beside it" {
    versions 1000
    dsver commit d v1.dsr
    exits 0 dsver fsck --read-data-subset 1/1 --json
    has '"read_data":false,"part":1,"parts":1,'
    exits 2 dsver fsck --read-data-subset 3/2
    exits 2 dsver fsck --read-data --read-data-subset 1/2
    has "exclude each other"
}

@test "fsck names all versions that need a piece that no pack holds" {
    versions 1000
    dsver commit d v1.dsr
    printf 'x\n' | dsprep text -q --split line - | dsver commit -b side d -
    dsver commit -m again e v1.dsr
    rm -f .dsver/packs/*.pack
    exits 0 dsver reindex
    exits 12 dsver fsck
    [[ "$output" == *"no pack holds this piece; touches "*"d@"*"e@"* || "$output" == *"no pack holds this piece; touches "*"e@"*"d@"* ]]
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

@test "fsck names every ref that cannot be read, and looks at what the others lead to" {
    versions 100
    dsver commit -q alpha v1.dsr
    dsver commit -q omega v1.dsr
    dsver branch omega side >/dev/null
    echo garbage >.dsver/catalog.git/refs/heads/alpha/main
    : >.dsver/catalog.git/refs/heads/omega/side
    exits 12 dsver fsck
    has "ref refs/heads/alpha/main: " "ref refs/heads/omega/side: " "1 version, " " 2 problems"
    rm .dsver/packs/*.pack
    exits 12 dsver fsck
    has "omega@" "ref refs/heads/alpha/main: "
}

@test "a version whose message tells of another root or count than its manifest is not read" {
    versions 300
    dsver commit d v1.dsr
    key=$(records v1.dsr | sed -n '1s/.*"key":"\([^"]*\)".*/\1/p')
    git() { command git --git-dir=.dsver/catalog.git "$@"; }
    for sed in 's/sha256:./sha256:/; s/^Dsver-Root: .*/&0/' 's/^Dsver-Records: /&1/'; do
        id=$(git cat-file commit d/main | sed "$sed" | git hash-object -t commit -w --stdin)
        git update-ref refs/heads/d/false "$id"
        for cmd in "cat d@false" "show d@false" "verify d@false" "log d@false" "log --oneline d@false" "ls d" "branch d"; do
            exits 12 dsver $cmd
            has "in its message"
        done
        exits 12 dsver sql "SELECT max(records) FROM commits"
        exits 12 dsver checkout d@false out
        for cmd in "diff d d@false" "diff --stats d d@false" "blame d@false $key" "stats d@false"; do
            exits 12 dsver $cmd
            has "in its message"
        done
        for table in records blocks sources origins; do
            exits 12 dsver sql d@false "SELECT count(*) FROM $table"
            has "in its message"
        done
        exits 12 dsver fsck
        dsver cat d >/dev/null
        exits 0 dsver diff d d
        exits 0 dsver forget --dry-run --reason "a false message keeps no record" "$key"
    done
}

@test "fsck tells of a commit that is a version but for its message, and leaves others alone" {
    versions 300
    dsver commit d v1.dsr
    dsver commit d v2.dsr
    git() { command git -c user.name=a -c user.email=a@b --git-dir=.dsver/catalog.git "$@"; }
    main=$(git rev-parse d/main)
    for sed in 's/^Dsver-Dataset: .*/Dsver-Dataset d/' '/^Dsver-Records/d' 's/^Dsver-Root: sha256:./&x/' '/^Dsver-/d' '$s/$/\n\nSigned-off-by: A <a@b>/'; do
        id=$(git cat-file commit d/main | sed "$sed" | git hash-object -t commit -w --stdin)
        git update-ref refs/heads/d/false "$id"
        exits 12 dsver fsck
        [ "$(grep -c "^catalog.git ${id:0:16}: counts as no version" <<<"$output")" = 1 ]
        exits 12 dsver fsck --json
        has "\"id\":\"$id\""
    done
    # nothing of ours is in its tree and its message, but it stands on a version
    id=$(echo notes | git commit-tree -p "$main" "$(git hash-object -t tree -w --stdin </dev/null)")
    git update-ref refs/heads/d/false "$id"
    exits 12 dsver fsck
    [ "$(grep -c "counts as no version" <<<"$output")" = 1 ]
    # where no ref leads to it, and for somebody's own history, nothing is said
    id=$(echo notes | git commit-tree "$(git hash-object -t tree -w --stdin </dev/null)")
    git update-ref refs/heads/d/false "$(echo 'more, of Dsver-Root: x' | git commit-tree -p "$id" "$id^{tree}")"
    exits 0 dsver fsck
    git update-ref -d refs/heads/d/false
    exits 0 dsver fsck
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

# many_packs N: N versions, each with a git pack of its own, as programs of before left them.
many_packs() {
    printf 'line\n' | dsprep text -q --split line - >one.dsr
    for ((i = 0; i < $1; i++)); do cat one.dsr; done |
        flock .dsver/locks/collect.lock dsver commit -q --every-records 1 -m many d
    [ "$(git_packs)" -eq "$1" ]
}

git_packs() { find .dsver/catalog.git/objects/pack -name '*.pack' | wc -l; }

@test "commits join the catalog's packs past 64, but for those that a git command guards" {
    many_packs 64
    kept=$(find .dsver/catalog.git/objects/pack -name '*.pack' | head -n 1)
    touch "${kept%.pack}.keep"
    dsver commit -q --append -m more d one.dsr
    [ "$(git_packs)" -eq 65 ] # 64 of them may be joined: not too many yet
    dsver log --json d >before
    exits 0 dsver gc --dry-run
    dsver commit -q --append -m most d one.dsr
    [ "$(git_packs)" -eq 2 ]
    [ -e "$kept" ]
    dsver log --json d | tail -n +2 | cmp - before
    rm "${kept%.pack}.keep"
    git -C .dsver/catalog.git fsck --strict
    exits 0 dsver fsck
    has "66 versions" "0 problems"
}

@test "commit: who reads on a terminal is told of gc each time that the store has 500 packs more" {
    printf 'line\n' | dsprep text -q --split line - >one.dsr
    cat one.dsr one.dsr one.dsr >three.dsr
    dsver commit -q --every-records 1 d three.dsr # 3 packs
    fill() { (cd .dsver/packs && touch $(seq "$1")); }
    fill 490
    exits 0 env DS_FAKE_TTY=1 dsver commit --append --every-records 1 d three.dsr # 496
    [[ "$output" != *gc* ]]
    exits 0 env DS_FAKE_TTY=1 dsver commit --append --every-records 1 d three.dsr # 499
    [[ "$output" != *gc* ]]
    exits 0 env DS_FAKE_TTY=1 dsver commit --append --every-records 1 d three.dsr # 502
    has "the store has 502 packs by now: dsver gc joins those that are small"
    exits 0 env DS_FAKE_TTY=1 dsver commit --append --every-records 1 d three.dsr # 505
    [[ "$output" != *gc* ]]
    fill 985
    exits 0 dsver commit --append --every-records 1 d three.dsr # 1003, but not on a terminal
    [[ "$output" != *gc* ]]
}

@test "a catalog of more packs than a process may open files is read, and joined" {
    many_packs 130
    (
        ulimit -n 110
        [ "$(dsver log --oneline d | wc -l)" -eq 130 ]
        exits 0 dsver fsck
        has "130 versions" "0 problems"
        exits 0 dsver gc --dry-run
    )
    dsver commit -q --append -m more d one.dsr
    [ "$(git_packs)" -eq 1 ]
    exits 0 dsver fsck
    has "131 versions" "0 problems"
}

@test "gc joins the catalog's packs past 64, and drops leftovers" {
    many_packs 65
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
    ! grep -q '"dead":0,' after || return 1
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

@test "a reader does not wait for one of another container that has its process number" {
    unshare --pid --fork true 2>/dev/null || skip "no process number spaces here"
    versions 40000
    dsver commit docs v1.dsr >/dev/null
    mkfifo slow
    unshare --pid --fork dsver cat docs >slow & # process 1 there
    first=$!
    exec 7<slow
    head -c 8 <&7 >begin
    ls .dsver/locks/readers >one
    timeout 20 unshare --pid --fork dsver cat docs >read.dsr # and process 1 here
    ls .dsver/locks/readers | cmp - one
    cat begin - <&7 >first.dsr
    exec 7<&-
    wait "$first"
    cmp first.dsr read.dsr
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
    ! git -C .dsver/catalog.git cat-file -e "$gone" 2>/dev/null || return 1
    [ "$(git -C .dsver/catalog.git cat-file -t "$tag")" = tag ]
    git -C .dsver/catalog.git fsck --strict
    dsver fsck --read-data
    [ "$(dsver cat docs@t1 | records - | sha256sum)" = "$(records v1.dsr | sha256sum)" ]
}

# damage PACK OFFSET: four bytes of it.
damage() {
    chmod u+w "$1"
    printf 'XXXX' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "fsck --read-data-subset: every pack is in one of the parts" {
    for i in 1 2 3 4 5 6; do
        lines 400 | sed "s/^/$i /" | dsprep text -q --split line - | dsver commit "set$i" >/dev/null
    done
    pack=$(ls .dsver/packs/*.pack | head -n 1)
    damage "$pack" 300
    found=0
    for n in 1 2 3; do
        run dsver fsck --read-data-subset $n/3
        [ "$status" -eq 0 ] || found=$((found + 1))
        [ "$status" -eq 0 ] || [ "$status" -eq 12 ]
        has "a part of all bytes read"
    done
    [ "$found" -eq 1 ]
    for bad in 0/3 4/3 1 1/ /3 -1/3 1/0 a/b 1/3x ' 1/3' 1/+3 1/-18446744073709551613; do
        exits 2 dsver fsck --read-data-subset="$bad"
    done
}

@test "repair: damaged and missing pieces come from a second store" {
    versions 6000
    dsver commit docs v1.dsr >/dev/null
    dsver commit docs v2.dsr >/dev/null
    lines 300 | sed 's/^/more /' | dsprep text -q --split line - | dsver commit more >/dev/null
    cp -r .dsver backup
    exits 0 dsver repair --from backup
    has " 0 bad"
    first=$(ls -S .dsver/packs/*.pack | head -n 1)
    damage "$first" 400
    damage "$first" $(($(stat -c %s "$first") / 2))
    rm -f "$(ls -S .dsver/packs/*.pack | tail -n 1)"
    exits 12 dsver fsck --read-data
    exits 2 dsver repair
    cp -r .dsver twin
    exits 12 dsver repair --from twin # it has the same damage
    exits 0 dsver repair --from backup --json
    has '"bad":' '"healed":'
    exits 0 dsver fsck --read-data
    for i in 0 1; do
        [ "$(dsver cat docs~$i | records - | sha256sum)" = "$(records v$((2 - i)).dsr | sha256sum)" ]
    done
    dsver cat more | dsprep check -
    dsver reindex && dsver fsck --read-data
}

@test "a damaged piece heals when its stream is committed once more" {
    versions 6000
    dsver commit docs v1.dsr >/dev/null
    damage "$(ls .dsver/packs/*.pack)" 400
    exits 12 dsver fsck --read-data
    dsver reindex >/dev/null || true
    # what is lacking keeps the damaged pack, for what it may be good for
    exits 12 dsver fsck
    has "the piece is not in the index: it is damaged, or" "no pack holds this piece"
    packs=$(ls .dsver/packs)
    exits 12 dsver gc --grace 0
    [ "$(ls .dsver/packs)" = "$packs" ]
    dsver commit docs v1.dsr >/dev/null
    [ "$(dsver cat docs | records - | sha256sum)" = "$(records v1.dsr | sha256sum)" ]
    # then it is of no use, and hurts nobody
    exits 0 dsver fsck
    exits 12 dsver fsck --read-data
    has "a damaged copy of a piece that lies elsewhere too: dsver gc removes this one"
    [[ $output != *touches* ]]
    dsver gc --grace 0 >/dev/null
    exits 0 dsver fsck --read-data
    [ "$(dsver cat docs | records - | sha256sum)" = "$(records v1.dsr | sha256sum)" ]
}

# two_stores: docs with two versions, a tag and a branch; backup is a copy of it.
two_stores() {
    versions 3000
    dsver commit docs v1.dsr >/dev/null
    dsver tag -m kept docs one >/dev/null
    dsver commit docs v2.dsr >/dev/null
    dsver branch docs~1 side >/dev/null
    git -C .dsver/catalog.git for-each-ref >refs
    cp -r .dsver backup
    CAT=.dsver/catalog.git
}

as_it_was() {
    git -C .dsver/catalog.git for-each-ref | cmp - refs
    git -C .dsver/catalog.git fsck --strict
    exits 0 dsver fsck --read-data
    [ "$(dsver cat docs | records - | sha256sum)" = "$(records v2.dsr | sha256sum)" ]
    [ "$(dsver cat docs@one | records - | sha256sum)" = "$(records v1.dsr | sha256sum)" ]
}

@test "repair: the catalog's packs and their indexes, damaged, cut and gone" {
    two_stores
    cp -r .dsver whole
    # a version that the second store has not: what can be read of a damaged pack stays
    printf 'alone\n' | dsprep text -q --split line - | dsver commit alone >/dev/null
    git -C $CAT for-each-ref >refs
    chmod -R u+w $CAT/objects
    for f in $CAT/objects/pack/*.idx; do flip "$f" $(($(wc -c <"$f") / 2)); done
    exits 12 dsver fsck
    exits 0 dsver repair --from backup
    has "files replaced, 0 objects taken"
    as_it_was
    for f in $CAT/objects/pack/*.pack; do flip "$f" $(($(wc -c <"$f") - 5)); done # their own sums alone
    exits 12 dsver fsck
    exits 0 dsver repair --from backup
    has "files replaced, 0 objects taken"
    as_it_was
    # of what is damaged now the second store has all
    rm -rf .dsver && mv whole .dsver
    git -C $CAT for-each-ref >refs
    chmod -R u+w $CAT/objects
    flip "$(ls $CAT/objects/pack/*.pack | head -n 1)" 40
    f=$(ls $CAT/objects/pack/*.pack | tail -n 1)
    head -c $(($(wc -c <"$f") / 2)) "$f" >cut && mv cut "$f"
    exits 12 dsver fsck
    exits 0 dsver repair --from backup --json
    has '"lost":0' '"type":"repair"'
    as_it_was
    rm -f $CAT/objects/pack/*
    exits 0 dsver repair --from backup
    as_it_was
}

@test "repair: refs that cannot be read or are gone, and a catalog that is gone altogether" {
    two_stores
    sed -i 's#refs/heads#refs/he`ds#' $CAT/HEAD # read by git's library, and not by git
    exits 12 dsver fsck
    has "catalog.git/HEAD: git cannot read it"
    exits 0 dsver repair --from backup
    as_it_was
    echo garbage >$CAT/refs/heads/docs/main
    : >$CAT/refs/tags/docs/one
    rm $CAT/refs/heads/docs/side
    exits 0 dsver repair --from backup
    has "3 refs put back"
    as_it_was
    git -C $CAT pack-refs --all
    sed -i 's/^\([0-9a-f]\)/g\1/' $CAT/packed-refs
    exits 12 dsver fsck
    exits 0 dsver repair --from backup
    as_it_was
    dsver oplog --json >log
    rm -rf $CAT
    exits 12 dsver fsck
    exits 0 dsver repair --from backup
    has "catalog begun anew" "lost"
    as_it_was
    # the log knew where the refs were, also without it
    rm -rf $CAT .dsver/oplog*
    exits 0 dsver repair --from backup
    as_it_was
    : >$CAT/HEAD && echo '[core' >$CAT/config
    exits 0 dsver repair --from backup
    as_it_was
}

@test "repair: a branch that only the operation log knows, with its pieces and without" {
    two_stores
    printf 'never made\n' | dsprep text -q --split line - | dsver commit -b ghost docs >/dev/null
    rm $CAT/refs/heads/docs/ghost # as a commit that dies behind its entry leaves it
    git -C $CAT for-each-ref >refs
    cp -r .dsver dead
    exits 0 dsver repair --from backup # all of it can be had: it comes back
    has "1 ref put back"
    [ "$(dsver cat docs@ghost | records - | wc -l)" = 1 ]
    rm -rf .dsver && mv dead .dsver
    dsver gc >/dev/null # its pieces go; what is young stays in the catalog
    git -C $CAT cat-file -e "$(dsver oplog --json | sed -n 's/.*docs\/ghost.*"after":"\([0-9a-f]*\)".*/\1/p')"
    exits 0 dsver repair --from backup
    has "1 ref left out" "refs/heads/docs/ghost"
    exits 0 dsver repair --from backup --json
    has '"unmade":1'
    as_it_was
}

@test "repair: the index, and what the second store has not" {
    two_stores
    head -c 5000 /dev/zero | tr '\0' x >.dsver/index.db
    rm -f .dsver/index.db-*
    exits 0 dsver repair --from backup
    has "index made anew"
    as_it_was
    printf 'alone\n' | dsprep text -q --split line - | dsver commit alone >/dev/null
    before=$(git -C $CAT rev-parse refs/heads/alone/main)
    chmod -R u+w $CAT/objects
    rm -f $CAT/objects/pack/*
    exits 12 dsver repair --from backup
    has "could not be had from backup" "catalog object $before" "1 lost"
    [ "$(dsver cat docs | records - | sha256sum)" = "$(records v2.dsr | sha256sum)" ]
}

@test "repair: from a remote, which sends what is needed" {
    two_stores
    mkdir far
    dsver remote add nas "$PWD/far" >/dev/null
    dsver push nas >/dev/null
    git -C $CAT for-each-ref >refs
    chmod -R u+w .dsver
    rm -f $CAT/objects/pack/*
    damage "$(ls -S .dsver/packs/*.pack | head -n 1)" 400
    mkdir tmp
    TMPDIR=$PWD/tmp exits 0 dsver repair --from nas
    has "objects taken" " healed"
    [ -z "$(ls tmp)" ]
    as_it_was
    rm -f .dsver/packs/*
    exits 0 dsver repair --from "$PWD/far"
    as_it_was
    fails dsver repair --from nowhere
}
