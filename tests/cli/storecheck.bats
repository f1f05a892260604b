#!/usr/bin/env bats
# examples/audit: an auditor's own check of a store and of checkpoints, without dsver, and of one mind with it.
load lineage_common

setup_file() {
    load lineage_common
    can_make || return 0
    cd "$BATS_FILE_TMPDIR" || return 1
    a_store
    # what else a store can hold: deltas, a column of bytes, tags, a merge, something erased
    versions 3000
    dsver commit -q text v1.dsr
    dsver commit -q text v2.dsr
    dsver tag text~1 first >/dev/null
    printf '{"key":"%s","n":%s}\n' a 1 b 2 c 3 >recs.jsonl
    dsprep import -q -f jsonl recs.jsonl | dsver commit -q recs -
    dsver forget --reason "request 7" b >/dev/null
}

setup() {
    fresh
    python3 -c 'import ctypes; ctypes.CDLL("libzstd.so.1"), ctypes.CDLL("libxxhash.so.0")' 2>/dev/null || skip "no libzstd.so.1 or libxxhash.so.0"
}

check() {
    python3 "$DS_ROOT/examples/audit/storecheck.py" "$@"
}

# flip FILE: one bit of the byte in its middle; of a configuration, which has room for what nobody reads, of the first.
flip() {
    chmod u+w "$1"
    python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(0, 2); at = 0 if "config" in sys.argv[1] else f.tell() // 2
    f.seek(at); b = f.read(1); f.seek(at); f.write(bytes([b[0] ^ 1]))' "$1"
}

@test "storecheck: a good store, with deltas and something erased, and its checkpoints" {
    exits 0 check .dsver run/step-000003 run/step-000006
    has "5 versions, " ", 2 checkpoints: 0 wrong"
    [[ $output != *"not in the catalog"* ]]
    exits 0 dsver fsck --read-data
    dsver oplog -q >said
    hash=$(grep -o '[0-9a-f]\{64\}' said)
    exits 1 check .dsver --oplog "$hash" # the run was registered by git alone, in this test
    has "refs/dsver/runs/docs/" "is not where the operation log leaves it"
    exits 2 check
}

@test "storecheck: one bit of each kind of file is found, as by dsver fsck" {
    cat=.dsver/catalog.git
    for f in "$(ls -S .dsver/packs/*.pack | head -n 1)" .dsver/index.db .dsver/oplog $cat/refs/heads/text/main \
        "$(ls -S $cat/objects/pack/*.pack | head -n 1)" "$(ls -S $cat/objects/pack/*.idx | head -n 1)" $cat/HEAD $cat/config; do
        cp -p "$f" kept
        flip "$f"
        run check .dsver
        echo "$f: $output"
        [ "$status" -eq 1 ]
        [[ $output == *"${f##*/}"* || $output == *"catalog.git"* ]]
        exits 12 dsver fsck --read-data
        cp -pf kept "$f"
    done
    exits 0 check .dsver
}

@test "storecheck: one bit of each file of a checkpoint is found, as by dsver audit" {
    c=run/step-000006
    while IFS= read -r f; do
        cp -p "$f" kept
        flip "$f"
        run check .dsver $c
        echo "$f: $output"
        [ "$status" -eq 1 ]
        run dsver audit $c
        [ "$status" -ne 0 ]
        cp -pf kept "$f"
    done < <(find $c -name 'lineage.json' -o -name '*6.dsr' -o -name '*model.safetensors')
    sed -i 's/"rows":18/"rows":17/' $c/lineage.json
    exits 1 check .dsver $c
}

@test "storecheck: a version that lies about its root, and a ref that went back" {
    old=$(git -C .dsver/catalog.git rev-parse refs/heads/text/main)
    lie=$(git -C .dsver/catalog.git cat-file commit "$old" | sed 's/^Dsver-Records: .*/Dsver-Records: 7/' |
        git -C .dsver/catalog.git hash-object -t commit -w --stdin)
    git -C .dsver/catalog.git update-ref refs/heads/text/side "$lie"
    exits 1 check .dsver
    has "catalog.git commit $lie: its blocks give the root sha256:" "its message says sha256:"
    git -C .dsver/catalog.git update-ref refs/replace/"$lie" "$old" # git shows another in its place
    exits 1 check .dsver
    has "catalog.git commit $lie: its blocks give the root sha256:"
    git -C .dsver/catalog.git update-ref -d refs/replace/"$lie"
    git -C .dsver/catalog.git update-ref -d refs/heads/text/side
    git -C .dsver/catalog.git gc -q --prune=now
    exits 0 check .dsver
    # what git cannot find is not fetched, by a command that the store names
    git -C .dsver/catalog.git config extensions.partialClone far
    git -C .dsver/catalog.git config core.repositoryFormatVersion 1
    git -C .dsver/catalog.git config remote.far.promisor true
    git -C .dsver/catalog.git config remote.far.url "$PWD/.dsver/catalog.git"
    git -C .dsver/catalog.git config remote.far.uploadpack "touch '$PWD/ran'; false"
    git -C .dsver/catalog.git update-ref refs/heads/text/more "$old"
    sed -i 's/.*/1111111111111111111111111111111111111111/' .dsver/catalog.git/refs/heads/text/more
    exits 1 check .dsver
    [ ! -e ran ]
    rm .dsver/catalog.git/refs/heads/text/more
    rm .dsver/packs/"$(ls .dsver/packs | head -n 1)"
    exits 1 check .dsver
    has " is in no pack"
}
