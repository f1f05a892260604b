#!/usr/bin/env bats
# dsver: making, finding and configuring a store.
load dsver_common

@test "init makes a store that git and fsck accept, and is idempotent" {
    mkdir new
    exits 0 dsver init new
    has "store made"
    [ -f new/.dsver/config ]
    [ -d new/.dsver/packs ]
    [ -f new/.dsver/index.db ]
    git -C new/.dsver/catalog.git fsck --strict
    exits 0 dsver fsck --store new
    echo '[x]' >>new/.dsver/config
    cp new/.dsver/config before
    exits 0 dsver init new
    has "already"
    cmp before new/.dsver/config
}

# closed DIR: what in it the group cannot write, but for what never changes.
closed() {
    find "$1" ! -perm -g+w ! -name '*.pack' ! -name '*.idx' ! -name '*.rev' ! -name '*.heads' ! -name format
    find "$1" -type d ! -perm -g+s
}

@test "a store in a group's folder: all that changes can be written by the group, with umask 002" {
    mkdir -m 2775 shared
    versions 100
    umask 002
    dsver init shared
    export DSVER_STORE=$PWD/shared
    dsver commit -q docs v1.dsr
    dsver tag docs v1
    dsver stats docs >stats
    dsver remote add nas "$PWD/shared/nas"
    dsver push nas >/dev/null
    dsver gc >/dev/null
    dsver reindex >/dev/null
    dsver checkout docs shared/out >/dev/null
    [ "$(closed shared)" = "" ]
    if command -v setfacl >/dev/null && mkdir acl && chmod 2775 acl && setfacl -d -m u::rwx,g::rwx,o::rx acl; then
        umask 077
        cd acl
        dsver init .
        dsver commit -q docs ../v1.dsr --store .
        dsver remote add --store . nas "$PWD/nas"
        dsver push --store . nas >/dev/null
        [ "$(closed .)" = "" ]
    fi
}

teardown() {
    [ -z "${shared:-}" ] || rm -rf "$shared"
}

# as UID UMASK ARGS: dsver as somebody of the group 4242, who trusts its catalogs.
as() {
    (umask "$2" && HOME=/ GIT_CONFIG_GLOBAL=${trust:-/dev/null} setpriv --reuid "$1" --regid 4242 --clear-groups dsver "${@:3}")
}

# kept_out DIR WHOM: what of it those do not get that it is shared with.
kept_out() {
    find "$1" ! -perm -g+r
    find "$1" -type d ! -perm -2070
    find "$1" -type f -perm -u+w ! -perm -g+w
    [ "$2" = group ] || find "$1" ! -perm -o+r -o -type d ! -perm -o+x
}

@test "init --shared: what is made can be used by all whom it is shared with, whatever the umask" {
    versions 300
    umask 077
    for whom in group all; do
        dsver init --shared $whom $whom >/dev/null
        export DSVER_STORE=$PWD/$whom
        dsver commit -q docs v1.dsr
        dsver commit -q docs v2.dsr
        dsver tag docs v1 >/dev/null
        dsver branch docs side >/dev/null
        dsver reset docs docs~1 >/dev/null
        dsver branch -d docs side >/dev/null
        dsver pin docs --reason why >/dev/null
        dsver stats docs >/dev/null
        dsver config user.name Joe
        mkdir -p files && echo a >files/a
        dsprep files -q --store . files | dsver commit -q files -
        dsver gc >/dev/null
        dsver reindex >/dev/null
        mkdir -m 2770 "nas-$whom"
        dsver remote add nas "$PWD/nas-$whom/far"
        dsver push nas >/dev/null
        dsver fetch nas >/dev/null
        dsver clone --lazy --shared $whom "$PWD/nas-$whom/far" "clone-$whom" >/dev/null
        dsver cat --store "clone-$whom" docs -o out.dsr
        [ "$(kept_out $whom $whom)$(kept_out clone-$whom $whom)$(kept_out "nas-$whom/far" group)" = "" ]
        [ "$(git -C $whom/.dsver/catalog.git config core.sharedRepository)" = $whom ]
        [ "$(git -C "nas-$whom/far/catalog.git" config core.sharedRepository)" = group ]
        [ "$(stat -c %a out.dsr)" = 600 ] # of nobody but who asked for it
        rm out.dsr
        exits 0 dsver fsck --read-data
        [[ $output != *"shared store"* ]]
    done
}

@test "init --shared: the folders on the way are shared too, and a word that nobody knows is mended" {
    (umask 077 && dsver init --shared group way/to/it) >/dev/null
    [ "$(stat -c %A way way/to way/to/it | sort -u)" = drwxrws--- ]
    git config -f way/to/it/.dsver/config dsver.shared grup
    exits 1 dsver log --store way/to/it
    has "way/to/it/.dsver/config: dsver.shared is 'grup', and can be umask, group or all (dsver init --shared mends it)"
    exits 0 dsver config dsver.shared --store way/to/it
    [ "$output" = grup ]
    exits 0 dsver config --store way/to/it
    exits 1 dsver config dsver.dataset d --store way/to/it
    exits 1 dsver init way/to/it
    (umask 077 && dsver init --shared all way/to/it) >/dev/null
    exits 0 dsver config dsver.shared --store way/to/it
    [ "$output" = all ]
    [ "$(git -C way/to/it/.dsver/catalog.git config core.sharedRepository)" = all ]
    exits 0 dsver fsck --store way/to/it
}

@test "init --shared: two of a group, each with an umask that keeps the other out" {
    versions 100
    shared=$(mktemp -d /tmp/ds-group.XXXXXX) # where others come to, unlike to the test's own folder
    cp v1.dsr v2.dsr "$shared" && cd "$shared" && chmod 644 v?.dsr && chgrp 4242 . && chmod 2775 . || skip "no other groups can be had here"
    printf '[safe]\n\tdirectory = *\n' >trust && chmod 644 trust && trust=$PWD/trust
    as 4243 022 init --shared group . >/dev/null 2>&1 || skip "no other users can be had here"
    as 4243 022 commit -q docs v1.dsr
    as 4244 077 commit -q docs v2.dsr
    as 4243 077 tag docs v1 >/dev/null
    as 4244 022 tag -d docs v1 >/dev/null
    as 4243 077 stats docs >/dev/null
    as 4244 077 stats docs@main~1 >/dev/null
    as 4243 077 remote add nas "$PWD/far" >/dev/null
    as 4243 077 push nas >/dev/null
    as 4244 077 commit -q more v1.dsr
    as 4244 022 push nas >/dev/null
    as 4244 077 reindex >/dev/null
    as 4243 022 gc >/dev/null
    as 4244 022 commit -q docs v1.dsr
    run as 4243 077 fsck --read-data
    [ "$status" -eq 0 ]
    [[ $output == "3 versions, "*": 0 problems" || $output == "4 versions, "*": 0 problems" ]]
}

@test "init --shared: with a group that is none of one's own there is no store" {
    shared=$(mktemp -d /tmp/ds-group.XXXXXX)
    cd "$shared" && chgrp 4242 . && chown 4243 . && chmod 2775 . || skip "no other groups can be had here"
    as 4243 022 --version >/dev/null 2>&1 || skip "no other users can be had here"
    run setpriv --reuid 4243 --regid 4243 --clear-groups dsver init --shared group .
    [ "$status" -eq 13 ]
    [[ $output == *"cannot be shared, for which its group is to be one of yours: ./.dsver: mkdir: Operation not permitted"* ]]
    [ ! -e .dsver ]
    exits 0 as 4243 022 init --shared group .
}

@test "init --shared: a store that was there; what cannot be used is named, and mended" {
    umask 077
    versions 100
    dsver commit -q docs v1.dsr
    dsver init --shared all >out
    grep -q 'files and folders with other permissions' out
    [ "$(kept_out .dsver all)" = "" ]
    [ "$(dsver config dsver.shared)" = all ]
    exits 2 dsver config dsver.shared group
    [[ $(dsver init --json) == *',"made":false,"shared":"all","mended":0}' ]]
    pack=$(echo .dsver/packs/*.pack)
    chmod 400 "$pack"
    chmod 700 .dsver/catalog.git/refs/heads/docs
    exits 0 dsver fsck
    [[ $output == *"packs/"*".pack: of "*": its mode is 0400, and 0444 in a store that is shared with all"* ]]
    [[ $output == *"catalog.git/refs/heads/docs: of "*": its mode is 2700, and 2775 in a store"* ]]
    has "2 files or folders not as a shared store's are to be"
    dsver fsck --json >out
    [ "$(grep -c '^{"type":"note","file":"[pc]' out)" -eq 2 ]
    grep -q '"problems":0,"modes":2}' out
    exits 0 dsver repair --modes
    has "2 files or folders with wrong permissions, 2 mended"
    exits 0 dsver fsck
    [[ $output != *"shared store"* ]]
    dsver init --shared umask >/dev/null
    exits 1 dsver config dsver.shared
    exits 1 git -C .dsver/catalog.git config core.sharedRepository
    exits 2 dsver repair --modes
    git config -f .dsver/config dsver.shared everybody
    exits 1 dsver ls
    has "dsver.shared is 'everybody', and can be umask, group or all"
}

@test "repair --modes follows no link that takes the place of what it looked at" {
    strace -o /dev/null true 2>/dev/null || skip "strace is not installed, or may not trace here"
    umask 077
    versions 10
    dsver init --shared group >/dev/null
    dsver commit -q docs v1.dsr
    chmod 700 .dsver/catalog.git/refs/heads/docs
    strace -f -qq -e trace=/chmod,/openat -E ASAN_OPTIONS=detect_leaks=0 -o calls dsver repair --modes
    # from within its folder, and not through its name
    grep -Eq '"docs", .*O_NOFOLLOW|"docs", .*AT_SYMLINK_NOFOLLOW' calls
    [ "$(grep -E 'chmod' calls | grep -cvE '/proc/self/fd/|AT_SYMLINK_NOFOLLOW')" = 0 ]
}

@test "repair --modes: what is another's is named with him, and is his to mend" {
    shared=$(mktemp -d /tmp/ds-group.XXXXXX)
    versions 100
    cp v1.dsr "$shared" && cd "$shared" && chmod 644 v1.dsr && chgrp 4242 . && chmod 2775 . || skip "no other groups can be had here"
    as 4243 022 init --shared group . >/dev/null 2>&1 || skip "no other users can be had here"
    as 4243 022 commit -q docs v1.dsr
    chmod 750 .dsver/packs
    chgrp 4243 .dsver/oplog
    run as 4244 022 repair --modes
    [ "$status" -eq 1 ]
    [[ $output == *"packs: of 4243: its mode is 2750, and 2770 in a store that is shared with its group"* ]]
    [[ $output == *"oplog: of 4243: its group is 4243, and that of the store 4242"* ]]
    [[ $output == *"2 left: their owners are to run this, or root"* ]]
    exits 0 as 4243 022 repair --modes
    exits 0 as 4244 077 tag docs v1
}

@test "a store in a group's folder: who is kept out by a member's umask is told so" {
    versions 100
    shared=$(mktemp -d /tmp/ds-group.XXXXXX) # where others come to, unlike to the test's own folder
    cp v1.dsr "$shared" && cd "$shared" && chmod 644 v1.dsr && chgrp 4242 . && chmod 2775 . || skip "no other groups can be had here"
    as 4243 002 init . >/dev/null 2>&1 || skip "no other users can be had here"
    as 4243 022 commit -q docs v1.dsr
    run as 4244 002 tag docs v1
    [ "$status" -eq 13 ]
    [[ $output == *"gate.lock: its group may not write it, as whoever made it had another umask than 002 (he can share it: dsver init --shared group): Permission denied"* ]]
    chmod g-w .dsver
    run as 4244 002 tag docs v1
    [ "$status" -eq 13 ]
    [[ $output == *"this store is only to be read: its group may not write it, as"*": Permission denied"* ]]
}

@test "a dead init is completed" {
    mkdir -p half/.dsver/catalog.git
    exits 10 dsver ls --store half
    exits 0 dsver init half
    exits 0 dsver fsck --store half
}

@test "without a store: exit 10 and a hint" {
    mkdir -p "$BATS_TEST_TMPDIR/../nostore.$$" && cd "$BATS_TEST_TMPDIR/../nostore.$$"
    for c in "ls" "log d" "cat d" "fsck" "gc" "reindex" "config" "stamp d f" "commit d $GOLDEN/blocks.dsr"; do
        run dsver $c </dev/null
        echo "$c: $status $output"
        [ "$status" -eq 10 ]
        has "dsver init"
    done
    exits 10 dsver ls --store "$PWD/none"
    DSVER_STORE=$PWD/none exits 10 dsver ls
}

@test "a store that cannot be looked into is none that is not there" {
    mkdir -p "$BATS_TEST_TMPDIR/a/b" && cd "$BATS_TEST_TMPDIR/a/b"
    ln -s .dsver ../.dsver # as an error of a network file system, for a moment
    run dsver log
    [ "$status" -eq 13 ]
    [[ $output == *"/a/.dsver/config: "* && $output != *init* ]]
}

@test "a git pack that cannot be read just now is not one that is damaged" {
    dsver commit -q d "$GOLDEN/blocks.dsr"
    idx=$(echo .dsver/catalog.git/objects/pack/*.idx)
    mv "$idx" kept
    ln -s "${idx##*/}" "$idx" # as an error of a network file system, for a moment
    for c in "log d" "cat d" "commit d $GOLDEN/blocks.dsr" "gc" "fsck" "branch d b"; do
        exits 13 dsver $c
        [[ $output == *"${idx##*/}: "* ]]
    done
    mv -f kept "$idx"
    exits 0 dsver fsck --read-data
    rm "$idx" # and one that is gone is
    exits 12 dsver log d
}

@test "the store is found upward, by --store and by DSVER_STORE" {
    dsver commit d "$GOLDEN/blocks.dsr"
    mkdir -p a/b/c
    (cd a/b/c && dsver ls) >out
    grep -q '^d@main' out
    mkdir elsewhere
    dsver init elsewhere
    exits 0 dsver ls --store elsewhere
    [ -z "$output" ]
    exits 0 dsver ls --store elsewhere/.dsver
    (cd elsewhere && dsver ls --store ..) | grep -q '^d@main'
    (cd elsewhere && DSVER_STORE=.. dsver ls) | grep -q '^d@main'
}

@test "config: set, get, list, unset; the format is not to be touched" {
    exits 1 dsver config user.name
    exits 0 dsver config user.name "A B"
    exits 0 dsver config user.name
    [ "$output" = "A B" ]
    exits 0 dsver config
    has "user.name=A B" "dsver.format=1"
    exits 0 dsver config --unset user.name
    exits 1 dsver config user.name
    exits 2 dsver config nodot x
    exits 2 dsver config user.nmae x
    has "nothing reads a setting 'user.nmae'; did you mean 'user.name'?"
    exits 2 dsver config dsver.datset x
    exits 0 dsver config http.proxy x
    exits 0 dsver config --unset http.proxy
    exits 2 dsver config dsver.format 2
    exits 2 dsver config --unset
    git config -f .dsver/config --get dsver.format
    git config -f .dsver/config dsver.format 9
    exits 1 dsver ls
    has "format"
}

@test "config --json parses" {
    need_jq
    dsver config user.name 'quote " and \ back'
    [ "$(dsver config --json user.name | jq -r .value)" = 'quote " and \ back' ]
    dsver config --json | jq -es 'length == 2'
}

@test "an empty name is no folder for a store" {
    exits 2 dsver init ""
    has "the name of the folder is empty"
    [ ! -e /.dsver ]
}

@test "a command reads no certificates and loads no libcurl: it has nothing to connect to" {
    strace -o /dev/null true 2>/dev/null || skip "strace is not installed, or may not trace here"
    versions 10
    dsver commit -q docs v1.dsr
    env ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=open,openat -o opened dsver log docs >/dev/null
    grep -q '\.dsver/catalog\.git' opened
    [ "$(grep -cE 'certs|\.crt|\.pem|libcurl' opened)" = 0 ]
}

@test "who has no libcurl is told so by what needs it, and by nothing else" {
    mkdir lib
    : >lib/libcurl.so.4
    : >lib/libcurl-gnutls.so.4
    export LD_LIBRARY_PATH=$PWD/lib
    exits 0 dsver fsck
    AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b exits 1 dsver clone --catalog none s3://bucket/some there
    has "reached by libcurl, which is not here: $PWD/lib/libcurl.so.4: file too short"
    [ ! -e there ]
}
