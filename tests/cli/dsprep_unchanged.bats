#!/usr/bin/env bats
# dsprep files --store: what a store has of files that did not change is referred to, not read.
load dsver_common

# Files of many sizes, several blocks of them, one of several pieces, some of one read and a byte, links and empty ones.
make_tree() {
    mkdir -p t/d/sub t/empty
    lines 9000 >l.txt
    (cd t/d && split -l 15 -a 3 ../../l.txt f)
    (cd t/d/sub && split -l 60 -a 3 ../../../l.txt g)
    cat l.txt l.txt l.txt >t/large
    for i in 262143 262144 262145; do head -c $i l.txt >t/of$i; done
    : >t/zero
    ln -s nowhere t/link
    ln t/d/faaa t/hard
}

# settled FOLDER: waits until what is in it is old enough to be remembered.
settled() {
    until [ -z "$(find "$1" -newermt '-2.2 seconds' -o -newerct '-2.2 seconds')" ]; do
        sleep 0.1
    done
}

store_it() { # [OPTION...]: commits t by way of the cache; what dsprep said is in `said`
    dsprep files --store . t 2>said | dsver commit "$@" raw >out
}
root_is_right() {
    dsver cat raw | dsprep check | sed 's/.*root //' >have
    dsprep files -q t | dsprep check | sed 's/.*root //' >want
    diff want have
}

@test "unchanged files are not read; edits, renames and new files are seen; the root is that of reading all" {
    make_tree
    settled t
    # with an empty cache, and with one that the store knows nothing of: the same stream, digests of files and all
    for i in 1 2; do
        dsprep files -q --store . t | cmp - <(dsprep files -q t)
    done
    store_it
    grep -q ' bytes read, 0 records unchanged$' said
    root_is_right
    n=$(find t -mindepth 1 | wc -l)
    store_it
    grep -q "; 0 bytes read, $n records unchanged\$" said
    grep -q unchanged out
    # the stream is what is small
    [ "$(dsprep files -q --store . t | wc -c)" -lt $(($(dsprep files -q t | wc -c) / 10)) ]
    # one file edited: only its block is read
    printf x >>t/d/fbcd
    store_it
    root_is_right
    [ "$(sed 's/.*failed; \([0-9]*\) bytes read.*/\1/' said)" -lt 1500000 ]
    [ "$(sed 's/.*read, \([0-9]*\) records.*/\1/' said)" -gt 100 ]
    # touched, other permissions, renamed, gone, new
    touch t/d/faab
    chmod 600 t/d/faac
    mv t/d/faad t/d/moved
    rm t/d/sub/gaaa
    echo new >t/d/fbbb.new
    store_it
    root_is_right
    dsver diff raw | tail -n 1 | grep -q '^2 removed, 1 changed, 2 added: '
    # and now all of it from the store again
    settled t
    store_it
    store_it
    grep -q '; 0 bytes read, ' said
    root_is_right
    dsver fsck --read-data >/dev/null
}

@test "an edit that keeps the size is seen within the same tick, and with the times put back" {
    mkdir t
    lines 4000 | split -l 20 -a 3 - t/f
    for i in 1 2 3 4 5; do
        printf '%064d' "$i" >t/same
        store_it
        printf '%064d' "9$i" >t/same # at once, before the clock moves
        store_it
        root_is_right
    done
    touch -d '2001-01-01' t/same
    settled t
    store_it
    store_it
    grep -q '; 0 bytes read, ' said
    stat -c %y t/same >was
    printf '%064d' 77 >t/same
    touch -d '2001-01-01' t/same
    stat -c %y t/same | diff was -
    store_it
    root_is_right
}

@test "references are checked by the store: where the version before has them, and where it is not" {
    make_tree
    settled t
    store_it
    dsprep files -q --store . t >refs.dsr
    # another dataset and another branch: read from the store, and checked as what comes in a stream
    dsver commit other refs.dsr >/dev/null
    dsver commit -b side raw refs.dsr >/dev/null
    dsver cat other | dsprep check | sed 's/.*root //' >have
    dsver cat raw@side | dsprep check | sed 's/.*root //' >>have
    dsver cat raw | dsprep check | sed 's/.*root //' >want
    dsver cat raw | dsprep check | sed 's/.*root //' >>want
    diff want have
    # nobody else understands it
    exits 12 dsprep cat refs.dsr
    [[ $output == *'reference frames need a store'* ]]
    # another store refuses it by name
    mkdir two && (cd two && dsver init >/dev/null)
    exits 1 dsver commit --store two raw refs.dsr
    [[ $output == *"refers to pieces of store $(cat .dsver/id)"* ]]
    [ -z "$(dsver ls --store two)" ]
    dsprep files -q --store two t/zero | dsver commit --store two raw >/dev/null
    exits 1 dsver commit --store two raw refs.dsr
    [[ $output == *"and this is store $(cat two/.dsver/id)"* ]]
    # what gc took away is missed by name, and read again by the next run
    dsver branch --delete raw side >/dev/null
    dsver branch --delete raw main >/dev/null
    dsver branch --delete other main >/dev/null
    dsver gc --grace 0 >/dev/null
    exits 1 dsver commit raw refs.dsr
    [[ $output == *'which this store does not have'* ]]
    store_it
    grep -q ' 0 records unchanged$' said
    root_is_right
}

@test "a cache that is damaged, gone or of another folder costs reading only" {
    make_tree
    settled t
    store_it
    store_it
    c=$(echo .dsver/files/*)
    [ "$(dsprep files --store . t/d 2>&1 >/dev/null | sed 's/.*read, //')" = '0 records unchanged' ]
    printf '\377' | dd of="$c" bs=1 seek=200 conv=notrunc status=none
    store_it
    grep -q ' 0 records unchanged$' said
    root_is_right
    store_it
    grep -q '; 0 bytes read, ' said
    head -c 100 "$c" >cut && mv cut "$c"
    store_it
    root_is_right
    rm -r .dsver/files
    store_it
    root_is_right
    exits 2 dsprep files --store . -o shards t
    exits 10 dsprep files --store t t
}

@test "several inputs; archives among them; forget leaves no names behind" {
    make_tree
    mkdir u && lines 300 | split -l 7 -a 3 - u/h
    mkdir v && lines 2000 | split -l 40 -a 3 - v/k
    tar cf a.tar v
    settled t
    settled u
    dsprep files -q t a.tar u/haaa | dsver commit all >/dev/null
    for i in 1 2 3; do
        dsprep files --store . t a.tar u/haaa 2>said | dsver commit all >out
        grep -q unchanged out
    done
    [ "$(sed 's/.*read, \([0-9]*\) records.*/\1/' said)" -gt 100 ]
    [ -n "$(ls .dsver/files)" ]
    dsver forget --reason 'asked to' haaa >/dev/null
    [ ! -e .dsver/files ]
}

@test "every stage, and commits that go on a version, refuse references by name and leave nothing behind" {
    mkdir t && lines 300 | split -l 7 -a 3 - t/h
    settled t
    store_it
    dsprep files -q --store . t >refs.dsr
    for stage in cat head check info redact 'filter --where true' 'map --drop mode' \
        'sample --count 3' 'mix refs.dsr' 'sort --by key' 'shuffle --seed 1' 'restore back' \
        'split --by key -d parts' 'export --format jsonl' 'export --format mds -o mds'; do
        # shellcheck disable=SC2086 # options are words
        if dsprep $stage <refs.dsr >made 2>why; then
            echo "$stage took it"
            false
        fi
        grep -q 'reference frames need a store' why || { echo "$stage: $(cat why)" && false; }
        # what was written is no stream that anybody would take
        [ ! -s made ] || ! dsprep check made
    done
    [ ! -e back ]
    before=$(dsver log --json raw)
    for how in --append '--every 1h' '--append --every-records 5'; do
        # shellcheck disable=SC2086
        exits 12 dsver commit $how raw refs.dsr
        [[ $output == *'reference frames need a store: '*'without --append and --every'* ]]
        [ "$(dsver log --json raw)" = "$before" ]
    done
    # streams one behind the other are no version without --every either
    cat refs.dsr refs.dsr >two.dsr
    exits 12 dsver commit raw two.dsr
    [[ $output == *'another stream follows'* ]]
    [ "$(dsver log --json raw)" = "$before" ]
    dsver commit raw refs.dsr | grep -q unchanged
}

@test "a producer that lies about records: the store reads them where it matters" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    mkdir t && echo x >t/f
    dsprep files -q --store . t >/dev/null # draws the store's number
    PYTHONPATH=$DS_ROOT/tests/compat python3 "$DS_ROOT/tests/compat/lyingrefs.py" "$(cat .dsver/id)" .
    dsver commit docs good-1.dsr >/dev/null
    dsver commit docs good-2.dsr | grep -q unchanged
    dsver commit -b side docs good-1.dsr >/dev/null
    dsver commit -b side docs good-3.dsr >/dev/null
    dsver cat docs@side | dsprep check
    git -C .dsver/catalog.git for-each-ref >before
    for lie in lie-*.dsr; do
        exits 12 dsver commit docs "$lie"
        [[ $output == *'is not what its reference says of it'* || $output == *'where no block may end'* ||
            $output == *'it must end after record'* ]]
    done
    git -C .dsver/catalog.git for-each-ref | cmp - before
}
