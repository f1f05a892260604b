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
