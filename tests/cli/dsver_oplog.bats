#!/usr/bin/env bats
# The operation log: every change has its entry, and one that was edited or taken out is found.
load dsver_common

put() { # TEXT DATASET [OPTIONS]
    printf '%s\n' "$1" | dsprep text -q --split line - | dsver commit "${@:3}" "$2" >/dev/null
}

id() {
    git -C .dsver/catalog.git rev-parse "$1"
}

@test "every command that changes the store has an entry, with who, why, and refs before and after" {
    put one d -m first --author "A B <a@b.c>"
    a=$(id refs/heads/d/main)
    put two d -m second
    b=$(id refs/heads/d/main)
    dsver tag --reason "for the ward" d v1 >/dev/null
    dsver branch d trial >/dev/null
    dsver branch -d --reason "not needed" d trial >/dev/null
    dsver reset --reason "was wrong" d main~1 >/dev/null
    dsver gc --reason weekly >/dev/null
    dsver reindex >/dev/null
    dsver forget --reason "request 1" "$(dsver cat d | dsprep cat | sed 's/^{"key":"\([^"]*\)".*/\1/')" >/dev/null
    dsver oplog --json >log
    for c in init commit tag branch reset gc reindex forget; do
        grep -q "\"command\":\"$c\"" log || { echo "no $c"; false; }
    done
    grep '"command":"commit"' log | head -n 1 >one
    grep -q '"actor":"A B <a@b.c>"' one
    grep -q "\"reason\":\"first\",\"ref\":\"refs/heads/d/main\",\"detail\":null,\"before\":null,\"after\":\"$a\"" one
    grep '"command":"reset"' log | grep -q "\"reason\":\"was wrong\",\"ref\":\"refs/heads/d/main\",\"detail\":null,\"before\":\"$b\",\"after\":\"$a\""
    grep '"command":"branch"' log | grep '"after":null' | grep -q '"reason":"not needed"'
    ! grep -q '"trouble":"' log || return 1
    dsver oplog --command gc | grep -q weekly
    [ "$(dsver oplog --ref refs/tags/d/v1 | wc -l)" -eq 1 ]
    # What changes nothing, or fails, has none.
    n=$(wc -l <.dsver/oplog)
    put one d
    exits 1 dsver tag d v1
    dsver gc --dry-run >/dev/null
    dsver fsck >/dev/null
    [ "$(wc -l <.dsver/oplog)" -eq "$n" ]
}

@test "the chain can be checked with sha256sum alone" {
    put one d
    put two d
    prev=$(printf '%064d' 0)
    n=0
    while IFS= read -r line; do
        n=$((n + 1))
        body=${line%,\"hash\":*}
        hash=${line##*\"hash\":\"}
        [ "${body##*\"prev\":\"}" = "$prev\"" ]
        [ "$(printf '%s' "$body" | sha256sum | cut -c1-64)" = "${hash%\"\}}" ]
        prev=${hash%\"\}}
    done <.dsver/oplog
    [ "$n" -eq 3 ]
    dsver oplog -q | grep -q "^3 operations, last $prev\$"
    dsver oplog -q --contains "$prev"
    exits 1 dsver oplog -q --contains "$(printf '%064d' 7)"
    exits 2 dsver oplog -q --contains 12
}

@test "an entry that was edited, taken out or put elsewhere is found" {
    for i in 1 2 3 4 5; do put "line $i" d -m "number $i"; done
    cp .dsver/oplog good
    broken() {
        exits 12 dsver oplog
        has "the chain is broken"
        exits 12 dsver fsck
        # Work goes on, and the damage stays visible.
        put "$1" d
        exits 12 dsver oplog -q
        cp good .dsver/oplog
    }
    sed -i 's/number 3/number 8/' .dsver/oplog
    broken edited
    sed -i 3d .dsver/oplog
    broken removed
    sed -i '3{h;d};4{G}' .dsver/oplog
    broken swapped
    sed -i '1d' .dsver/oplog
    broken first
    sed -i '$s/number 5/number 9/' .dsver/oplog
    broken last
    printf 'not an entry\n' >>.dsver/oplog
    broken junk
}

@test "the last entries cut off: a ref is not where the log leaves it" {
    put one d
    put two d
    last=$(dsver oplog -q --json | sed 's/.*"head":"sha256:\([0-9a-f]*\)".*/\1/')
    dsver fsck --json | grep -q '"unlogged":0,"problems":0'
    sed -i '$d' .dsver/oplog
    dsver oplog -q
    exits 1 dsver oplog -q --contains "$last"
    dsver fsck --json >out
    grep -q '"type":"note".*refs/heads/d/main was moved by something other than dsver' out
    grep -q '"unlogged":1,"problems":0' out
    rm .dsver/oplog
    dsver fsck >out
    grep -q '^oplog: holds nothing, and there are refs' out
    : >.dsver/oplog
    dsver fsck --json | grep -q '"type":"note","file":"oplog"'
    dsver init none
    dsver fsck --store none >out
    ! grep oplog out || return 1
}

@test "refs that git moved are told of, and are no damage" {
    put one d
    git -C .dsver/catalog.git tag mine refs/heads/d/main
    dsver fsck >out
    grep -q 'refs/tags/mine was moved by something other than dsver' out
    git -C .dsver/catalog.git update-ref -d refs/tags/mine
    dsver tag d v1 >/dev/null
    git -C .dsver/catalog.git update-ref -d refs/tags/d/v1
    dsver fsck >out
    grep -q 'refs/tags/d/v1 was .*deleted' out
    put two d
    put three d
    git -C .dsver/catalog.git update-ref refs/heads/d/main refs/heads/d/main~1
    dsver fsck | grep -q 'refs/heads/d/main is where it was before its last operation in the log'
    dsver fsck --json | grep -q '"undone":1,"unlogged":1,"problems":0'
    git -C .dsver/catalog.git update-ref refs/heads/d/main refs/heads/d/main~1
    dsver fsck | grep -q 'refs/heads/d/main was moved by something other than dsver'
}

@test "fsck --oplog: an older copy put in its place, a branch moved back, then and since" {
    put one d
    cp -R .dsver older
    put two d
    kept=$(dsver oplog -q | sed 's/.*last //')
    put three d
    exits 0 dsver fsck --oplog "$kept"
    exits 0 dsver fsck --oplog "sha256:$kept"
    exits 2 dsver fsck --oplog 12
    [ "$(dsver oplog --after "$kept" | wc -l)" -eq 1 ]
    exits 1 dsver oplog --after "${kept//[0-4]/7}"
    # who moves a branch back and goes on from there
    cp -R .dsver good
    git -C .dsver/catalog.git update-ref refs/heads/d/main refs/heads/d/main~2
    exits 12 dsver fsck --json --oplog "$kept"
    has '"type":"problem","file":"catalog.git"' "refs/heads/d/main was moved by something other than dsver" '"problems":1'
    put four d
    exits 0 dsver fsck
    exits 12 dsver fsck --oplog "$kept"
    has "refs/heads/d/main was moved by something other than dsver before operation "
    exits 0 dsver fsck --oplog "$(dsver oplog -q | sed 's/.*last //')" # which was told of before
    # a backup of before the hash
    rm -rf .dsver && mv older .dsver
    exits 0 dsver fsck
    exits 12 dsver fsck --oplog "$kept"
    has "oplog: no entry has the hash that was given" "an older copy"
    exits 1 dsver oplog -q --after "$kept"
    rm -rf .dsver && mv good .dsver
    sed -i '2s/commit/comnit/' .dsver/oplog
    exits 12 dsver fsck --oplog "$kept"
    has "the chain is broken before it comes to the entry"
}

@test "a half line of a writer that died is cut by the next one; a store from before the log begins one" {
    put one d
    printf '{"seq":3,"time":"2026' >>.dsver/oplog
    dsver oplog -q
    put two d
    [ "$(dsver oplog | wc -l)" -eq 3 ]
    dsver oplog -q
    rm .dsver/oplog
    dsver tag d v1 >/dev/null
    dsver oplog | grep -q 'there when the log began'
    dsver fsck --json | grep -q '"unlogged":0,"problems":0'
    exits 0 dsver oplog --json
}

@test "eight writers at once: one chain, no entry lost" {
    for w in 1 2 3 4 5 6 7 8; do
        (for i in 1 2 3; do put "w$w i$i" "set$w" || exit 1; done) &
    done
    wait
    [ "$(dsver oplog | grep -c ' commit ')" -eq 24 ]
    dsver fsck --json | grep -q '"unlogged":0,"problems":0'
}

@test "push, fetch, pull and clone are logged on the side that they change" {
    put one d
    dsver remote add origin "$PWD/there"
    dsver push --reason backup >/dev/null
    dsver oplog --command push | grep -q '1 ref of origin.*backup'
    dsver clone -q there other
    dsver oplog --store other --command clone | grep -q refs/heads/d/main
    put two d
    dsver push >/dev/null
    dsver pull --store other >/dev/null
    dsver oplog --store other --command pull | grep -q refs/heads/d/main
    dsver fsck --store other --json | grep -q '"unlogged":0,"problems":0'
}
