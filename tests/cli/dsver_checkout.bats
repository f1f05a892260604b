#!/usr/bin/env bats
# dsver checkout: a version in a folder, whole, and nothing else's folder touched.
load dsver_common

@test "checkout: a version comes back as a shard and as JSON lines" {
    versions 3000
    dsver commit docs v1.dsr >/dev/null
    dsver commit docs v2.dsr >/dev/null
    exits 0 dsver checkout docs~1 out
    dsprep check out
    records out | cmp - <(records v1.dsr)
    exits 0 dsver checkout --format jsonl docs lines --json
    has '"replaced":false'
    cmp lines/records.jsonl <(records v2.dsr)
    [ "$(ls -A lines | wc -l)" -eq 2 ]
    [ "$(stat -c %h out/shard-00000.dsr)" -eq 1 ]
    exits 2 dsver checkout docs ""
    has "the name of the folder is empty"
}

@test "checkout: its own folder is replaced, anything else is left alone" {
    versions 300
    dsver commit docs v1.dsr >/dev/null
    dsver commit docs v2.dsr >/dev/null
    dsver checkout docs~1 out >/dev/null
    exits 0 dsver checkout docs out/ --json
    has '"replaced":true'
    records out | cmp - <(records v2.dsr)
    dsver checkout --format jsonl docs out >/dev/null
    [ "$(ls out)" = records.jsonl ]
    echo changed >>out/records.jsonl
    cp out/records.jsonl mine
    exits 1 dsver checkout docs out
    has "was changed"
    cmp out/records.jsonl mine
    # A marker as older checkouts left it, with a SHA-256.
    rm -r out && exits 0 dsver checkout --format jsonl docs out
    echo "$(sha256sum <out/records.jsonl | cut -c1-64) records.jsonl" >out/.dsver-checkout
    exits 0 dsver checkout --format jsonl docs out
    echo "$(sha256sum <out/records.jsonl | cut -c1-64) records.jsonl" >out/.dsver-checkout
    echo changed >>out/records.jsonl
    exits 1 dsver checkout --format jsonl docs out
    has "was changed"
    echo "nothing records.jsonl" >out/.dsver-checkout
    exits 1 dsver checkout --format jsonl docs out
    mkdir other && echo note >other/note
    exits 1 dsver checkout docs other
    has "note"
    [ "$(cat other/note)" = note ]
    rm out/records.jsonl && touch out/more
    exits 1 dsver checkout docs out
    echo file >plain
    exits 1 dsver checkout docs plain
    [ "$(cat plain)" = file ]
    mkdir empty
    exits 0 dsver checkout docs empty
    exits 1 dsver checkout none here
    [ ! -e here ]
    [ -z "$(ls -d ./*.dsver-* 2>/dev/null)" ]
    dsver fsck
}

@test "checkout: a version that cannot be read leaves what was there" {
    versions 300
    dsver commit docs v1.dsr >/dev/null
    dsver checkout docs out >/dev/null
    pack=$(ls .dsver/packs/*.pack)
    chmod u+w "$pack"
    printf 'XXXX' | dd of="$pack" bs=1 seek=300 conv=notrunc status=none
    run dsver checkout docs out
    [ "$status" -eq 12 ]
    records out | cmp - <(records v1.dsr)
    [ -z "$(ls -d ./*.dsver-* 2>/dev/null)" ]
}

# A folder with everything that a folder can hold.
make_folder() {
    mkdir -p a/b/empty a/c
    printf 'one\n' >a/b/x
    ln a/b/x a/c/y
    ln -s ../nowhere a/link
    printf 'bin\0\377' >$'a/n\377ame'
    : >a/zero
    head -c 3000000 /dev/zero | tr '\0' 'q' >a/big
    chmod 4755 a/b/x
    chmod 0500 a/c
}

listing() {
    (cd "$1" && find . -mindepth 1 -printf '%P %M %n %l\n' | sort)
}

@test "checkout: files come back as files, links and folders, and nothing of the store is in them" {
    make_folder
    dsprep files -q a | dsver commit raw >/dev/null
    exits 0 dsver checkout --setuid raw out/ --json
    has '"files":9,"bytes":3000009,"replaced":false'
    listing a >want
    listing out | diff want -
    cmp a/big out/big
    cmp $'a/n\377ame' $'out/n\377ame'
    dsver checkout raw plain >/dev/null
    [ "$(stat -c %a plain/b/x)" = 755 ]
    # The copy is its owner's: nothing done to it reaches the store.
    chmod -R u+w out && find out -type f -exec sh -c 'echo more >>"$1"' - {} \;
    dsver fsck --read-data
    exits 1 dsver checkout raw out
    has "nothing is written over"
    mkdir empty
    dsver checkout raw empty >/dev/null
    # Other forms are had by name.
    dsver checkout --format dsr raw shard >/dev/null
    [ -s shard/shard-00000.dsr ]
    printf 'x\n' | dsprep text -q --split line - | dsver commit docs >/dev/null
    exits 1 dsver checkout --format files docs none
    # An option that the form has no use for is refused, whoever chose the form.
    for args in "--level 3 raw" "--level 3 --format jsonl docs" "--setuid docs" \
        "--setuid --format dsr raw"; do
        exits 2 dsver checkout $args none
        has "this is written as"
    done
    [ ! -e none ]
    exits 0 dsver checkout --level 3 docs small
}

# syncs FILE: calls that wait for the disk.
syncs() { grep -cE 'sync[a-z_]*\(' "$1" || :; }

@test "checkout --no-sync writes the same and does not wait for the disk" {
    strace -o /dev/null true 2>/dev/null || skip "strace is not installed, or may not trace here"
    mkdir tree && echo one >tree/a && echo two >tree/b
    dsprep files -q tree | dsver commit raw >/dev/null
    versions 300
    dsver commit docs v1.dsr >/dev/null
    local traced="env ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=fsync,fdatasync,syncfs,sync_file_range -o"
    $traced t1 dsver checkout docs out >/dev/null
    $traced t2 dsver checkout raw copy >/dev/null
    [ "$(syncs t1)" -ge 3 ]
    [ "$(syncs t2)" -ge 2 ]
    $traced t3 dsver checkout --no-sync docs out2 >/dev/null
    $traced t4 dsver checkout --no-sync raw copy2 >/dev/null
    [ "$(syncs t3) $(syncs t4)" = "0 0" ]
    diff -r out out2
    diff -r tree copy2
    exits 0 dsver checkout --no-sync docs out2 --json
    has '"replaced":true'
}

@test "checkout of files: what was erased is left out; damage leaves no folder" {
    make_folder
    chmod u+w a/c
    dsprep files -q a | dsver commit raw >/dev/null
    dsver forget --reason test big >/dev/null
    exits 0 dsver checkout --setuid raw out
    has " 8 files, 9 bytes"
    [ ! -e out/big ]
    cmp a/c/y out/c/y
    for pack in .dsver/packs/*.pack; do
        chmod u+w "$pack"
        printf 'XXXXXXXX' | dd of="$pack" bs=1 seek=100 conv=notrunc status=none
    done
    exits 12 dsver checkout raw broken
    [ ! -e broken ]
    [ -z "$(ls -d ./*.dsver-* 2>/dev/null)" ]
}

@test "checkout of files: other names of a file that was erased are left out with it" {
    mkdir a
    echo secret >a/first
    ln a/first a/second
    ln a/first a/third
    echo x >a/x
    ln a/x a/y
    dsprep files -q a | dsver commit raw >/dev/null
    ln a/first a/zfourth
    dsprep files -q a | dsver commit raw >/dev/null
    exits 0 dsver forget --reason test first
    has "erased 4 records"
    for rev in raw raw~1; do
        dsver checkout $rev out >/dev/null
        [ "$(ls out | tr '\n' ' ')" = "x y " ]
        rm -r out
    done
    [ -z "$(dsver cat raw | dsprep cat | grep -e first -e second -e zfourth)" ]
    dsver fsck --read-data
    # By a value: the same.
    exits 0 dsver forget --reason test --where key=x
    has "erased 2 records"
    # A version in which the first name alone was erased.
    dsprep files -q a | dsprep filter -q --where 'kind == "file"' | dsver commit again >/dev/null
    dsver forget --reason test --dataset again first >/dev/null
    dsver cat again | dsver commit again >/dev/null
    dsprep files -q a | dsprep filter -q --where 'kind == "hardlink"' | dsver commit --append again >/dev/null
    dsver checkout again out >/dev/null
    [ "$(ls out | tr '\n' ' ')" = "x y " ]
}
