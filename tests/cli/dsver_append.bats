#!/usr/bin/env bats
# dsver commit --append and --every: records that follow others, streams that follow each other.
load dsver_common

# parts N...: pN.dsr, one stream each of so many lines, and all.dsr of all of them. Words vary, so that
# blocks are cut by content; the fourth part ends with a line longer than a block.
parts() {
    local k=0 n
    : >all.txt
    for n in "$@"; do
        awk -v n="$n" -v k="$k" 'BEGIN {
            srand(7 * k + 1)
            for (i = 0; i < n; i++) {
                s = ""
                for (j = int(rand() * 60); j >= 0; j--) s = s sprintf("w%x ", int(rand() * 40000))
                print s "line " i
            }
            if (k == 3) { for (i = 0; i < 200000; i++) printf "w%d ", i; print "" }
        }' >"p$k.txt"
        cat "p$k.txt" >>all.txt
        dsprep text -q --split line - <"p$k.txt" >"p$k.dsr"
        k=$((k + 1))
    done
    dsprep text -q --split line - <all.txt >all.dsr
}

root() {
    dsver show "$1" | grep '^root'
}

origin_root() {
    git -C .dsver/catalog.git show "refs/heads/$1/main:meta.json" | grep origin_root
}

@test "appended records give the root that one stream of all of them has" {
    parts 6000 1 2500 900 4000 0 700
    dsver commit one all.dsr
    for k in 0 1 2 3 4 5 6; do
        dsver commit --append parted p$k.dsr
    done
    [ "$(root parted)" = "$(root one)" ]
    dsver cat parted >back.dsr
    dsprep check back.dsr
    dsprep cat --data back.dsr >back.jsonl
    dsprep cat --data all.dsr >all.jsonl
    cmp back.jsonl all.jsonl
    exits 0 dsver fsck --read-data
}

@test "origins go on behind the sources that were there" {
    parts 3000 10 2000
    for k in 0 1 2; do
        dsver commit --append parted p$k.dsr
    done
    cat p0.dsr p1.dsr p2.dsr | dsver commit --append gathered
    [ "$(origin_root parted)" = "$(origin_root gathered)" ]
    dsver cat parted | dsprep info --json | grep -q '"sources":3'
    dsver cat parted | dsprep cat --origin | tail -n 1 | grep -q '"origin":\[\[2,'
}

@test "a stream of streams becomes versions, each the whole so far" {
    need_jq
    parts 500 4000 3 800
    cat p?.dsr | dsver commit --json --every-records 1 ops >told.jsonl
    [ "$(jq -c .records told.jsonl | tr '\n' ' ')" = "500 4500 4503 5304 " ]
    [ "$(dsver log --json ops | wc -l)" -eq 4 ]
    dsver commit one all.dsr
    [ "$(root ops)" = "$(root one)" ]
    # what counts is where a stream ends
    cat p?.dsr | dsver commit --json --every-records 501 other | jq -c .records | tr '\n' ' ' >told
    [ "$(cat told)" = "4500 5304 " ]
    cat p?.dsr | dsver commit --json --every 9h third | jq -c .records >told
    [ "$(cat told)" = 5304 ]
    cat p?.dsr | dsver commit --json --every-bytes 1G fourth | jq -c .records >told
    [ "$(cat told)" = 5304 ]
    # and the next run goes on it only with --append
    dsver commit --json --append --every-records 1 ops p0.dsr | jq -c .records >told
    [ "$(cat told)" = 5804 ]
    dsver commit --json --every-records 1 ops p0.dsr | jq -c .records >told
    [ "$(cat told)" = 500 ]
}

@test "accounts add up over what was gathered" {
    printf 'good\nb\377d\nfine\n' >a.txt
    { for k in 1 2 3; do dsprep text -q --split line --on-error=skip - <a.txt || [ $? -eq 3 ]; done; } |
        dsver commit --every 9h ops
    dsver show --json ops | grep -q '"held":{"invalid UTF-8":3}'
}

@test "a producer that dies costs what was being gathered, and no version" {
    parts 10 20 3000
    { cat p0.dsr p1.dsr; head -c 60000 p2.dsr; } >cut.dsr
    exits 12 dsver commit --every-records 1 ops cut.dsr
    has "stream 3"
    dsver show ops | grep -q '^records 30 '
    exits 12 dsver commit --append --every 9h ops cut.dsr
    dsver show ops | grep -q '^records 30 '
    exits 0 dsver fsck --read-data
}

@test "explicit keys stay different over what was there" {
    for k in 1 2; do
        printf '{"id":"k%s","text":"text %s"}\n' $k $k >$k.jsonl
        dsprep text -q --key-field id $k.jsonl >$k.dsr
    done
    dsver commit d 1.dsr
    dsver commit --append d 2.dsr
    before=$(state d)
    exits 1 dsver commit --append d 1.dsr
    has k1
    [ "$(state d)" = "$before" ]
}

@test "other columns, several streams and a new branch" {
    parts 5 6
    dsver commit d p0.dsr
    printf '{"id":"k","text":"t"}\n' | dsprep text -q --format jsonl --key-field id - >k.dsr
    exits 1 dsver commit --append d k.dsr
    has "columns are not those"
    cat p0.dsr p1.dsr >two.dsr
    exits 12 dsver commit e two.dsr
    has "another stream follows"
    exits 12 dsprep info two.dsr
    dsver commit --append -b side d p1.dsr # a new branch goes on from main
    dsver show d@side | grep -q '^records 11 '
    dsver show d | grep -q '^records 5 '
}

@test "stages make as many streams as they read" {
    parts 40 50 60
    cat p?.dsr | dsprep filter -q --where 'text != ""' | dsprep cat | wc -l >n
    [ "$(cat n)" -eq 150 ]
    cat p?.dsr | dsprep filter -q --where 'text != ""' - | dsver commit --json --every-records 1 d >told
    [ "$(wc -l <told)" -eq 3 ]
    cat p?.dsr >in.dsr
    exits 2 dsprep filter -q --where 'text != ""' -o out.dsr - <in.dsr
    has "several streams"
    exits 12 dsprep shuffle --seed 1 <in.dsr
    has "another stream follows"
}

# overtaken OPTION...: b.dsr is appended while the version of a.dsr is being signed, which is behind the last look
# at the branch and before its move.
overtaken() {
    command -v ssh-keygen >/dev/null || skip "ssh-keygen (openssh-client) is not installed"
    [ -e key ] || ssh-keygen -q -t ed25519 -N "" -C "" -f key </dev/null
    cat >sign.sh <<'END'
#!/bin/sh
if [ -e once ]; then
    rm once
    dsver commit -q --no-sign --append d b.dsr </dev/null || exit 1
fi
exec ssh-keygen "$@"
END
    chmod +x sign.sh
    dsver config gpg.format ssh
    dsver config gpg.ssh.program "$PWD/sign.sh"
    dsver config user.signingkey "$PWD/key"
    for k in a b c; do
        [ -e $k.dsr ] || echo "line $k" | dsprep text -q --split line - >$k.dsr
    done
    touch once
    dsver commit -q --append -S "$@"
}

@test "of two who append to a new dataset at once, the later one is refused: its version has not the other's records" {
    rc=0
    overtaken d a.dsr 2>err || rc=$?
    [ "$rc" -eq 11 ]
    grep -q 'refs/heads/d/main was made meanwhile, at ' err
    [ "$(dsver cat d | dsprep cat -c text --data | wc -l)" -eq 1 ]
}

@test "--append --retry goes on what is there by then, from files and pipes" {
    overtaken --retry d a.dsr
    [ ! -e once ]
    overtaken --retry d - <c.dsr
    # shellcheck disable=SC2002
    cat a.dsr | overtaken --retry d
    [ ! -e once ]
    dsver cat d | dsprep cat --data >got
    for k in b a b c b a; do dsprep cat --data $k.dsr; done >want
    cmp got want
    exits 0 dsver fsck --read-data
    exits 2 dsver commit --retry d a.dsr
    exits 2 dsver commit --append --retry --every 1s d a.dsr
}
