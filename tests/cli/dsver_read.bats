#!/usr/bin/env bats
# dsver log, show, ls, cat, stamp: looking at versions.
load dsver_common

setup_file() {
    load dsver_common
    cd "$BATS_FILE_TMPDIR" || return 1
    export HOME=$BATS_FILE_TMPDIR LC_ALL=C
    dsver init >/dev/null
    versions 2000
    dsver commit -m "the first" --date 2021-01-01T10:00:00Z docs v1.dsr
    dsver commit -m "the second" --date 2021-02-01T10:00:00Z docs v2.dsr
    dsver commit -m "on a branch" -b side --date 2021-03-01T10:00:00Z docs v1.dsr
    dsver commit -m "other" logs "$GOLDEN/lineage.dsr"
}

setup() {
    cd "$BATS_FILE_TMPDIR" || return 1
    export HOME=$BATS_FILE_TMPDIR LC_ALL=C
    unset DSVER_STORE
}

@test "log: order, limit, forms" {
    dsver log docs >out
    [ "$(grep -c ^commit out)" -eq 2 ]
    [ "$(grep -n 'the second' out | cut -d: -f1)" -lt "$(grep -n 'the first' out | cut -d: -f1)" ]
    [ "$(dsver log -n 1 docs | grep -c ^commit)" -eq 1 ]
    dsver log --oneline docs | grep -Eq '^[0-9a-f]{10}  2021-02-01T10:00:00Z +2000  the second$'
    [ "$(dsver log --oneline docs@side | wc -l)" -eq 3 ]
    exits 1 dsver log none
    has "no dataset 'none'"
    exits 2 dsver log -n 0 docs
}

@test "revisions: branch, ~n, date, id, tag" {
    second=$(git -C .dsver/catalog.git rev-parse refs/heads/docs/main)
    first=$(git -C .dsver/catalog.git rev-parse refs/heads/docs/main~1)
    git -C .dsver/catalog.git tag -f docs/v1 "$first"
    git -C .dsver/catalog.git -c user.name=x -c user.email=y tag -f -a -m note docs/v2 "$second"
    for r in docs~1 docs@main~ docs@2021-01-15 docs@2021-01-01 docs@2021-02-01T09:59:59Z "docs@$first" "docs@${first:0:7}" docs@v1 docs@v2~1 docs@side~2; do
        dsver log --oneline -n 1 "$r" | grep -q "the first"
    done
    for r in docs docs@main docs@2021-02-01 docs@2022-01-01 docs@v2 docs@side~; do
        dsver log --oneline -n 1 "$r" | grep -q "the second"
    done
    exits 1 dsver log docs@2020-12-31
    exits 1 dsver log docs~2
    exits 1 dsver log "logs@${first:0:8}"
    exits 1 dsver log docs@123
    exits 2 dsver log docs@
}

@test "log, show, ls --json parse and agree" {
    need_jq
    dsver log --json docs | jq -es 'length == 2 and (.[0].parent == .[1].commit) and (.[1].parent == null)'
    dsver show --json logs >s
    jq -e '.schema.columns | length > 0' s
    jq -e '.provenance | type == "array"' s
    jq -e '.records == 130 and .sources == 7 and .blocks == 7' s
    dsver ls --json | jq -es 'length == 3 and (map(.dataset + "@" + .branch) == ["docs@main", "docs@side", "logs@main"])'
    dsver ls --json logs | jq -es 'length == 1'
    [ "$(dsver ls --json | jq -rs '.[0].root')" = "$(dsver show --json docs | jq -r .root)" ]
}

@test "show for people; ls" {
    exits 0 dsver show docs
    has "the second" "records 2000 in" "root    sha256:" "column  text utf8" "keys    derived" "step    dsprep text"
    exits 0 dsver ls
    has "docs@main" "docs@side" "logs@main"
    exits 1 dsver ls nothing
}

@test "cat: stdout, file with index, level, terminal guard" {
    dsver cat docs >a.dsr
    dsver cat docs -o b.dsr
    [ ! -e b.dsr.tmp ]
    dsprep check a.dsr b.dsr
    dsver cat docs --level 3 >c.dsr
    [ "$(wc -c <c.dsr)" -lt "$(wc -c <a.dsr)" ]
    for f in a b c; do records $f.dsr | cmp - <(records v2.dsr); done
    exits 1 dsver cat docs@none
    exits 13 dsver cat docs -o none/x.dsr
    [ ! -e none ]
}

@test "cat into a closed pipe and a full disk" {
    dsver cat docs | head -c 100 >/dev/null
    [ -e /dev/full ] || skip "no /dev/full"
    run bash -c 'dsver cat docs >/dev/full'
    [ "$status" -eq 13 ]
}

@test "stamp touches its file only when the root changes" {
    dsver stamp docs~1 f.stamp
    grep -Eq '^sha256:[0-9a-f]{64}$' f.stamp
    touch -d '2001-01-01 00:00:00 UTC' f.stamp
    dsver stamp docs~1 f.stamp
    [ "$(date -u -r f.stamp +%Y)" = 2001 ]
    dsver stamp docs@side f.stamp # the same records in another version
    [ "$(date -u -r f.stamp +%Y)" = 2001 ]
    dsver stamp docs f.stamp
    [ "$(date -u -r f.stamp +%Y)" != 2001 ]
    cp f.stamp g
    exits 1 dsver stamp docs@none f.stamp
    cmp f.stamp g
    exits 13 dsver stamp docs none/f
    exits 2 dsver stamp docs
}

@test "git reads the catalog: log, fsck, clone" {
    git -C .dsver/catalog.git fsck --strict
    rm -rf clone.git
    git clone -q --bare .dsver/catalog.git clone.git
    git -C clone.git log --format=%s docs/main >subjects
    printf 'the second\nthe first\n' | cmp - subjects
    git -C clone.git cat-file -p docs/main:meta.json | grep -q '"records": 2000'
}

@test "no key, source name or value stands in the catalog" {
    git -C .dsver/catalog.git cat-file --batch-all-objects --batch >all
    ! grep -q -a -e 'l1.txt' -e 'line 17' all || return 1
}

# Root may write everything, unless it gives that up.
unprivileged() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --bounding-set=-all --inh-caps=-all "$@"
    else
        "$@"
    fi
}

@test "a store that may not be written is read, and left as it is" {
    cd "$BATS_TEST_TMPDIR"
    cp -r "$BATS_FILE_TMPDIR/.dsver" .
    cp .dsver/index.db old.db
    dsver commit -m "one more" docs "$GOLDEN/lineage.dsr"
    dsver cat docs >want.dsr
    dsver log docs >want.log
    chmod -R a-w .dsver
    if ! unprivileged true 2>/dev/null || unprivileged sh -c ': >.dsver/probe' 2>/dev/null; then
        chmod -R u+w .dsver
        skip "this user may write everything"
    fi
    for round in whole stale; do # the index lacks the last version's pack, as after a crash
        if [ $round = stale ]; then
            chmod u+w .dsver .dsver/index.db
            cp old.db .dsver/index.db
            chmod a-w .dsver .dsver/index.db
        fi
        find .dsver -type f -exec cksum {} + | sort >before
        unprivileged dsver cat docs | cmp - want.dsr
        unprivileged dsver log docs | cmp - want.log
        unprivileged dsver show docs >out
        unprivileged dsver ls >out
        unprivileged dsver fsck --read-data >out
        run unprivileged dsver commit -m no docs "$BATS_FILE_TMPDIR/v1.dsr"
        [ "$status" -eq 13 ]
        [[ "$output" == *"only to be read"* ]]
        find .dsver -type f -exec cksum {} + | sort | cmp - before
    done
    chmod -R u+w .dsver
}

@test "a store that may not be looked into is not said to be none" {
    cd "$BATS_TEST_TMPDIR"
    mkdir s
    dsver init s >/dev/null
    chmod 0 s/.dsver
    if ! unprivileged true 2>/dev/null || unprivileged ls s/.dsver 2>/dev/null; then
        chmod 700 s/.dsver
        skip "this user may read everything"
    fi
    for at in s s/.dsver; do
        run unprivileged dsver ls --store $at
        [ "$status" -eq 13 ]
        [[ "$output" == *"s/.dsver/config: Permission denied" ]]
    done
    cd s
    run unprivileged dsver ls
    [ "$status" -eq 13 ]
    chmod 700 .dsver
    run unprivileged dsver ls --store nowhere
    [ "$status" -eq 10 ]
}

@test "what people wrote does not steer the terminal, and a version is the same JSON everywhere" {
    need_jq
    esc=$(printf '\033')
    printf '{"id":"a","text":"1","c\\u001b[31m":"x"}\n' | dsprep text -q --format jsonl --key-field id - |
        dsver commit -m "red ${esc}[31m
and ${esc}[1m more" --author "A${esc}[2m <a@b>" d >/dev/null
    printf '{"id":"a","text":"2"}\n' | dsprep text -q --format jsonl --key-field id - |
        dsver commit -m "${esc}[3m" -b side d >/dev/null
    for cmd in "log d" "log --oneline d" "log --graph d" "show d" "ls" "branch d" "blame d a" "oplog" "stats d"; do
        # shellcheck disable=SC2086
        dsver $cmd >out
        [ -s out ]
        fails grep -q "$esc" out
    done
    dsver log d | grep -q '^    red ?\[31m$'
    dsver log --json d@side | sed -n 1p | jq -c 'to_entries | map(.key)[:10]' >log
    dsver show --json d@side | jq -c 'to_entries | map(.key)[:10]' | cmp - log
    [ "$(cat log)" = '["type","commit","parent","merged","dataset","date","author","records","root","message"]' ]
    dsver show d@side | grep -q "^parent  $(git -C .dsver/catalog.git rev-parse refs/heads/d/main)"
    # Nor does a commit that another program wrote.
    forged=$(git -C .dsver/catalog.git cat-file commit refs/heads/d/main | sed "s/^Dsver-Dataset: d$/&${esc}[31m/" |
        git -C .dsver/catalog.git hash-object -t commit -w --stdin)
    git -C .dsver/catalog.git update-ref refs/heads/d/forged "$forged"
    for cmd in "show d@forged" "stats d@forged" "log d@forged" "forget --dry-run a"; do
        # shellcheck disable=SC2086
        dsver $cmd >out
        [ -s out ]
        fails grep -q "$esc" out
    done
}
