# What a remote lets go: records that were erased reach it and the other clones, and packs that nothing needs are freed.
load ../remote/remote_common

setup() {
    remote_setup
    for p in python3 zstd; do
        command -v $p >/dev/null || skip "$p is not installed"
    done
    awk 'BEGIN { s = 11
        for (i = 0; i < 600; i++) {
            t = ""
            for (k = 0; k < 30; k++) { s = (s * 16807) % 2147483647; t = t " w" (s % 3000) }
            printf "{\"id\":\"p-%03d\",\"text\":\"%s%s\"}\n", i, (i == 377 ? "ZEBRAFINCH" : i == 10 ? "AXOLOTL" : "seen"), t
        } }' >p1.jsonl
    sed '100d; 500s/seen/seen again/' p1.jsonl >p2.jsonl
    for i in 1 2; do
        dsprep text -q --field text --key-field id p$i.jsonl >p$i.dsr
        (cd a && dsver commit -m "p$i" people ../p$i.dsr >/dev/null)
    done
    dir=far
}
teardown() { remote_teardown; }

# to_folder, to_s3: where a pushes to; $dir has the packs, and clone_it clones.
to_folder() { (cd a && dsver remote add origin ../far); }
to_s3() {
    s3_start
    dir=s3/data/bucket/some/where
}
clone_it() {
    if [ "$dir" = far ]; then dsver clone "${@:2}" far "$1"; else clone_s3 "${@:2}" "$1"; fi >/dev/null
}
# holding STORE|FOLDER TEXT...: those of the texts that stand in a file or, decoded, in a piece.
holding() {
    local at=$1 rc=0
    [ -d "$at/.dsver" ] && at=$at/.dsver
    [ "$at" = "$dir" ] && { [ -d "$at/catalog.git" ] || git init -q --bare "$at/catalog.git"; }
    python3 "$DS_ROOT/tests/compat/dsstore.py" find "$at" "${@:2}" >found || rc=$?
    [ "$rc" -le 1 ] && cut -f 1 found | xargs
}
tombs() { (cd "$1" && dsver cat people~1 | dsprep cat | grep -c erased:); }
sound() { for d in "$@"; do (cd "$d" && dsver fsck --read-data >/dev/null) || return 1; done; }

# an erasure in a reaches the remote and the other clones, and a clone that does not know of it cannot bring the record back
reaches_all() {
    in_a push -q
    clone_it b
    clone_it c --lazy
    (cd c && dsver cat people >/dev/null)
    for x in "$dir" b c; do [ "$(holding "$x" ZEBRAFINCH)" = ZEBRAFINCH ]; done
    (cd a && dsver forget --reason r p-377)
    exits 0 in_a push
    [[ $output == *"erased records  new"* ]]
    [ "$(holding "$dir" ZEBRAFINCH p-377 AXOLOTL)" = AXOLOTL ]
    packs=$(ls "$dir/packs")
    # a stale clone, with a version of its own that shares the blocks
    (cd b && { cat ../p2.jsonl; echo '{"id":"q","text":"mine"}'; } | dsprep text -q --format jsonl --field text --key-field id - | dsver commit -m mine people >/dev/null)
    exits 1 in_b push
    [[ $output == *"records were erased there"*"fetch first"* ]]
    exits 1 in_b push --force
    [ "$(ls "$dir/packs")" = "$packs" ]
    exits 0 in_b fetch
    [[ $output == *"erased records  new"* ]]
    sound b
    [ "$(tombs b)" = 1 ]
    exits 0 in_b push # its own version holds the record anew, in other blocks: that is for it to see to
    (cd c && dsver pull -q && dsver cat people~1 >/dev/null)
    [ "$(cd c && dsver cat people~1 | dsprep cat | grep -c erased:)" = 1 ]
    sound a c
    clone_it d
    sound d
    [ "$(cd d && dsver cat people~2 | sha256sum)" = "$(cd b && dsver cat people~2 | sha256sum)" ]
}

@test "an erasure reaches a folder and the other clones" {
    to_folder
    reaches_all
}

@test "an erasure reaches an object store and the other clones" {
    to_s3
    reaches_all
}

@test "erasures of two clones that did not know of each other are joined" {
    to_folder
    in_a push -q
    clone_it b
    (cd a && dsver forget --reason r1 p-377 && dsver push) >/dev/null
    (cd b && dsver forget --reason r2 p-010 p-377) >/dev/null
    exits 1 in_b push
    exits 0 in_b fetch
    exits 0 in_b push
    exits 0 in_a fetch
    [ "$(tombs a)" = 2 ]
    for x in a b; do (cd $x && dsver cat people~1 | dsprep cat | sha256sum) >sum.$x; done
    cmp sum.a sum.b
    sound a b
    for x in a b far; do
        [ "$(holding $x ZEBRAFINCH AXOLOTL again)" = again ]
    done
    exits 0 git -C a/.dsver/catalog.git ls-tree --name-only refs/dsver/erased:statements
    [ "$output" = $'000001.json\n000002.json' ]
    exits 0 in_b fetch
    exits 0 in_a push
    [ "$output" = "nothing new" ]
    # another one goes on from there
    (cd a && dsver forget --reason r3 p-011 && dsver push) >/dev/null
    exits 0 in_b fetch
    [ "$(tombs b)" = 3 ]
    sound b
}

@test "erased pieces that a version committed since needs again are nothing to be settled with each push and fetch" {
    to_folder
    in_a push -q
    (cd a && dsver forget --reason r p-377 && dsver push) >/dev/null
    sed 's/w7 /w8 /' p2.jsonl | dsprep text -q --format jsonl --field text --key-field id - | (cd a && dsver commit people -) >/dev/null
    [ "$(holding a ZEBRAFINCH)" = ZEBRAFINCH ]
    in_a push -q
    n=$(wc -l <a/.dsver/oplog)
    exits 0 in_a fetch
    exits 0 in_a push
    [ "$(wc -l <a/.dsver/oplog)" -eq "$n" ]
    # no more than that: when the version is gone, so are they with the next one
    (cd a && dsver reset people main~1 && dsver gc --grace 0s && dsver fetch) >/dev/null
    in_a push -q --force
    (cd a && git --git-dir=.dsver/catalog.git update-ref -d refs/remotes/origin/people/main && dsver gc --grace 0s && dsver fetch) >/dev/null
    [ -z "$(holding a ZEBRAFINCH)" ]
    sound a
}

# apart: beside people a branch `side` that shares no block with it, cloned as b, and deleted at the remote.
apart() {
    to_folder
    sed 's/seen/side/' p1.jsonl | dsprep text -q --format jsonl --field text --key-field id - | (cd a && dsver commit -b side people >/dev/null)
    in_a push -q
    clone_it b
    in_a push -q --delete origin people@side
}
side() { (cd "$1" && dsver cat people@side | dsprep cat | sha256sum); }

@test "an erasure reaches versions that a clone has and the remote has no more" {
    apart
    (cd a && dsver forget --reason r1 p-377 && dsver forget --reason r2 p-010 p-378 && dsver push origin people@main) >/dev/null
    exits 0 in_b fetch
    sound a b
    for x in a b; do
        [ "$(holding $x ZEBRAFINCH AXOLOTL side)" = side ]
        [ "$(cd $x && dsver cat people@side | dsprep cat | grep -c erased:)" = 3 ]
    done
    [ "$(side a)" = "$(side b)" ]
    exits 0 in_b fetch
    [ "$output" = "nothing new" ]
    # and the branch goes back to the remote from there
    exits 0 in_b push origin people@side
    [ "$(holding far ZEBRAFINCH AXOLOTL side)" = side ]
    clone_it c
    sound c
}

@test "erasures of two clones are joined for versions that the remote has no more" {
    apart
    (cd a && dsver forget --reason r1 p-377 && dsver push origin people@main) >/dev/null
    (cd b && dsver forget --reason r2 p-377 p-010) >/dev/null
    exits 0 in_b fetch
    exits 0 in_b push origin people@main
    exits 0 in_a fetch
    [ "$(side a)" = "$(side b)" ]
    # what is known of both goes on to who has heard of neither
    git -C far/catalog.git update-ref -d refs/heads/people/side
    clone_it c
    sound a b c
}

@test "an erasure of old, which does not tell rows, says of which branch the remote lacks what is read instead" {
    apart
    (cd a && dsver forget --reason r1 p-377) >/dev/null
    g() { git -C a/.dsver/catalog.git -c user.name=x -c user.email=x "$@"; }
    tree=$(g ls-tree refs/dsver/erased | grep -v rows | g mktree)
    g update-ref refs/dsver/erased "$(g commit-tree -m old -p "$(g rev-parse refs/dsver/erased^)" "$tree")"
    (cd a && dsver push origin people@main) >/dev/null
    cp -a b b2
    exits 12 in_b fetch
    [[ $output == *"lacks what is read in place of erased records"*"refs/heads/people/side"*"dsver push there"* ]]
    sound b
    # either way out
    (cd b && dsver branch -d people side) >/dev/null
    exits 12 in_b fetch --prune
    [[ $output == *refs/dsver/kept/* ]]
    (cd b && dsver gc --grace 0s && dsver fetch) >/dev/null
    (cd a && dsver push) >/dev/null
    (cd b2 && dsver fetch) >/dev/null
    sound b b2
    [ -z "$(holding b ZEBRAFINCH)$(holding b2 ZEBRAFINCH)" ]
}

@test "sources that two clones emptied on one page are joined" {
    to_folder
    mkdir files
    for i in 1 2 3 4 5; do echo "file number $i" >files/name-$i.txt; done
    dsprep text -q files | (cd a && dsver commit people >/dev/null)
    in_a push -q
    clone_it b
    key() { (cd a && dsver cat people | dsprep cat | sed -n 's/^{"key":"\([^"]*name-'"$1"'[^"]*\)".*/\1/p'); }
    two=$(key 2) four=$(key 4)
    (cd a && dsver forget --reason r "$two" && dsver push) >/dev/null
    (cd b && dsver forget --reason r "$four" && dsver fetch && dsver push) >/dev/null
    (cd a && dsver pull) >/dev/null
    for x in a b far; do
        [ "$(holding $x name-2 name-4 name-3)" = name-3 ]
    done
    sound a b
}

@test "a push that died before the remote's packs were clean is made up for by the next" {
    to_folder
    in_a push -q
    cp -r far/packs old
    (cd a && dsver forget --reason r p-377 && dsver push) >/dev/null
    # as a stale push that sent its packs and was refused would leave them
    cp -n old/* far/packs/
    [ "$(holding far ZEBRAFINCH)" = ZEBRAFINCH ]
    clone_it b
    sound b
    [ "$(holding b ZEBRAFINCH AXOLOTL)" = AXOLOTL ]
    exits 0 in_b push
    [ "$(holding far ZEBRAFINCH AXOLOTL)" = AXOLOTL ]
    cp -n old/* far/packs/
    exits 0 in_b gc --remote origin
    [ "$(holding far ZEBRAFINCH AXOLOTL)" = AXOLOTL ]
    clone_it c
    sound c
}

@test "an erasure that was fetched and not carried through is, by the next gc" {
    to_folder
    in_a push -q
    clone_it b
    (cd a && dsver forget --reason r p-377 && dsver push) >/dev/null
    git -C b/.dsver/catalog.git fetch -q "$PWD/far/catalog.git" refs/dsver/erased:refs/dsver/erasing
    (cd b && dsver fetch) >/dev/null
    sound b
    [ "$(holding b ZEBRAFINCH AXOLOTL)" = AXOLOTL ]
    [ -z "$(git -C b/.dsver/catalog.git for-each-ref refs/dsver/erasing)" ]
    git -C b/.dsver/catalog.git update-ref refs/dsver/erasing refs/dsver/erased
    exits 12 in_b fsck
    [[ $output == *"not carried through"*"dsver gc"* ]]
    exits 0 in_b gc
    [ -z "$(git -C b/.dsver/catalog.git for-each-ref refs/dsver/erasing)" ]
}

# ---- gc of a remote

# trial: a branch at the remote that has pieces of its own, and nobody leads to it any more.
trial() {
    head -n 300 p1.jsonl | sed 's/w1/v1/g' | dsprep text -q --format jsonl --field text --key-field id - | (cd a && dsver branch people trial && dsver commit -b trial -m t people) >/dev/null
    in_a push -q
    git -C "${dir_git:-far/catalog.git}" update-ref -d refs/heads/people/trial
}

frees_in_two() {
    in_a push -q
    before=$(ls "$dir/packs")
    trial
    [ "$(ls "$dir/packs")" != "$before" ]
    exits 0 in_a gc --remote origin --dry-run --json
    [[ $output == *'"condemned":1'* && $output == *'"deleted":0'* ]]
    [ ! -e "$dir/gc" ]
    exits 0 in_a gc --remote origin --grace 0
    [[ $output == *"deleted 0"*"condemned 1 "* ]]
    exits 0 in_a gc --remote origin --grace 1d
    [[ $output == *"deleted 0"*"still in grace 1 "* ]]
    clone_it b
    exits 0 in_b gc --remote origin --grace 0
    [[ $output == *"deleted 1 "* ]]
    [ "$(ls "$dir/packs")" = "$before" ]
    [ -z "$(ls "$dir/gc")" ]
    clone_it c
    sound b c
    exits 0 in_a gc --remote origin --grace 0
    [[ $output == *"deleted 0"*"condemned 0"* ]]
    # what is known of the remote here was of before: it is seen
    (cd a && dsver push) >/dev/null
    clone_it d
    [ "$(cd d && dsver cat people@trial | sha256sum)" = "$(cd a && dsver cat people@trial | sha256sum)" ]
}

@test "gc of a folder frees in two runs what no ref needs" {
    to_folder
    frees_in_two
}

@test "gc of an object store frees in two runs what no ref needs" {
    to_s3
    dir_git=cat.git
    frees_in_two
}

# joins: many small packs become few by gc in the store gc; $dir is where they lie.
joins() {
    local i gc=(dsver gc --remote origin --store gc)
    before=$(ls "$dir"/packs/*.pack | wc -l)
    [ "$before" -ge 66 ]
    clone_it z --lazy
    (cd z && dsver cat nights~60 >/dev/null)
    exits 0 "${gc[@]}" --dry-run --json
    has "\"condemned\":$before," "\"joined\":$before,"
    [ ! -e "$dir/gc" ]
    exits 0 "${gc[@]}"
    has "condemned $before " "joined $before small packs"
    [ "$(ls "$dir"/packs/*.pack | wc -l)" -eq $((before + 1)) ]
    # who begins now takes the one that they were joined in; who knew the others goes on with them
    clone_it b
    [ "$(ls b/.dsver/packs | wc -l)" -eq 1 ]
    (cd z && dsver cat nights~50 >/dev/null)
    # and so does who pushes what is built on it
    { seq 2560; echo "$dir"; } | dsprep text -q --split line - | (cd a && dsver commit -q -m more nights) >/dev/null
    in_a push -q
    [ "$(ls "$dir"/gc/*.condemned | wc -l)" -eq "$before" ]
    [ "$(ls "$dir"/packs/*.pack | wc -l)" -eq $((before + 2)) ]
    exits 0 "${gc[@]}" --grace 0
    has "deleted $before " "condemned 0 "
    [ "$(ls "$dir"/packs/*.pack | wc -l)" -eq 2 ]
    (cd z && dsver pull -q)
    for i in nights nights~30 people; do
        [ "$(cd z && dsver cat $i | sha256sum)" = "$(cd a && dsver cat $i | sha256sum)" ]
    done
    sound b z
    exits 0 in_a push
    [ "$output" = "nothing new" ]
    exits 0 "${gc[@]}" --grace 0 --json
    has '"condemned":0,' '"joined":0,'
}

@test "gc joins what many nights left, in a folder and in an object store, with pieces that are here and that are not" {
    for i in $(seq 64); do
        seq $((i * 40)) | dsprep text -q --split line - | (cd a && dsver commit -q -m "$i" nights) >/dev/null
    done
    to_folder
    in_a push -q
    ln -s a gc
    joins
    in_a remote remove origin
    rm -r gc b z
    to_s3
    in_a push -q
    clone_it gc --lazy
    faults 'GET packs/.*\.pack hold:held 1' # who saw them before, and comes for one when it has gone, looks again
    clone_s3 late >late.out 2>&1 3>&- &
    await s3/held
    joins
    rm s3/held
    wait $!
    sound late
}

@test "gc of a folder joins the packs of its catalog, as long as git lets it" {
    to_folder
    in_a push -q
    git=far/catalog.git
    for i in $(seq 70); do
        echo "$i" | git -C $git hash-object -w --stdin | git -C $git pack-objects -q objects/pack/pack >/dev/null
    done
    n=$(ls $git/objects/pack/*.pack | wc -l)
    exits 0 in_a gc --remote origin --dry-run --json
    has '"catalog_packs_joined":0,'
    printf '#!/bin/sh\ncase " $* " in *" repack "*) echo no >&2; exit 1 ;; esac\nexec %q "$@"\n' "$(command -v git)" >no-git
    mkdir bin && install -m 755 no-git bin/git
    exits 0 env PATH="$PWD/bin:$PATH" dsver gc --remote origin --store a
    has "catalog.git: git cannot join its packs: no"
    [ "$(ls $git/objects/pack/*.pack | wc -l)" -eq "$n" ]
    exits 0 in_a gc --remote origin --json
    has "\"catalog_packs_joined\":$((n - $(ls $git/objects/pack/*.pack | wc -l))),"
    [ "$(ls $git/objects/pack/*.pack | wc -l)" -lt 10 ]
    [ "$(git -C $git cat-file blob "$(echo 17 | git hash-object --stdin)")" = 17 ]
    clone_it b
    sound b
}

condemn_trial() { # $m is the mark
    git -C far/catalog.git update-ref -d refs/heads/people/trial
    in_a gc --remote origin --grace 0
    m=$(ls far/gc/*.condemned)
}

@test "a push takes back what is condemned" {
    to_folder
    in_a push -q
    trial
    in_a gc --remote origin --grace 0
    exits 0 in_a push # the branch is there again, with pieces that lie there
    [ -z "$(ls far/gc)" ]
    exits 0 in_a gc --remote origin --grace 0
    [[ $output == *"deleted 0"*"condemned 0"* ]]
    # one that a gc deletes at this moment is not relied on
    condemn_trial
    cp "$m" "${m%.condemned}.deleting-0123456789abcdef"
    exits 11 in_a push
    [[ $output == *"a gc deletes pack"* ]]
    [ -z "$(git -C far/catalog.git for-each-ref refs/heads/people/trial)" ]
    # the mark of one that died is in nobody's way
    touch -d '-1 hour' far/gc/*
    exits 0 in_a push
    [ -z "$(ls far/gc)" ]
    # the next gc goes on with what such a one had begun, whatever the grace
    condemn_trial
    cp "$m" "${m%.condemned}.deleting-0123456789abcdef"
    touch -d '-1 hour' far/gc/*
    exits 0 in_a gc --remote origin --grace 30d
    [[ $output == *"deleted 1 "* ]]
    [ -z "$(ls far/gc)" ]
    exits 0 in_a push
    clone_it b
    sound b
    # where the first mark is gone the pack lives
    condemn_trial
    mv "$m" "${m%.condemned}.deleting-0123456789abcdef"
    touch -d '-1 hour' far/gc/*
    n=$(ls far/packs | wc -l)
    exits 0 in_a gc --remote origin --grace 0
    [ "$(ls far/packs | wc -l)" = "$n" ]
    [ -z "$(ls far/gc)" ]
    # refs that move between its mark and its look: all is decided anew, and counted once
    exits 0 in_a push
    condemn_trial
    mkdir bin
    printf '#!/bin/sh\nif [ ! -e %q ] && ls %q | grep -q deleting; then touch %q; %q -C %q update-ref refs/heads/people/too %s; fi\nexec %q "$@"\n' \
        "$PWD/moved" "$PWD/far/gc" "$PWD/moved" "$(command -v git)" "$PWD/far/catalog.git" \
        "$(git -C far/catalog.git for-each-ref --count=1 --format='%(objectname)' refs/heads)" "$(command -v git)" >bin/git
    chmod +x bin/git
    exits 0 env PATH="$PWD/bin:$PATH" dsver gc --remote origin --store a --grace 0
    has "deleted 1 "
    [ -e moved ]
    once=${output%%,*}
    exits 0 in_a gc --remote origin --grace 0
    [ "${output%%,*}" = "$once" ]
}

@test "what is condemned and needed again is spared, also by a ref that git made" {
    to_folder
    in_a push -q
    trial
    in_a gc --remote origin --grace 0
    git -C far/catalog.git update-ref refs/heads/people/again "$(git -C a/.dsver/catalog.git rev-parse refs/heads/people/trial)"
    clone_it c
    sound c
    exits 0 in_a gc --remote origin --grace 0 --json
    [[ $output == *'"spared":1'*'"deleted":0'* ]]
    [ -z "$(ls far/gc)" ]
    clone_it b
    sound b
}

@test "a pack of which little is needed is written anew" {
    to_folder
    lines 30000 >l.txt
    dsprep text -q --split line l.txt | (cd a && dsver commit -m x lines) >/dev/null
    head -n 8000 l.txt | dsprep text -q --split line - | (cd a && dsver commit -m y small) >/dev/null
    in_a push -q
    git -C far/catalog.git update-ref -d refs/heads/lines/main
    exits 0 in_a gc --remote origin --grace 0 --json
    [[ $output == *'"rewritten":1'* ]]
    exits 0 in_a gc --remote origin --grace 0 --json
    [[ $output != *'"deleted":0'* ]]
    clone_it b
    sound b
    [ "$(cd b && dsver cat small | sha256sum)" = "$(cd a && dsver cat small | sha256sum)" ]
    exits 0 in_a gc --remote origin --grace 0 --json
    [[ $output == *'"deleted":0'*'"rewritten":0'* ]]
}

@test "what dead pushes left goes; nothing goes while versions lack something" {
    to_folder
    in_a push -q
    pack=$(ls far/packs/*.pack | head -n 1)
    head -c 3000 "$pack" >"far/packs/$(printf '%064d' 7).pack"
    cp "${pack%.pack}.heads" "far/packs/$(printf '%064d' 8).heads"
    exits 0 in_a gc --remote origin --grace 0
    [[ $output == *"condemned 2 "* ]]
    exits 0 in_a gc --remote origin --grace 0
    [ -z "$(ls far/packs | grep ^000)" ]
    mv "${pack%.pack}.heads" .
    exits 12 in_a gc --remote origin --grace 0
    [[ $output == *lacks*"nothing was removed"* ]]
    [ -e "$pack" ]
    exits 0 in_a push --all
    exits 0 in_a gc --remote origin --grace 0
    clone_it b
    sound b
}

@test "gc of a remote during pushes from two stores loses nothing" {
    [ "${DS_LONG:-0}" = 1 ] || skip "DS_LONG=1 runs it"
    to_folder
    in_a push -q
    clone_it b
    clone_it c
    for d in a b; do
        (
            cd $d || exit 1
            for i in 1 2 3 4 5 6; do
                { cat ../p1.jsonl; echo "{\"id\":\"$d-$i\",\"text\":\"t\"}"; } | dsprep text -q --format jsonl --field text --key-field id - |
                    dsver commit -b "of-$d" -m "$i" people >/dev/null || exit 1
                dsver push -q || exit 1
                # what was pushed before goes, and comes back with the next push
                [ $i -eq 6 ] || git -C ../far/catalog.git update-ref -d "refs/heads/people/of-$d"
            done
            touch ../done.$d
        ) 3>&- &
    done
    until [ -e done.a ] && [ -e done.b ]; do
        exits 0 in_b gc --remote origin --grace 1h
        jobs -r | grep -q . || break
    done
    wait
    [ -e done.a ]
    [ -e done.b ]
    exits 0 in_a gc --remote origin --grace 1h
    rm -rf c
    clone_it c
    for d in a b; do
        [ "$(cd c && dsver cat people@of-$d | sha256sum)" = "$(cd $d && dsver cat people@of-$d | sha256sum)" ]
    done
    sound c
}

@test "who reads while records are erased is told so" {
    awk 'BEGIN { s = 5
        for (i = 0; i < 40000; i++) {
            t = ""
            for (k = 0; k < 16; k++) { s = (s * 16807) % 2147483647; t = t " " s }
            printf "{\"id\":\"r-%05d\",\"text\":\"%s\"}\n", i, t
        } }' | dsprep text -q --format jsonl --field text --key-field id - | (cd a && dsver commit -m big big) >/dev/null
    mkfifo pipe
    (cd a && exec dsver cat -j 1 big >../pipe 2>../why) 3>&- &
    exec 5<pipe
    head -c 100 <&5 >/dev/null # it has begun, and stands in the pipe
    (cd a && dsver forget --reason r r-39990) >/dev/null
    cat <&5 >rest
    exec 5<&-
    rc=0
    wait $! || rc=$?
    [ $rc = 1 ]
    grep -q "records of this version were erased while it was read" why
    ! dsprep check rest || return 1
    exits 0 in_a fsck --read-data
    [ "$(cd a && dsver cat big | dsprep cat | grep -c erased:)" = 1 ]
}
