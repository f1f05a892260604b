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

@test "checkout --only restores paths, folders and what globs match, with the folders around" {
    mkdir -p raw/scans/march/deep raw/scans/april raw/empty
    echo 1 >raw/scans/march/1.txt
    echo 2 >raw/scans/march/deep/2.bin
    echo 3 >raw/scans/april/3.txt
    echo n >raw/notes.txt
    echo o >'raw/odd[1].txt'
    ln -s ../april raw/scans/march/link
    chmod 0750 raw/scans && chmod 0700 raw/scans/march/deep
    touch -d 2001-02-03 raw/scans/march/deep raw/scans/march
    touch -d 2002-03-04 raw/scans
    dsprep files -q --mtime raw | dsver commit raw >/dev/null
    listing() { (cd "$1" && find . -mindepth 1 -printf '%P %M %T@ %l\n' | sort); }
    only() { listing raw | grep -E "^($1) " >want && listing out | diff want - && rm -r out; }
    exits 0 dsver checkout raw out --only scans/march --only ./notes.txt
    only 'scans|scans/march|scans/march/.*|notes.txt'
    exits 0 dsver checkout raw out --only 'scans/march/*'
    only 'scans|scans/march|scans/march/.*'
    exits 0 dsver checkout raw out --only '*/march/deep/'
    only 'scans|scans/march|scans/march/deep|scans/march/deep/2.bin'
    exits 0 dsver checkout raw out --only '*.txt' --json
    has '"files":7,"bytes":8'
    only 'scans|scans/march|scans/april|.*\.txt'
    exits 0 dsver checkout raw out --only empty
    only empty
    exits 0 dsver checkout raw out --only 'odd[1].txt' # a name is itself, whatever is in it
    only 'odd\[1\]\.txt'
    exits 0 dsver checkout raw out --only '*'
    only '.*'
    # A part of a name is no path; what matches nothing is said, and nothing is restored.
    for none in scan march scans/march/1 /notes.txt ''; do
        exits 1 dsver checkout raw out --only notes.txt --only "$none"
        has "--only '$none': the version has no such file or folder"
        [ ! -e out ]
    done
    [ -z "$(ls -d ./*.dsver-* 2>/dev/null)" ]
    printf 'x\n' | dsprep text -q --split line - | dsver commit docs >/dev/null
    for args in docs "--format dsr raw" "--format jsonl docs"; do
        exits 2 dsver checkout $args none --only x
        has "only files have paths; this is written as"
    done
    [ ! -e none ]
}

@test "checkout --only: a hard link without its file becomes the file; names of any bytes" {
    mkdir -p raw/a raw/b raw/c
    echo content >raw/a/first
    for name in b/second b/third c/fourth; do ln raw/a/first "raw/$name"; done
    ln -s nowhere raw/a/sym && ln raw/a/sym raw/b/sym
    chmod 0640 raw/a/first
    printf 'bin' >$'raw/c/n\377ame'
    dsprep files -q raw | dsver commit raw >/dev/null
    exits 0 dsver checkout raw out --only b --json
    has '"files":4,"bytes":8'
    [ "$(cd out && find . -type f | sort | tr '\n' ' ')" = "./b/second ./b/third " ]
    [ "$(cat out/b/third)" = content ]
    [ "$(stat -c '%h %a' out/b/second)" = "2 640" ]
    [ "$(readlink out/b/sym)" = nowhere ]
    rm -r out
    dsver checkout raw out --only a --only c/fourth >/dev/null
    [ out/a/first -ef out/c/fourth ]
    rm -r out
    dsver checkout raw out --only $'c/n\377*' >/dev/null
    cmp $'out/c/n\377ame' $'raw/c/n\377ame'
    [ "$(find out -type f | wc -l)" = 1 ]
}

@test "checkout --only: links to other names of a file that is not chosen" {
    chain_tar
    dsprep files -q chain.tar | dsver commit raw >/dev/null
    for names in b c d "b d" "c e" "d e" "a d" "c d" "b c d e"; do
        local only=() one
        for one in $names; do only+=(--only "$one"); done
        exits 0 dsver checkout raw out "${only[@]}"
        [ "$(cd out && echo *)" = "$names" ]
        for one in $names; do
            [ "$(cat out/$one)" = text ]
            [ "$(stat -c %h out/$one)" = "$(wc -w <<<"$names")" ]
        done
        rm -r out
    done
}

@test "checkout --only: what was erased is left out, and its other names with it" {
    mkdir -p raw/a raw/b
    echo secret >raw/a/first && ln raw/a/first raw/b/second
    echo x >raw/a/x && ln raw/a/x raw/b/y && echo z >raw/b/z
    dsprep files -q raw | dsver commit raw >/dev/null
    dsver forget --reason test a/first >/dev/null
    exits 0 dsver checkout raw out --only b
    [ "$(cat out/b/y out/b/z | tr '\n' ' ')$(ls out/b | wc -l)" = "x z 2" ]
    exits 1 dsver checkout raw none --only a/first
    # A version in which the first name alone was erased.
    dsprep files -q raw | dsprep filter -q --where 'kind == "file"' | dsver commit again >/dev/null
    dsver forget --reason test --dataset again a/first >/dev/null
    dsver cat again | dsver commit again >/dev/null
    dsprep files -q raw | dsprep filter -q --where 'kind == "hardlink"' |
        dsver commit --append again >/dev/null
    rm -r out && exits 0 dsver checkout again out --only b
    [ "$(ls out/b | tr '\n' ' ')" = "y z " ]
}

@test "checkout --only reads what it restores, and nothing else" {
    mkdir -p raw/a raw/b raw/c
    for f in a/1 b/2 c/3; do head -c 9000000 /dev/urandom >raw/$f; done
    ln raw/a/1 raw/c/4
    dsprep files -q raw | dsver commit raw >/dev/null
    dsver remote add origin far && dsver push >/dev/null
    exits 0 dsver clone --lazy far lazy
    cd lazy
    exits 0 dsver checkout raw out --only b
    cmp out/b/2 ../raw/b/2
    [ "$(find out | wc -l)" = 3 ]
    here=$(cat .dsver/packs/* | wc -c)
    [ "$here" -gt 9000000 ]
    [ "$here" -lt 12000000 ]
    mv ../far/packs ../off
    exits 0 dsver checkout raw again --only 'b/*'
    diff -r out again
    exits 12 dsver checkout raw none --only a
    [ ! -e none ]
    [ -z "$(ls -d ./*.dsver-* 2>/dev/null)" ]
    mv ../off ../far/packs
    # Of a hard link, that is the file that it is another name of.
    exits 0 dsver checkout raw link --only c/4
    cmp link/c/4 ../raw/a/1
    [ "$(find link -type f | wc -l)" = 1 ]
    here=$(cat .dsver/packs/* | wc -c)
    [ "$here" -gt 18000000 ]
    [ "$here" -lt 21000000 ]
}

@test "checkout --only: a folder whose record comes after what lies in it" {
    mkdir -p raw/a/b && echo 1 >raw/a/b/1 && echo 2 >raw/a/2
    chmod 0700 raw/a && chmod 0750 raw/a/b
    for kind in file folder; do
        dsprep files -q raw | dsprep filter -q --where "kind == \"$kind\"" |
            dsver commit --append late >/dev/null
    done
    exits 0 dsver checkout late out --only a/b/1 --json
    has '"files":3,"bytes":2'
    [ "$(stat -c %a out/a out/a/b | tr '\n' ' ')" = "700 750 " ]
    [ "$(find out -type f)" = out/a/b/1 ]
}
