# Lazy clones: pieces that come when they are read, a little before, or when they are asked for.
load ../remote/remote_common

setup() {
    remote_setup
    (cd a && dsver remote add origin ../far >/dev/null)
}
teardown() { remote_teardown; }

# keyed N: k.dsr, N records with keys k-00000 on, in many blocks, and a column of tokens.
keyed() {
    awk -v n="$1" 'BEGIN { s = 5
        for (i = 0; i < n; i++) {
            t = ""
            for (k = 0; k < 20; k++) { s = (s * 16807) % 2147483647; t = t " w" (s % 9000) }
            printf "{\"id\":\"k-%05d\",\"text\":\"%s\"}\n", i, t
        } }' | dsprep text -q --format jsonl --field text --key-field id - | dsprep tokenize -q -t "$TOKENIZER" >k.dsr
    (cd a && dsver commit -m keyed keyed ../k.dsr >/dev/null)
}
afar() { (cd b && dsver fsck --json) | sed -n 's/.*"afar":\([0-9]*\).*/\1/p'; }
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" <<<"$output"; }

@test "a lazy clone fetches what is read, and keeps it" {
    two
    (cd a && dsver tag docs v2)
    in_a push
    exits 0 dsver clone --lazy far b
    [ -z "$(ls b/.dsver/packs)" ]
    exits 0 in_b log docs
    exits 0 in_b fsck
    [[ $output == *"pieces are at the remote and not here"*  ]]
    [ "$(cd b && dsver cat docs@main~1 | sha256sum)" = "$(cd a && dsver cat docs@main~1 | sha256sum)" ]
    [ -n "$(ls b/.dsver/packs)" ]
    exits 0 in_b gc
    mv far/packs off
    exits 0 in_b cat docs@main~1 # it is here now
    exits 12 in_b cat docs
    [[ $output == *"not here yet"* ]]
    mv off far/packs
    same b
    exits 0 in_b diff docs@main~1 docs
    exits 0 in_b fsck --read-data
}

@test "a remote that is not there is said to be so, not to lack pieces, and all goes on when it is back" {
    two
    in_a push
    dsver clone --lazy far b
    mv far off
    for how in gone empty; do
        for c in "cat docs" "diff docs@main~1 docs" "stats docs" "checkout docs ../out" "prefetch docs"; do
            exits 13 in_b $c
            [[ $output == *"/far/: no remote is there: was it moved or emptied, is a disk not mounted?"* ]]
        done
        [ ! -e out ]
        mkdir -p far # what a disk is mounted on
    done
    rmdir far
    mv off far
    same b
    exits 0 in_b checkout docs ../out
}

@test "a lazy clone commits and pushes, and can be made whole" {
    in_a push
    dsver clone --lazy far b
    (cd b && dsver commit -m two docs ../v2.dsr)
    exits 0 in_b push
    exits 0 in_a pull
    dsver clone --lazy far c
    exits 0 in_b fetch --all
    (cd b && mv ../far/packs ../off)
    exits 0 in_b cat docs
    mv off far/packs
    same b c
}

@test "many threads read a lazy clone" {
    lines 60000 | dsprep text -q --split line - >big.dsr
    (cd a && dsver commit -m big docs ../big.dsr >/dev/null)
    in_a push
    for j in 1 8; do
        rm -rf b
        dsver clone --lazy far b
        [ "$(cd b && dsver cat -j $j docs | sha256sum)" = "$(cd a && dsver cat docs | sha256sum)" ]
    done
    (cd b && dsver fsck --read-data)
}

@test "pieces that lie do not come into a lazy clone" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    in_a push
    mv far/packs/*.pack . && rm far/packs/*
    python3 "$DS_ROOT/tests/remote/liepack.py" ./*.pack far/packs
    dsver clone --lazy far b
    exits 12 in_b cat docs
    [[ $output == *"a piece that it sent is another"* ]]
    exits 0 in_b fsck
    rm far/packs/*
    exits 0 in_a push --all
    same b
}

@test "prefetch brings a version before it is read" {
    two
    in_a push
    dsver clone --lazy far b
    exits 0 in_b prefetch docs@main~1
    [[ $output == "1 of 1 block, 2000 records: "*" pieces, "* ]]
    exits 0 in_b prefetch docs@main~1
    [ "$output" = "1 of 1 block, 2000 records: all is here" ]
    mv far/packs off
    [ "$(cd b && dsver cat docs@main~1 | sha256sum)" = "$(cd a && dsver cat docs@main~1 | sha256sum)" ]
    exits 12 in_b prefetch docs
    [[ $output == *"lacks "*" of these pieces, first"* ]]
    mv off far/packs
    exits 0 in_b prefetch
    [ "$(afar)" = 0 ]
    same b
}

@test "prefetch by key and by column brings those blocks and columns only" {
    keyed 40000
    in_a push
    dsver clone --lazy far b
    all=$(afar)
    exits 0 in_b prefetch keyed --from-key k-20000 --to-key k-20100 --json
    blocks=$(number blocks) of=$(number of)
    [ "$blocks" -ge 1 ]
    [ "$blocks" -le 3 ]
    [ "$of" -gt 6 ]
    left=$(afar)
    [ "$left" -gt $((all / 2)) ]
    [ "$left" -lt "$all" ]
    mv far/packs off # the same keys are here, others are not
    exits 0 in_b prefetch keyed --from-key k-20000 --to-key k-20100
    [[ $output == *"all is here" ]]
    exits 12 in_b prefetch keyed --to-key k-00000
    exits 1 in_b prefetch keyed --from-key k-99999
    [[ $output == *"no record with such a key"* ]]
    mv off far/packs
    exits 0 in_b prefetch keyed --column tokens --json
    [ "$(number blocks)" = "$of" ]
    [ "$(afar)" -gt 0 ]
    exits 1 in_b prefetch keyed --column nosuch
    [[ $output == *"no column 'nosuch'"* ]]
    exits 0 in_b prefetch keyed
    exits 0 in_b prefetch docs
    [ "$(afar)" = 0 ]
    [ "$(cd b && dsver cat keyed | sha256sum)" = "$(cd a && dsver cat keyed | sha256sum)" ]
}

@test "prefetch by shard" {
    in_a push
    dsver clone --lazy far b
    for wrong in x 1.. 2..1 -1 '' 1..x; do
        exits 2 in_b prefetch docs --shard "$wrong"
    done
    exits 1 in_b prefetch docs --shard 1
    [[ $output == *"no shard 1, the last one is 0"* ]]
    exits 0 in_b prefetch docs --shard 0..4 --json
    [ "$(number blocks)" = "$(number of)" ]
    mv far/packs off
    exits 0 in_b cat docs
}

@test "a store that is whole prefetches nothing" {
    exits 0 in_a prefetch docs
    [[ $output == *"all is here" ]]
    exits 1 in_a prefetch nosuch
}

@test "who reads a lazy clone in order gets what follows along" {
    keyed 40000
    in_a push
    dsver clone --lazy far b
    (cd a && dsver cat keyed) >want.dsr
    (cd b && dsver cat keyed | cmp - ../want.dsr)
    # pieces come in a few fetches, each of which leaves a pack
    [ "$(ls b/.dsver/packs | wc -l)" -le 20 ]
    (cd b && dsver fsck --read-data)
}
