#!/usr/bin/env bats
# Erasures that change more than they erase are not taken over from a remote by a store that still
# holds what they replace; honest ones are.
load dsver_common

# keyed FILE ID=TEXT...: records, as a stream.
keyed() {
    local out=$1 kv
    shift
    for kv; do printf '{"id":"%s","text":"%s"}\n' "${kv%%=*}" "${kv#*=}"; done >rows.jsonl
    dsprep text -q --key-field id rows.jsonl >"$out"
}

# A remote, and b: a store that has all of it.
three() {
    keyed d.dsr a=xa b=xb c=xc
    dsver commit d d.dsr >/dev/null
    dsver remote add origin "$PWD/far"
    dsver push -q
    dsver clone -q far b
    g="git --git-dir=.dsver/catalog.git -c user.name=Eve -c user.email=eve@x"
}

# relined FILE: what is erased, with this file of lines holding what stands on stdin.
relined() {
    export GIT_INDEX_FILE=$PWD/ix
    rm -f ix
    $g read-tree refs/dsver/erased
    $g update-index --cacheinfo "100644,$($g hash-object -w --stdin),$1"
    $g update-ref refs/dsver/erased "$($g commit-tree -p refs/dsver/erased -m "erased 1 record" "$($g write-tree)")"
    unset GIT_INDEX_FILE
}

# forge KIND ID=TEXT...: what is read in place of d's block, or page of sources, is that of these.
forge() {
    local kind=$1 file ours
    shift
    keyed e.dsr "$@"
    dsver commit evil e.dsr >/dev/null
    ours=$($g cat-file blob "evil/main:$kind/0000/0000" | head -n 1)
    for file in $($g ls-tree -r --name-only refs/dsver/erased lines); do
        $g cat-file blob "refs/dsver/erased:$file" >lines
        # of the two the block's line has more chunks than one
        if [ "$(awk 'NR == 1 { print (NF > 3 ? "blocks" : "sources") }' lines)" = "$kind" ]; then
            echo "$(cut -d' ' -f1 lines | head -n 1) $ours" | relined "$file"
        fi
    done
    dsver push -q
}

# refused TEXT...: b takes nothing over, whatever it is asked to do, and is what it was.
refused() {
    (cd b && state) >before
    dsver cat --store b d >before.dsr
    for cmd in fetch pull "gc --remote origin"; do
        exits 12 dsver $cmd --store b
        has "origin: its erasure is refused" "$@" "nothing was taken over"
        (cd b && state) | cmp - before
        dsver cat --store b d | cmp - before.dsr
    done
    exits 0 dsver gc --store b --grace 0
    exits 0 dsver fsck --store b --read-data
    dsver cat --store b d | cmp - before.dsr
}

tomb=erased:0123456789abcdef0123456789abcdef

@test "an honest erasure is taken over; so is one of the same block again, and what is left of it" {
    three
    dsver forget --reason one a >/dev/null
    dsver push -q
    exits 0 dsver fetch --store b
    [ "$(dsver cat --store b d | records - | grep -c erased:)" -eq 1 ]
    dsver forget --reason two b >/dev/null
    dsver push -q
    exits 0 dsver pull --store b
    [ "$(dsver cat --store b d | records - | grep -c erased:)" -eq 2 ]
    dsver cat --store b d | cmp - <(dsver cat d)
    # of two stores that did not know of each other
    dsver forget --reason three c >/dev/null
    dsver push -q
    dsver forget --store b --reason four c >/dev/null
    exits 0 dsver fetch --store b
    dsver push --store b -q
    exits 0 dsver fetch
    dsver cat --store b d | cmp - <(dsver cat d)
}

@test "an erasure that changes a record beside is refused, and names it" {
    three
    dsver forget --reason one a >/dev/null
    forge blocks $tomb= b=other c=xc
    refused "d, version $($g rev-parse d/main | cut -c1-12), block 0, record 1, column text: is another"
    # what it should have been is taken over
    $g update-ref refs/dsver/erased refs/dsver/erased~1
    git --git-dir=far/catalog.git update-ref -d refs/dsver/erased
    dsver push -q
    exits 0 dsver fetch --store b
    [ "$(dsver cat --store b d | records - | grep -c erased:)" -eq 1 ]
}

@test "an erasure with something in a tombstone, or with other keys, is refused" {
    three
    dsver forget --reason one a >/dev/null
    forge blocks $tomb=something b=xb c=xc
    refused "block 0, record 0, column text: is not what is left of an erased record"
    $g update-ref refs/dsver/erased refs/dsver/erased~1
    git --git-dir=far/catalog.git update-ref -d refs/dsver/erased
    forge blocks $tomb= b=xb d=xc
    refused "block 0, record 2, column key: is another"
}

@test "an erasure that changes what an earlier one left is refused" {
    three
    dsver forget --reason one a >/dev/null
    dsver push -q
    dsver fetch --store b -q
    forge blocks a=back b=xb c=xc
    refused "block 0, record 0, column key: is another"
    # joined with an erasure of the second store it brings nothing back, and is not to bring anything else
    dsver forget --store b --reason two b >/dev/null
    dsver cat --store b d >before.dsr
    exits 0 dsver fetch --store b
    dsver cat --store b d | cmp - before.dsr
    cp -a b b2
    forge blocks erased:00000000000000000000000000000000=more b=xb c=xc
    # what both erased is made of what is here, whatever the other says that it looks like
    exits 0 dsver fetch --store b
    dsver cat --store b d | cmp - before.dsr
    # but of erasures of old it is not known what they erased
    rm -rf b && mv b2 b
    tree=$($g ls-tree refs/dsver/erased | grep -v rows | $g mktree)
    $g update-ref refs/dsver/erased "$($g commit-tree -p refs/dsver/erased~1 -m "erased 1 record" "$tree")"
    git --git-dir=far/catalog.git update-ref -d refs/dsver/erased
    dsver push -q
    refused "block 0, record 0, column text: is not what is left of an erased record"
}

@test "an erasure without what was erased before is refused" {
    three
    dsver forget --reason one a >/dev/null
    dsver push -q
    dsver fetch --store b -q
    for f in $($g ls-tree -r --name-only refs/dsver/erased lines); do : | relined "$f"; done
    dsver push -q
    refused "what was erased before of block"
}

@test "an erasure that renames a source that it does not erase is refused" {
    for i in a b; do printf '{"id":"%s","text":"x"}\n' $i >$i.jsonl; done
    dsprep text -q --key-field id a.jsonl b.jsonl | dsver commit d >/dev/null
    dsver remote add origin "$PWD/far"
    dsver push -q
    dsver clone -q far b
    g="git --git-dir=.dsver/catalog.git -c user.name=Eve -c user.email=eve@x"
    dsver forget --reason one a >/dev/null
    cp a.jsonl c.jsonl
    dsprep text -q --key-field id c.jsonl b.jsonl | dsver commit evil >/dev/null
    for file in $($g ls-tree -r --name-only refs/dsver/erased lines); do
        $g cat-file blob "refs/dsver/erased:$file" >lines
        if [ "$(awk 'NR == 1 { print NF }' lines)" -eq 3 ]; then
            echo "$(cut -d' ' -f1 lines) $($g cat-file blob evil/main:sources/0000/0000)" | relined "$file"
            found=1
        fi
    done
    [ "$found" ]
    dsver push -q
    refused "page 0 of sources, source 0: is another"
}

@test "a clone that holds nothing of what was replaced takes the erasure; a lazy one that does compares" {
    three
    dsver clone -q --lazy far lazy
    dsver clone -q --lazy far read
    dsver cat --store read d >before.dsr
    dsver forget --reason one a >/dev/null
    forge blocks $tomb= b=other c=xc
    exits 0 dsver clone -q far fresh
    exits 0 dsver fetch --store lazy
    exits 12 dsver fetch --store read
    has "block 0, record 1, column text"
    dsver cat --store read d | cmp - before.dsr
}

@test "repair does not take over an erasure that changes more than it erases" {
    three
    dsver forget --reason one a >/dev/null
    cp -a . ../honest
    forge blocks $tomb= b=other c=xc
    dsver cat --store b d >before.dsr
    # of the catalog nothing is left, of the packs everything
    cp -a b b2
    rm -rf b/.dsver/catalog.git b/.dsver/oplog
    exits 12 dsver repair --store b --from "$PWD"
    has "its erasure is refused" "block 0, record 1, column text: is another than it was" "no piece was dropped"
    exits 0 dsver fsck --store b --read-data
    dsver cat --store b d | cmp - before.dsr
    exits 0 dsver gc --store b --grace 0
    dsver cat --store b d | cmp - before.dsr
    # an honest one is
    rm -rf b2/.dsver/catalog.git b2/.dsver/oplog
    exits 0 dsver repair --store b2 --from "$BATS_TEST_TMPDIR/../honest"
    dsver cat --store b2 d | cmp - <(dsver cat --store ../honest d)
    exits 0 dsver fsck --store b2 --read-data
}
