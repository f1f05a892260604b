#!/usr/bin/env bats
# dsver branch, tag, reset; and what gc does with the heads that they leave behind.
load dsver_common

put() { # TEXT DATASET [OPTIONS]
    printf '%s\n' "$1" | dsprep text -q --split line - | dsver commit "${@:3}" "$2" >/dev/null
}

id() {
    git -C .dsver/catalog.git rev-parse "$1"
}

@test "branch: made at a version, listed, deleted" {
    put one d
    put two d
    dsver branch d~1 trial >out
    grep -Eq '^d@trial made at [0-9a-f]{40}$' out
    [ "$(id refs/heads/d/trial)" = "$(id refs/heads/d/main~1)" ]
    [ "$(dsver branch d | awk '{print $1}' | xargs)" = "main trial" ]
    dsver branch --json d | grep -q '"type":"branch","dataset":"d","branch":"trial"'
    [ "$(dsver branch --json d)" = "$(dsver ls --json d)" ]
    exits 1 dsver branch d trial
    has "has a branch 'trial' already"
    put three d -b trial
    [ "$(dsver cat d@trial | dsprep cat -c text)" = "$(dsver cat d@trial | dsprep cat -c text)" ]
    [ "$(id refs/heads/d/trial~1)" = "$(id refs/heads/d/main~1)" ]
    head=$(id refs/heads/d/trial)
    dsver branch -d d trial
    exits 1 dsver cat d@trial -o x
    dsver cat "d@$head" | dsprep cat | grep -q three
    exits 1 dsver branch -d d trial
    has "has no branch 'trial'"
    exits 2 dsver branch -d d
    exits 2 dsver branch -d d@main trial
    exits 2 dsver branch d 'a:b'
    has "branch name 'a:b': ':' is not allowed"
    exits 2 dsver tag d 'a b'
    has "tag name 'a b': byte 2, a blank (0x20), is not allowed"
    exits 2 dsver tag -d d a~b
    has "tag name 'a~b': '~' is not allowed"
    exits 2 dsver commit 'my data' /dev/null
    has "dataset name 'my data': byte 3, a blank (0x20), is not allowed"
    exits 2 dsver commit $'d\td' /dev/null
    has "byte 2, a control byte (0x09), is not allowed"
    exits 2 dsver branch d a..b
    has "branch name 'a..b': git would refuse it ('..'"
    dsver fsck --read-data
}

@test "a dataset without a branch main: its branches and tags are listed, and named where one is wanted" {
    put one d
    put two d -b trial
    dsver tag d v1
    dsver branch -d d main >/dev/null
    [ "$(dsver branch d | awk '{print $1}')" = trial ]
    [ "$(dsver tag d | awk '{print $1}')" = v1 ]
    [ "$(dsver tag | awk '{print $1}')" = v1 ]
    exits 1 dsver log d
    has "'d' has no branch 'main': name a version, such as d@trial"
    exits 1 dsver cat d~1
    has "such as d@trial"
    dsver branch -d d trial >/dev/null
    [ -z "$(dsver branch d)" ]
    [ -z "$(dsver ls d)" ]
    exits 1 dsver show d
    has "such as d@v1"
    exits 2 dsver tag -d -m x d v1
    exits 2 dsver tag -d --author 'A <a@b.c>' d v1
    dsver tag -d d v1 >/dev/null
    for verb in branch tag ls log; do
        exits 1 dsver $verb d
        has "no dataset 'd' here"
    done
    exits 2 dsver branch d@main
    has "a dataset without a revision is wanted"
}

@test "tag: plain and annotated, never moved" {
    put one d
    put two d
    dsver tag d~1 v1
    dsver tag -m "as delivered" --author "A B <a@b.c>" d v2
    [ "$(id refs/tags/d/v1)" = "$(id refs/heads/d/main~1)" ]
    [ "$(git -C .dsver/catalog.git cat-file -t refs/tags/d/v2)" = tag ]
    git -C .dsver/catalog.git cat-file -p refs/tags/d/v2 | grep -q '^as delivered$'
    git -C .dsver/catalog.git cat-file -p refs/tags/d/v2 | grep -q '^tagger A B <a@b.c> '
    dsver cat d@v1 | dsprep cat | grep -q one
    dsver cat d@v2 | dsprep cat | grep -q two
    [ "$(dsver tag d | awk '{print $1}' | xargs)" = "v1 v2" ]
    exits 1 dsver tag d v1
    has "has a tag 'v1' already"
    dsver tag -d d v2
    [ "$(dsver tag d | awk '{print $1}' | xargs)" = "v1" ]
    git -C .dsver/catalog.git fsck --strict
    dsver gc --grace 0
    dsver fsck --read-data
}

@test "reset: a branch goes back, and the version that it left can be had until gc's grace is over" {
    put one d
    put two d
    left=$(id refs/heads/d/main)
    dsver reset d main~1 >out
    grep -q "it was at $left" out
    dsver cat d | dsprep cat | grep -q one
    dsver gc
    dsver cat "d@$left" | dsprep cat | grep -q two
    old=$(id refs/heads/d/main)
    exits 0 dsver reset d "$left" --json
    [ "$output" = '{"type":"reset","dataset":"d","branch":"main","before":"'"$old"'","after":"'"$left"'"}' ]
    dsver cat d | dsprep cat | grep -q two
    dsver reset d main~1
    dsver gc --dry-run --grace 0 --json | grep -Eq '"kept_expired":[1-9]'
    dsver gc --grace 0 --json | grep -Eq '"dead":[1-9]'
    exits 1 dsver cat "d@$left" -o x
    dsver cat d | dsprep cat | grep -q one
    dsver fsck --read-data
    exits 2 dsver gc --grace soon
    has "time such as"
    exits 2 dsver reset d@v1
}

@test "reset: of what is no branch is refused" {
    put one d
    dsver tag d v1
    exits 2 dsver reset d@v1 main
    has "is no branch"
    exits 1 dsver reset d none
}

@test "reset: REV may be written as DATASET@REV and DATASET~N" {
    for t in one two three four; do put $t d; done
    put other e
    first=$(id refs/heads/d/main~3)
    third=$(id refs/heads/d/main~1)
    dsver reset d d~1 >/dev/null
    [ "$(id refs/heads/d/main)" = "$third" ]
    dsver reset d d@main~2 >/dev/null
    [ "$(id refs/heads/d/main)" = "$first" ]
    exits 1 dsver reset d e
    exits 1 dsver reset d e@main
    dsver branch "d@$third" d >/dev/null # now d is a branch
    dsver reset d d >/dev/null
    [ "$(id refs/heads/d/main)" = "$third" ]
}

@test "pin: a version stays through gc when nothing else leads to it, and goes when it is let go" {
    put one d
    put two d
    two=$(id refs/heads/d/main)
    [ -z "$(dsver pin)" ]
    exits 0 dsver pin --reason "trial 7" --author "A B <a@b.c>" d
    has "d@$two pinned"
    exits 0 dsver pin d
    has "already"
    dsver pin --list | grep -Eq "^d@$two  20[0-9TZ:-]+  A B <a@b.c>  trial 7\$"
    dsver pin --json | grep -q "\"dataset\":\"d\",\"commit\":\"$two\".*\"reason\":\"trial 7\""
    dsver pin --json | grep -q '"actor":"[^"]* <[^"]*>"'
    dsver reset d main~1 >/dev/null
    dsver gc --grace 0 >/dev/null
    dsver cat "d@$two" | dsprep cat | grep -q two
    dsver fsck --read-data
    git -C .dsver/catalog.git fsck --strict
    exits 1 dsver unpin d
    has "is not pinned"
    dsver unpin --reason "trial over" "d@$two"
    [ -z "$(dsver pin)" ]
    dsver oplog --command unpin | grep -q "trial over"
    dsver gc --grace 0 >/dev/null
    exits 1 dsver cat "d@$two" -o x
    dsver cat d | dsprep cat | grep -q one
    dsver fsck --read-data
}

# told STATUS TEXT COMMAND...: dsver fails so, and what it says ends with the text.
told() {
    run dsver "${@:3}"
    [ "$status" = "$1" ] && [[ $output == *"$2" ]] || { echo "$output" && return 1; }
}

@test "words in another order are told in which they belong" {
    versions 300
    dsver commit docs v1.dsr >/dev/null
    dsver branch docs side >/dev/null
    dsver tag docs first >/dev/null
    mkdir far
    state=$(git -C .dsver/catalog.git for-each-ref; dsver config)
    told 2 'dsver push REMOTE docs@side' push docs@side
    told 2 'dsver remote add NAME ./far, then dsver push NAME' push ./far
    told 2 'dsver remote add near far' remote add far near
    dsver remote add near far
    dsver remote add nas far
    told 2 'dsver fetch nas docs' fetch docs
    told 2 'dsver pull nas docs@side' pull docs@side
    dsver remote remove near
    dsver remote remove nas
    told 1 'no remote lies there (it has no catalog.git)' clone far b
    [ ! -e b ]
    told 1 'make one (or copy the folder)' clone . b
    told 1 '(it has no catalog.git)' repair --from far
    told 2 'dsver commit docs v1.dsr' commit v1.dsr docs
    told 2 'dsver commit DATASET v1.dsr' commit v1.dsr
    told 2 'dsver commit -b side docs v1.dsr' commit docs@side v1.dsr
    told 2 'perhaps docs@main' show docs/main
    told 1 'with its dataset: docs@side' cat side
    told 1 'with its dataset: docs@first' log first
    told 1 'docs@main docs@side' diff docs@main..side
    told 2 "dsver config user.name 'A Name'" config "user.name=A Name"
    [ "$(git -C .dsver/catalog.git for-each-ref; dsver config)" = "$state" ]
}

@test "a name that would be a folder of another one's is refused, with both, and nothing is logged" {
    versions 20
    dsver commit docs v1.dsr >/dev/null
    dsver branch docs a/b >/dev/null
    dsver tag docs v1 >/dev/null
    dsver oplog -q >before
    exits 1 dsver branch docs main/x
    has "refs/heads/docs/main/x cannot be made beside refs/heads/docs/main:"
    exits 1 dsver branch docs a
    has "refs/heads/docs/a cannot be made beside refs/heads/docs/a/b:"
    exits 1 dsver branch docs a/b/c/d
    exits 1 dsver tag docs v1/x
    has "refs/tags/docs/v1/x cannot be made beside refs/tags/docs/v1:"
    exits 1 dsver commit -b a docs v2.dsr
    has "cannot be made beside"
    dsver oplog -q | cmp - before
    git -C .dsver/catalog.git pack-refs --all
    exits 1 dsver branch docs main/x
    fails dsver branch docs a
    has "collides"
    # Once the other one is gone it is free.
    dsver branch -d docs a/b >/dev/null
    exits 0 dsver branch docs a
    exits 0 dsver branch docs ab
}

@test "a branch that cannot be made is refused before the stream is read" {
    versions 20
    dsver commit docs v1.dsr >/dev/null
    mkfifo never # open at both ends: who reads it waits for good
    exec 9<>never
    for how in "" --append "--every 60s"; do
        exits 1 timeout 60 dsver commit $how -b main/q docs <&9
        has "refs/heads/docs/main/q cannot be made beside refs/heads/docs/main:"
    done
    dsver tag docs t1 >/dev/null
    exits 1 timeout 60 dsver commit --every 60s -b t1 docs <&9
    exec 9>&-
}
