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
    find "$1" ! -perm -g+w ! -name '*.pack' ! -name '*.idx' ! -name '*.heads' ! -name format
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

@test "a store in a group's folder: who is kept out by a member's umask is told so" {
    as() { # UID UMASK ARGS: as somebody of the group
        (umask "$2" && HOME=/ GIT_CONFIG_GLOBAL=/dev/null setpriv --reuid "$1" --regid 4242 --clear-groups dsver "${@:3}")
    }
    versions 100
    shared=$(mktemp -d /tmp/ds-group.XXXXXX) # where others come to, unlike to the test's own folder
    cp v1.dsr "$shared" && cd "$shared" && chmod 644 v1.dsr && chgrp 4242 . && chmod 2775 . || skip "no other groups can be had here"
    as 4243 002 init . >/dev/null 2>&1 || skip "no other users can be had here"
    as 4243 022 commit -q docs v1.dsr
    run as 4244 002 tag docs v1
    [ "$status" -eq 13 ]
    [[ $output == *"gate.lock: its group may not write it, as whoever made it had another umask than 002: Permission denied"* ]]
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

@test "a command reads no certificates: it has nothing to connect to" {
    strace -o /dev/null true 2>/dev/null || skip "strace is not installed, or may not trace here"
    versions 10
    dsver commit -q docs v1.dsr
    env ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=open,openat -o opened dsver log docs >/dev/null
    grep -q '\.dsver/catalog\.git' opened
    [ "$(grep -cE 'certs|\.crt|\.pem' opened)" = 0 ]
}
