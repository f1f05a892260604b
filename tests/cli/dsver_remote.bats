# Remotes in a folder: push, fetch, pull, clone.
load ../remote/remote_common

setup() {
    remote_setup
    (cd a && dsver remote add origin ../far >/dev/null)
}

@test "a clone is what was pushed, and pushing again sends nothing" {
    exits 0 in_a push
    [[ $output == *"docs@main  new"* ]]
    exits 0 in_a push
    [ "$output" = "nothing new" ]
    exits 0 dsver clone far b
    same b
    exits 0 in_b log docs@origin/main
    exits 0 git -C far/catalog.git fsck
}

@test "a push that only tells makes nothing, and a remote that is gone is not made anew unasked" {
    exits 0 in_a push --dry-run
    [[ $output == "docs@main  new "* && $output != *$'\n'* ]]
    exits 0 in_a push --dry-run --json
    [[ $output == *'{"type":"push","dry_run":true,"refs":1,'* ]]
    [ ! -e far ]
    exits 1 in_a push origin none
    [[ $output == *"no branch of 'none' here"* ]]
    in_a push
    exits 0 in_a push --dry-run
    [ "$output" = "nothing new" ]
    mv far away
    mkdir far # as where a disk is mounted
    two
    exits 1 in_a push
    [[ $output == *"far/catalog.git: remote 'origin' is gone, which was there when it was last seen"* ]]
    [ -z "$(ls far)" ]
    exits 0 in_a push --force -q
    exits 0 dsver clone far b
    same b
    exits 0 in_a remote remove --json origin
    [[ $output == '{"type":"remote","did":"removed","name":"origin","url":"'*'/far"'* ]]
    exits 0 in_a remote add --json origin ../new
    [[ $output == '{"type":"remote","did":"added","name":"origin","url":"'*'/new"'* ]]
    exits 0 in_a push -q
}

@test "a clone of a remote without versions says so, and one of another remote is not gone on with" {
    in_a push -q
    mkdir none && git init -q --bare none/catalog.git
    exits 0 dsver clone none b
    [ "$output" = "nothing lies there yet" ]
    exits 1 dsver clone far b
    [[ $output == *"b: another store is there: remote 'origin' is there already: "*"/none"* ]]
    exits 2 dsver clone far ""
    [[ $output == *"the name of the folder is empty"* ]]
}

@test "a clone that nothing came of leaves nothing, and no file that was there goes" {
    in_a push -q
    fails dsver clone fer b
    [ ! -e b ]
    mkdir b && echo mine >b/notes
    fails dsver clone fer b
    [ "$(ls -A b)" = notes ]
    exits 0 dsver clone far b
    [ "$(cat b/notes)" = mine ]
    fails dsver clone fer b
    exits 0 dsver fsck --store b
    exits 0 dsver show --store b docs
}

@test "a remote that cannot take a push says why" {
    in_a push -q
    git -C far/catalog.git config receive.maxInputSize 1
    two
    exits 13 in_a push
    [[ $output == *"pack exceeds maximum allowed size"* && $output != *"somebody pushed"* ]]
    [[ $output != *moved* ]]
    git -C far/catalog.git config --unset receive.maxInputSize
    printf '#!/bin/sh\necho main is for the night shift >&2\nexit 1\n' >far/catalog.git/hooks/pre-receive
    chmod +x far/catalog.git/hooks/pre-receive
    exits 1 in_a push
    [[ $output == *"hook declined"*"main is for the night shift"* && $output != *"somebody pushed"* ]]
    rm far/catalog.git/hooks/pre-receive
    exits 0 in_a push
}

@test "what killed pushes left in a folder goes by the folder's clock: a push under way loses nothing" {
    in_a push -q
    : >far/packs/new.pack.tmp-1
    : >far/packs/old.pack.tmp-1
    : >far/format.tmp-1
    find far -type f -exec touch -d '40 days ago' {} +
    exits 0 in_a push --all
    [ -e far/packs/new.pack.tmp-1 ]
    touch -d '42 days ago' far/packs/old.pack.tmp-1 far/format.tmp-1
    exits 0 in_a push --all
    [ -e far/packs/new.pack.tmp-1 ]
    [ ! -e far/packs/old.pack.tmp-1 ]
    [ ! -e far/format.tmp-1 ]
}

@test "packs that are gone, or a place that is another, are not taken for what was pushed" {
    in_a push -q
    git init -q --bare cat.git
    (cd a && dsver remote add apart "$PWD/../packs" --catalog ../cat.git)
    exits 0 in_a push apart
    exits 0 in_a push apart
    [ "$output" = "nothing new" ]
    mv packs elsewhere
    for what in "" docs -f -n; do
        exits 1 in_a push apart $what
        [[ $output == *"/packs/: none of the packs are there"*"push --all"* && $output != *nothing* ]]
    done
    two
    exits 1 in_a push apart
    [[ $output != *moved* ]]
    [ ! -e packs ]
    exits 0 in_a push apart --all
    exits 0 dsver clone packs --catalog "$PWD/cat.git" b
    same b
}

@test "only what is missing moves" {
    exits 0 in_a push --json
    [[ $output == '{"type":"ref","ref":"refs/heads/docs/main","did":"new","before":null,"after":"'* ]]
    old=$(git -C a/.dsver/catalog.git rev-parse refs/heads/docs/main)
    two
    exits 0 in_a push --json
    [[ $output == *'"did":"moved","before":"'"$old"'","after":"'* ]]
    before=$(du -sb far/packs | cut -f1)
    need_jq
    [ "$(tail -n 1 <<<"$output" | jq .bytes)" -lt 100000 ]
    dsver clone far b
    exits 0 in_b pull
    [ "$output" = "nothing new" ]
    [ "$(du -sb far/packs | cut -f1)" = "$before" ]
}

# nothing_sent PACKS: pushing branches of what lies at the remote sends nothing, whatever packs it is in here by now
nothing_sent() {
    [ "$(ls a/.dsver/packs)" != "$1" ]
    packs=$(ls far/packs)
    (cd a && dsver branch docs other && dsver branch more other)
    exits 0 in_a push --all --json
    [[ $output == *'"pieces":0'* ]]
    [ "$(ls far/packs)" = "$packs" ]
    dsver clone far b
    same b
}

@test "a store whose packs were written anew sends nothing again" {
    lines 30000 >many.txt
    dsprep text -q --split line many.txt | (cd a && dsver commit -m x lines) >/dev/null
    head -n 8000 many.txt | dsprep text -q --split line - | (cd a && dsver commit -m y more) >/dev/null
    in_a push -q
    before=$(ls a/.dsver/packs)
    (cd a && dsver branch -d lines main && git -C .dsver/catalog.git update-ref -d refs/remotes/origin/lines/main)
    in_a gc --grace 0
    nothing_sent "$before"
}

@test "a store whose small packs were gathered sends nothing again" {
    [ "${DS_LONG:-0}" = 1 ] || skip "DS_LONG=1 runs it"
    for i in $(seq 66); do
        { head -n 300 l1.txt; echo "line $i"; } | dsprep text -q --split line - | (cd a && dsver commit -m "v$i" more >/dev/null)
    done
    in_a push -q
    before=$(ls a/.dsver/packs)
    in_a gc
    [ "$(ls a/.dsver/packs | wc -l)" -lt 60 ]
    nothing_sent "$before"
}

@test "what was not asked for does not leave the store" {
    echo "a secret line" | dsprep text -q --split line - | (cd a && dsver commit -m s secret)
    in_a gc
    exits 0 in_a push origin docs
    [[ $output != *secret* ]]
    exits 0 git -C far/catalog.git for-each-ref --format='%(refname)'
    [ "$output" = "refs/heads/docs/main" ]
    dsver clone far b
    same b
    exits 1 in_b log secret
    exits 1 in_a push origin nosuch
    [[ $output == *"no branch of 'nosuch'"* ]]
}

@test "tags and branches travel, kept heads do not" {
    two
    (cd a && dsver tag -m why docs v1 && dsver tag docs plain && dsver branch docs@main~1 old && dsver reset docs main~1)
    in_a push
    dsver clone far b
    exits 0 in_b tag docs
    [[ $output == *v1* && $output == *plain* ]]
    exits 0 in_b show docs@old
    exits 0 git -C far/catalog.git for-each-ref refs/dsver/kept
    [ -z "$output" ]
    [ "$(git -C a/.dsver/catalog.git rev-parse refs/tags/docs/v1)" = \
        "$(git -C b/.dsver/catalog.git rev-parse refs/tags/docs/v1)" ]
}

@test "what a user has set for git's fetches neither leaves out pieces nor deletes tags" {
    export GIT_CONFIG_GLOBAL=$PWD/gitconfig
    git config --global fetch.prune true
    git config --global fetch.pruneTags true
    (cd a && dsver tag docs v1 && dsver remote add origin ../far && dsver push) >/dev/null
    dsver clone -q far b
    same b
    (cd b && dsver tag docs mine) >/dev/null
    two
    exits 0 in_a push -q
    exits 0 in_b pull -q
    same b
    [ "$(git -C b/.dsver/catalog.git tag | xargs)" = "docs/mine docs/v1" ]
}

@test "a branch that the remote has moved on is refused, then merged" {
    in_a push
    dsver clone far b
    two
    in_a push
    echo "mine" | cat l1.txt - | dsprep text -q --split line - | (cd b && dsver commit -m mine docs >/dev/null)
    exits 1 in_b push
    [[ $output == *"refs/heads/docs/main"*"nothing was sent"* ]]
    exits 1 in_b pull
    [[ $output == *"dsver merge docs@main origin/main"* ]]
    exits 0 in_b merge docs@main origin/main
    exits 0 in_b push
    exits 0 in_a pull
    same b
}

@test "--force leaves behind what is there" {
    two
    in_a push
    (cd a && dsver reset docs main~1)
    exits 0 in_a push
    [[ $output == *behind* ]]
    exits 0 in_a push --force
    [[ $output == *forced* ]]
    dsver clone far b
    same b
}

@test "a branch that was put back or rewritten at the remote is warned of, and what it was at is kept" {
    two
    in_a push -q
    dsver clone -q far b
    was=$(git -C far/catalog.git rev-parse docs/main) g="git -C far/catalog.git"
    (cd b && dsver reset docs main~1 >/dev/null && dsver gc --grace 0s >/dev/null)
    $g update-ref refs/heads/docs/main docs/main~1
    exits 0 in_b fetch -q
    [[ $output == *"docs@origin/main does not go on from where it was"*"${was:0:10} is kept here"* ]]
    (cd b && dsver gc >/dev/null)
    exits 0 in_b cat docs@$was -o out.dsr
    exits 0 in_b fetch
    [ "$output" = "nothing new" ]
    # another in its place
    $g update-ref refs/heads/docs/main "$was"
    in_b fetch -q
    $g update-ref refs/heads/docs/main "$($g cat-file commit docs/main | sed 's/^two/2/' | $g hash-object -t commit -w --stdin)"
    exits 0 in_b fetch -q
    [[ $output == *"does not go on"* ]]
    # a tag that is taken from the remote leaves the one that was here
    (cd a && dsver tag docs@main~1 t && dsver push -q --force) >/dev/null
    (cd b && dsver tag "docs@$was" t && dsver fetch -q --force) >/dev/null
    git -C b/.dsver/catalog.git for-each-ref refs/dsver/kept | grep -q "$was.*tags/docs/t"
}

@test "a damaged pack at the remote is found and named" {
    in_a push
    pack=$(ls far/packs/*.pack)
    cp "$pack" keep
    chmod u+w "$pack"
    printf X | dd of="$pack" bs=1 seek=3000 conv=notrunc status=none
    exits 12 dsver clone far b
    [[ $output == *"${pack##*/}"*"damaged at the remote"* ]]
    [ ! -e b ]
    cp keep "$pack"
    exits 0 dsver clone far b
    same b
}

@test "push --read-data finds packs that rotted at the remote, and heals them from here" {
    two
    in_a push -q
    exits 0 in_a push --read-data
    [[ $output == *"2 packs read, 0 damaged"* ]]
    hurt() { # PACK: one byte, of the same length
        chmod u+w "$1"
        cp "$1" was
        printf X | dd of="$1" bs=1 seek=200 conv=notrunc status=none
        ! cmp -s was "$1" || return 1
    }
    for pack in far/packs/*.pack; do hurt "$pack"; done
    exits 0 in_a push --all
    exits 12 in_a push --read-data -n
    [ "$(grep -c 'damaged: its bytes have another SHA-256' <<<"$output")" -eq 2 ]
    [[ $output == *"2 of 2 packs damaged"* ]]
    exits 0 in_a push --read-data
    [[ $output == *"2 packs read, 2 damaged and sent anew"* ]]
    dsver clone -q far b
    same b
    [ "$(cd a && dsver push --read-data --json | tail -n 1 | grep -c '"pieces":0,.*"reread":2,"damaged":0')" -eq 1 ]
    # from a store that has not all that versions there need, nothing goes
    (cd b && seq 400 | dsprep text -q --split line - | dsver commit other - >/dev/null && dsver push -q)
    only=$(ls -t far/packs/*.pack | head -n 1)
    hurt "$only"
    exits 12 in_a push --read-data
    [[ $output == *"pieces lie in damaged packs only and are not here"*"nothing was removed"* ]]
    [ -e "$only" ]
    exits 0 in_b push --read-data
    in_a pull -q
    same b
    exits 0 in_a fsck --read-data
}

@test "a pack that is cut short, or without heads, counts for nothing" {
    in_a push
    pack=$(ls far/packs/*.pack)
    chmod u+w "$pack"
    cp "$pack" keep
    head -c 5000 keep >"$pack"
    exits 12 dsver clone far b
    [[ $output == *"lacks"*"pieces"*"no ref was moved"* ]]
    exits 0 in_a push --all
    cmp keep "$pack"
    rm far/packs/*.heads
    exits 12 dsver clone far c
    exits 0 in_a push --all
    exits 0 dsver clone far b
    same b
}

@test "pieces that lie are found out" {
    two
    in_a push
    (cd a && dsver branch docs@main~1 old && dsver reset docs main~1)
    # a remote whose new pack holds other bytes under sound checksums: its name and heads agree
    python3 -c 'import sys' 2>/dev/null || skip "python3 is not installed"
    mv far/packs/*.pack . && rm far/packs/*
    python3 "$DS_ROOT/tests/remote/liepack.py" ./*.pack far/packs
    dsver init b >/dev/null
    (cd b && dsver remote add origin ../far)
    exits 0 in_b pull # packs that come whole have the name that they should have
    exits 12 in_b cat docs
    [[ $output == *"its bytes have the address"* ]]
}

@test "runs of pushes from two stores at once lose nothing" {
    in_a push
    dsver clone far b
    for d in a b; do
        (
            cd "$d" || exit 1
            for i in 1 2 3 4 5; do
                { cat ../l1.txt; echo "$d $i"; } | dsprep text -q --split line - | dsver commit -b "of-$d" -m "$i" docs >/dev/null
                dsver push -q || exit 1
            done
        ) 3>&- &
    done
    wait
    dsver clone far c
    for d in a b; do
        [ "$(cd c && dsver cat docs@of-$d | sha256sum)" = "$(cd $d && dsver cat docs@of-$d | sha256sum)" ]
    done
    (cd c && dsver fsck --read-data)
}

@test "what a killed clone left is gone on with" {
    in_a push
    dsver init b >/dev/null
    (cd b && dsver remote add origin ../far)
    cp far/packs/*.pack b/.dsver/packs/
    before=$(stat -c %Y,%i b/.dsver/packs/*.pack)
    exits 0 dsver clone far b
    [[ $output != *pieces* ]]
    [ "$(stat -c %Y,%i b/.dsver/packs/*.pack)" = "$before" ]
    same b
}

@test "remotes have names" {
    exits 0 in_a remote
    [[ $output == origin*far*catalog* ]]
    exits 2 in_a remote add 'x y' ../far
    exits 2 in_a remote add s3 s3://bucket/x
    [[ $output == *"--catalog"* ]]
    exits 2 in_a remote add s3 s3://k:s@bucket/x --catalog x.git
    exits 1 in_a remote add origin ../other
    [[ $output == *"is there already"* ]]
    in_a push
    exits 0 in_a remote remove origin
    exits 1 in_a push
    [[ $output == *"no remote"* ]]
    exits 1 in_a show docs@origin/main
}

@test "many refs go all or none, each from where it was seen" {
    in_a push -q
    c=$(git -C a/.dsver/catalog.git rev-parse docs/main)
    seq 201 | awk -v c="$c" '{ printf "create refs/tags/docs/a-tag-with-a-name-of-some-length-so-that-they-are-long-together-%05d %s\n", $1, c }' |
        git -C a/.dsver/catalog.git update-ref --stdin
    printf '#!/bin/sh\nif grep -q -e -00201; then echo not this one >&2; exit 1; fi\n' >far/catalog.git/hooks/pre-receive
    chmod +x far/catalog.git/hooks/pre-receive
    exits 1 in_a push -q
    [[ $output == *"rejected: refs/tags/docs/a-tag"*"pre-receive hook declined"*"not this one"* ]]
    [ "$(git -C far/catalog.git tag | wc -l)" -eq 0 ]
    # what git was told of this catalog holds for many refs as for one
    git -C far/catalog.git config receive.advertisePushOptions true
    printf '#!/bin/sh\n[ "$GIT_PUSH_OPTION_0" = "a \\ option" ]\n' >far/catalog.git/hooks/pre-receive
    git -C a/.dsver/catalog.git config push.pushOption 'a \ option'
    mv a 'a\"b'
    exits 0 dsver push --store 'a\"b'
    mv 'a\"b' a
    rm far/catalog.git/hooks/pre-receive
    [ "$(git -C far/catalog.git tag | wc -l)" -eq 201 ]
    exits 0 in_a push
    [ "$output" = "nothing new" ]
    # one that another has moved after we looked stops all; a user's settings do not
    seq -f "create refs/heads/docs/many-%g $c" 40 | git -C a/.dsver/catalog.git update-ref --stdin
    other=$(git -C far/catalog.git -c user.name=x -c user.email=x@x commit-tree -m x -p "$c" "$c^{tree}")
    export GIT_CONFIG_GLOBAL=$PWD/gitconfig
    git config --global push.useForceIfIncludes true
    git config --global push.followTags true
    mkdir bin
    printf '#!/bin/sh\ncase " $* " in *" push "*) [ -e %q ] || { touch %q; %q -C %q update-ref refs/heads/docs/many-7 %s; } ;; esac\nexec %q "$@"\n' \
        "$PWD/moved" "$PWD/moved" "$(command -v git)" "$PWD/far/catalog.git" "$other" "$(command -v git)" >bin/git
    chmod +x bin/git
    exits 1 env PATH="$PWD/bin:$PATH" dsver push -q --store a
    [[ $output == *"rejected: refs/heads/docs/many-7 [rejected] (stale info) (somebody pushed meanwhile? run dsver fetch and try again)"* ]]
    [ "$(git -C far/catalog.git for-each-ref 'refs/heads/docs/many-*' | wc -l)" -eq 1 ]
    git -C far/catalog.git update-ref -d refs/heads/docs/many-7
    exits 0 in_a push
    [ "$(git -C far/catalog.git for-each-ref 'refs/heads/docs/many-*' | wc -l)" -eq 40 ]
    # moved on, and back by force, over what is not known here
    seq -f "update refs/heads/docs/many-%g $other" 40 | git -C far/catalog.git update-ref --stdin
    exits 1 in_a push -q
    [[ $output == *"40 rejected, nothing was sent"* ]]
    mkdir tmp
    exits 0 env TMPDIR="$PWD/tmp" dsver push -q --force --store a
    [ "$(git -C far/catalog.git rev-parse docs/many-40)" = "$c" ]
    [ -z "$(ls tmp)" ]
}

@test "a folder that cannot be reached or is none of ours" {
    (cd a && dsver remote add gone /nonexistent/x && dsver remote add other ../other)
    exits 13 in_a fetch gone
    exits 13 in_a fetch origin
    in_a push
    echo "format of another time" >far/format
    two
    exits 1 in_a push
    [[ $output == *"not a remote of this version"* ]]
}

@test "many new refs come to be with one write; what is in the way of one is told of, and the others are made" {
    in_a push
    far="git --git-dir=far/catalog.git -c user.name=a -c user.email=a@x"
    make() { # KIND FIRST LAST
        for i in $(seq "$2" "$3"); do echo "create refs/$1/$i refs/heads/docs/main"; done | sed "s/refs.heads.docs.main/$id/" | $far update-ref --stdin
    }
    refs() { git --git-dir="$1" show-ref -d | grep -v ' refs/remotes' | sort -k 2; }
    id=$($far rev-parse docs/main)
    make heads/docs/b 1 40
    $far tag -a -m t docs/v1 "$id"
    $far tag -a -m t docs/v2 docs/v1 2>/dev/null
    exits 0 dsver clone far b
    [ "$(grep -c ' new ' <<<"$output")" = 41 ]
    refs far/catalog.git >want
    refs b/.dsver/catalog.git | cmp - want
    [ -z "$(find b/.dsver/catalog.git/refs -type f)" ]
    exits 0 in_b fsck
    has "0 problems"
    [ "$(in_b oplog | grep -c 'none -> ')" = 84 ] # its branches as its own and as ours, and two tags
    # a lock of one that died, one of one that lives, and names that are taken
    make heads/docs/c 1 40
    echo refs/heads/docs/main >b/.dsver/locks/refs.lock
    touch b/.dsver/catalog.git/packed-refs.lock
    exits 0 in_b fetch
    [ "$(git --git-dir=b/.dsver/catalog.git for-each-ref refs/remotes/origin/docs/c | wc -l)" = 40 ]
    [ ! -e b/.dsver/catalog.git/packed-refs.lock ]
    make tags/docs/d 1 40
    in_b tag docs d >/dev/null
    touch b/.dsver/catalog.git/packed-refs.lock
    exits 1 in_b fetch
    has "refs/tags/docs/d/1 cannot be made beside refs/tags/docs/d"
    rm b/.dsver/catalog.git/packed-refs.lock
    make heads/docs/e 1 40
    exits 1 in_b fetch
    [ "$(git --git-dir=b/.dsver/catalog.git for-each-ref refs/remotes/origin/docs/e | wc -l)" = 40 ]
}

@test "push: many branches that are new at the remote are noted together" {
    dsver init .
    printf 'x\n' | dsprep text -q --split line - | dsver commit -q docs
    at=.dsver/catalog.git/refs/heads/docs
    for i in $(seq 40); do cp $at/main "$at/b$i"; done
    dsver remote add nas "$PWD/nas"
    exits 0 dsver push nas
    [ "$(grep -c ' refs/remotes/nas/docs/' .dsver/catalog.git/packed-refs)" -eq 41 ]
    [ "$(dsver oplog | grep -c 'refs/remotes/nas/')" -eq 41 ]
    cp $at/main "$at/one-more"
    dsver push -q nas
    [ -e .dsver/catalog.git/refs/remotes/nas/docs/one-more ]
    exits 2 dsver remote add "$(printf 'n%.0s' $(seq 65))" "$PWD/nas"
    has "cannot be the name of a remote: 1 to 64 letters"
    exits 0 dsver fetch nas
    exits 0 dsver fsck
    has "0 problems"
}
