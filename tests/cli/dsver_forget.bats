#!/usr/bin/env bats
# dsver forget: what becomes of a record that is to be gone, of everything beside it, and of the history.
load lineage_common

other() { # STORE COMMAND ARGS: the reader that is written from the format's document alone
    python3 "$DS_ROOT/tests/compat/dsstore.py" "$@"
}

# patients: three versions of 600 records with ids; the one to go changes in the third.
patients() {
    need_python
    awk 'BEGIN { s = 11
        for (i = 0; i < 600; i++) {
            t = ""
            for (k = 0; k < 30; k++) { s = (s * 16807) % 2147483647; t = t " w" (s % 3000) }
            printf "{\"id\":\"patient-%03d\",\"text\":\"%s%s\"}\n", i, (i == 377 ? "ZEBRAFINCH" : "seen"), t
        } }' >p1.jsonl
    sed '100d; 500s/seen/seen again/' p1.jsonl >p2.jsonl
    sed '200d; 376s/ZEBRAFINCH/ZEBRAFINCH AGAIN/' p2.jsonl >p3.jsonl
    for i in 1 2 3; do
        dsprep text -q --field text --key-field id p$i.jsonl >p$i.dsr
        dsver commit -m "v$i" docs p$i.dsr >/dev/null
    done
}

without() { # FILE: records without the one that is to go
    records "$1" | grep -v patient-377
}

@test "forget: every version shows a tombstone, the rest is as it was, history verifies" {
    patients
    git -C .dsver/catalog.git rev-list refs/heads/docs/main >commits
    exits 0 dsver forget --reason "request 7" --author "Ada <ada@ward>" patient-377
    has "erased 1 record, 3 rows in 3 versions"
    echo "$output" | sed -n 's/^version docs@//p' | cmp - commits
    git -C .dsver/catalog.git rev-list refs/heads/docs/main | cmp - commits
    for i in 1 2 3; do
        dsver cat "docs~$((3 - i))" >o.dsr
        dsprep check o.dsr
        records o.dsr >o
        [ "$(wc -l <o)" -eq "$(records p$i.dsr | wc -l)" ]
        [ "$(grep -c '"key":"erased:' o)" -eq 1 ]
        # in its place
        [ "$(grep -n '"key":"erased:' o | cut -d: -f1)" = "$(records p$i.dsr | grep -n patient-377 | cut -d: -f1)" ]
        grep -v '"key":"erased:' o | cmp - <(without p$i.dsr)
    done
    exits 0 dsver fsck --read-data
    has "verified, " " 0 problems"
    exits 0 other erased .dsver docs
    has "records 598" "erased blocks 1"
    dsver log docs >/dev/null
    git -C .dsver/catalog.git fsck --strict
    git -C .dsver/catalog.git log --format='%an %s %b' refs/dsver/erased | grep -q "Ada erased 1 record request 7"
    git -C .dsver/catalog.git show refs/dsver/erased:statements/000001.json | grep -q '"actor": "Ada <ada@ward>"'
    exits 1 dsver blame docs patient-377
    exits 0 dsver diff docs~2 docs
    exits 1 dsver forget --reason "once more" patient-377
    has "no version holds such a record"
}

@test "forget: neither its bytes nor its key are anywhere in the store" {
    patients
    ! other find .dsver ZEBRAFINCH >/dev/null || return 1 # it is found where it is
    dsver reset docs main~1 >/dev/null
    dsver commit -b trial docs p1.dsr >/dev/null
    dsver branch -d docs trial >/dev/null
    dsver forget --reason r patient-377 >/dev/null
    exits 0 other find .dsver ZEBRAFINCH
    exits 0 other find .dsver patient-377
    exits 1 other find .dsver patient-376
    # nor do they come back
    dsver reindex
    dsver gc
    exits 0 other find .dsver ZEBRAFINCH
    dsver fsck --read-data
}

@test "forget: a source that was about it alone loses its name, others keep theirs" {
    need_python
    mkdir files
    for i in 1 2 3 4 5; do echo "file number $i" >files/name-$i.txt; done
    dsprep text -q files | dsver commit docs >/dev/null
    key=$(dsver cat docs | records - | sed -n 's/^{"key":"\([^"]*name-3[^"]*\)".*/\1/p')
    exits 0 dsver forget --reason r "$key"
    has "1 source"
    exits 0 other find .dsver name-3
    exits 0 other find .dsver "number 3"
    dsver cat docs >o.dsr
    dsprep check o.dsr
    records o.dsr | grep -q name-2
    exits 1 other find .dsver name-2
    dsver fsck --read-data
}

@test "forget: a source whose name has the key between slashes or before a dot loses it" {
    need_python
    mkdir -p w/p-77 w/p-771
    n=0
    for f in p-77 p-77/x p-771/y xp-77; do
        n=$((n + 1))
        printf '{"id":"a%d","text":"a"}\n{"id":"b%d","text":"b"}\n' $n $n >w/$f.jsonl
    done
    echo '{"id":"p-77","text":"of them"}' >>w/p-77.jsonl
    dsprep text -q --key-field id w | dsver commit docs >/dev/null
    exits 0 dsver forget --reason r p-77
    has "2 sources"
    dsver cat docs >o.dsr
    exits 0 other find .dsver p-77/x
    for still in p-771 xp-77; do
        exits 1 other find .dsver $still
    done
    dsver fsck --read-data
}

@test "forget: by the value of a column, many at once, by a file of keys" {
    patients
    exits 1 dsver forget --reason r --where text=none-such-at-all --dry-run
    text=$(records p1.dsr | sed -n '10s/.*"text":"\([^"]*\)".*/\1/p')
    exits 0 dsver forget --reason r --where "text=$text"
    [ "$(dsver cat docs | records - | grep -c erased:)" -eq 1 ]
    printf 'patient-001\npatient-002\nno-such\n' >keys
    exits 3 dsver forget --reason r --key-file keys --json
    has '"records":2' '{"type":"unknown","key":"no-such"}' "no version holds 1 of the keys"
    [[ $output != *'"key":"patient-001"'* ]]
    [ "$(dsver cat docs~2 | records - | grep -c erased:)" -eq 3 ]
    [ "$(dsver cat docs~2 | records - | grep erased: | sort -u | wc -l)" -eq 3 ]
    dsver fsck --read-data
    [ "$(git -C .dsver/catalog.git ls-tree refs/dsver/erased:statements | wc -l)" -eq 2 ]
    PYTHONPATH=$DS_ROOT/tests/compat python3 >empty.dsr <<'EOF' # what makes records of raw inputs takes none
import sys, dsr
from dsrcol import Column, Schema
sys.stdout.buffer.write(dsr.write(Schema([Column("key", "utf8"), Column("text", "utf8")], ["text"]),
                                  [(b"", b"of the empty key")]))
EOF
    dsver commit e empty.dsr >/dev/null
    exits 0 dsver forget --reason r ""
    has "erased 1 record, "
    full=$(cat .dsver/packs/*.pack | wc -c)
    dsver forget --reason r --json patient-003 | grep -q "\"bytes_before\":$full,"
    exits 0 other erased .dsver docs
}

@test "forget: by a member of JSON, named as in a filter, however it is written there" {
    cat >p.jsonl <<'EOF'
{"text":"chest one","patient":"P-1","who":{"mrn":12345678901234567890,"e-mail":"a@b"}}
{"text":"chest two","patient":"P-2","who":{"mrn":12345678901234567891,"e-mail":"c=d"}}
{"text":"chest three","patient":"P-11","who":{"mrn":3,"e-mail":"P-1"}}
{"text":"chest four","patient":"M\u00fcller \"x\"","who":{"mrn":4}}
{"text":"chest five","patient":["P-1","P-9"],"who":5}
{"text":"chest six","patient":null}
EOF
    dsprep text -q --field text p.jsonl | dsver commit -q docs -
    sed 's/chest/thorax/' p.jsonl >q.jsonl
    dsprep text -q --field text q.jsonl | dsver commit -q docs -
    exits 1 dsver forget -n --where meta.patent=P-1
    has "no record of any version has 'meta.patent'"
    exits 1 dsver forget -n --where text.patient=P-1
    has "no version has a column 'text.patient'"
    exits 1 dsver forget -n --where meta.patient=P-9
    has "no version holds such a record (in some, 'meta.patient' is an object or an array"
    exits 0 dsver forget -n --where patient=P-1
    has "would erase 2 records, 2 rows in 2 versions" "in some records 'patient' is an object or an array"
    exits 0 dsver forget -n --where meta.who.mrn=12345678901234567890
    has "would erase 2 records, 2 rows"
    exits 0 dsver forget -n --where 'meta.who.`e-mail`=c=d'
    has "would erase 2 records, 2 rows"
    exits 0 dsver forget -n --where 'meta.patient=Müller "x"'
    has "would erase 2 records, 2 rows"
    exits 2 dsver forget -n --where '`meta.patient=P-1'
    # an empty part ended the name, so that these were meta.patient
    for f in meta.patient. meta.patient..x 'meta.patient.``' meta..patient .patient; do
        exits 2 dsver forget -n --where "$f=P-1"
        has "--where $f: a part of the name is empty"
    done
    exits 0 dsver forget --json --reason r --where meta.patient=P-1
    has '"records":2,"rows":2,"versions":2,' '"uncompared":true'
    ! dsver cat docs~1 | records - | grep -q '"patient":"P-1"' || return 1
    [ "$(dsver cat docs | records - | grep -c chest)" -eq 0 ]
    [ "$(dsver cat docs | records - | grep -c thorax)" -eq 5 ]
    dsver fsck --read-data
}

@test "forget: blocks that versions share keep the origins that each version has" {
    echo '{"id":"r1","text":"one"}' >a.jsonl
    echo '{"id":"r2","text":"two"}' >b.jsonl
    cat a.jsonl b.jsonl >both.jsonl
    dsprep text -q --key-field id a.jsonl b.jsonl | dsver commit two >/dev/null
    dsprep text -q --key-field id both.jsonl | dsver commit one >/dev/null
    dsver branch one side >/dev/null
    echo '{"id":"r3","text":"three"}' | cat both.jsonl - >more.jsonl
    dsprep text -q --key-field id more.jsonl | dsver commit -b side one >/dev/null
    [ "$(dsver sql one two "SELECT count(DISTINCT address) FROM blocks")" = "$(printf 'count(DISTINCT address)\n1')" ]
    for v in one two one@side; do dsver cat $v | dsprep cat --origin | grep '"r2"' >>before; done
    exits 0 dsver forget --reason r r1
    for v in one two one@side; do dsver cat $v | dsprep cat --origin | grep '"r2"' >>after; done
    cmp before after
    exits 0 dsver fsck --read-data
    exits 0 dsver merge one side
    dsver cat one@side | dsprep cat --origin | cmp - <(dsver cat one | dsprep cat --origin)
    exits 0 dsver gc --grace 0
    exits 0 dsver fsck --read-data
    for v in one two; do exits 0 other erased .dsver $v; done
    # Not even when the version whose line it was goes.
    git -C .dsver/catalog.git update-ref -d refs/heads/two/main
    exits 0 dsver gc --grace 0
    exits 0 dsver fsck --read-data
    exits 0 other erased .dsver one
    dsver cat one | dsprep cat --origin | grep '"r2"' | cmp - <(sed -n 1p before)
}

@test "forget: what changes nothing" {
    patients
    find .dsver -type f ! -name '*.lock' ! -name 'index.db-*' -exec sha256sum {} + | sort >before
    exits 0 dsver forget --dry-run patient-377
    has "would erase 1 record"
    exits 2 dsver forget patient-377
    has "--reason"
    exits 2 dsver forget --reason r
    exits 2 dsver forget --reason r --where text=x patient-377
    exits 2 dsver forget --reason r --where text
    exits 1 dsver forget --reason r --dataset other patient-377
    has "no dataset 'other' here"
    exits 1 dsver forget --reason r --where word=x
    has "no version has a column 'word'"
    exits 1 dsver forget --reason r no-such neither-this
    has "no version holds such a record"
    exits 1 dsver forget --reason r patient
    find .dsver -type f ! -name '*.lock' ! -name 'index.db-*' -exec sha256sum {} + | sort | cmp - before
}

@test "forget: versions go on; the same data committed again stay erased" {
    patients
    dsver forget --reason r patient-377 >/dev/null
    exits 0 dsver commit -m again docs p1.dsr
    has "records of 1 block were erased before (dsver forget): they stay so"
    [ "$(dsver cat docs | records - | grep -c erased:)" -eq 1 ]
    exits 0 other find .dsver ZEBRAFINCH # and its bytes do not come back
    dsver fsck --read-data
    dsver gc --grace 0 >/dev/null
    sed '300d' p3.jsonl | grep -v patient-377 >p4.jsonl
    dsprep text -q --field text --key-field id p4.jsonl | dsver commit -m new docs >/dev/null
    [ "$(dsver cat docs | records - | grep -c erased:)" -eq 0 ]
    dsver fsck --read-data
    dsver cat docs~1 | dsver commit copy >/dev/null # a stream with a tombstone is a stream
    [ "$(dsver cat copy | records - | grep -c erased:)" -eq 1 ]
}

@test "forget: checkpoints that consumed it are named, ordinals and ledgers hold" {
    a_store
    need_python
    # a run whose data is not here any more
    short 50 | tokens o.dsr
    dsver commit -m gone elsewhere o.dsr >/dev/null
    mkrun .dsver elsewhere away "tokenizer=$TOKENIZER" register=1 >/dev/null
    g="git --git-dir=.dsver/catalog.git"
    ref=$($g for-each-ref --format='%(refname)' refs/dsver/runs/elsewhere)
    $g update-ref "$ref" "$($g cat-file commit "$ref" | sed '/^parent /d' | $g hash-object -t commit -w --stdin)"
    $g update-ref -d refs/heads/elsewhere/main
    dsver gc --grace 0 >/dev/null
    $g gc -q --prune=now
    k=$(dsprep cat -c text t.dsr | sed -n 's/^{"key":"\([0-9a-f]*\)","text":"line 17"}$/\1/p')
    [ ${#k} -eq 32 ]
    dsver seen "$k" >seen
    dsver audit run/step-000006 >audit.before
    exits 0 dsver forget --reason r "$k"
    first=$(sed -n 's/.* step \([0-9]*\) row .*/\1/p' seen | sort -n | head -n 1)
    has "consumed at step $first; tainted:" "step-000006"
    has "run     away ${ref##*/}: its dataset 'elsewhere' is not in the store, so it is not known whether it consumed them"
    $g show refs/dsver/erased:statements/000001.json | grep -q '"run": "away".*"absent": "elsewhere"}'
    exits 1 dsver seen docs "$k"
    has "records were erased from runs' data, and what their keys were is not known"
    exits 0 dsver audit run/step-000006
    has "erased"
    dsver fsck --read-data
    exits 0 other find .dsver "line 17"
}
