#!/usr/bin/env bats
# dsprep dicom: names of one object in the texts of others; what stays when something was found.

load dicom_common

DEID=basic,clean-structured-content

@test "dicom names: GBK that calls itself Latin-1 is read as the site says, or hidden" {
    make gbk in
    dsprep dicom -q --deid $DEID --encoding gbk --key-file key --report r.json in | dsprep head >out
    grep -q '"text":"\\n  Body: 患者\[NAME\]复查, 无异常。' out
    grep -q '"unread_characters":0' r.json
    exits 0 bash -c "dsprep dicom --deid $DEID --key-file key --report r.json in 2>&1 >s.dsr"
    has "1 object with characters" "--encoding"
    grep -q '"unread_characters":1' r.json
    ! dsprep head s.dsr | grep -aE '王|五|Íõ|Îå' || return 1
}

@test "dicom names: who is named in a file that was cut is looked for in the others" {
    make said in/a Kowalczyk^Jan "Nothing to say."
    make said in/b Smith^Tom "Normal. Spoke to Kowalczyk."
    head -c -30 in/a >cut && mv cut in/a
    exits 1 bash -c "dsprep dicom --deid $DEID --key-file key in 2>&1 >s.dsr"
    has "a: damaged" "PatientName in column text"
}

say() { # say FILE NAME BODY
    make said "$@"
}

@test "dicom names: words and terms that are names of others stop no run" {
    say in/a 'Brown^Alice' 'Lung fields are clear. No bony lesion.'
    say in/b 'Fields^Robert' 'Brown fat is seen. It may be old. A small Baker cyst.'
    say in/c 'May^Karen' 'A right Hill-Sachs lesion; brown discoloration.'
    say in/d 'Baker^Tom' 'Colon is normal.'
    say in/e 'Colon^Ana' 'Nothing.'
    say in/f 'Hill^Ada' 'Nothing at all.'
    dsprep dicom -q --deid $DEID --key-file key -o sh in
    [ "$(dsprep head sh | grep -c 'Hill-Sachs lesion; brown')" = 1 ]
    dsprep head sh | grep -q 'lung fields\|Lung fields'
    # of his own object they are taken out where they are written as a name
    say own/g 'Brown^Alice' 'Brown fat. We spoke to Brown today, and brown it is.'
    dsprep dicom -q --deid $DEID --key-file key own | dsprep head >out
    grep -q 'Brown fat. We spoke to \[NAME\] today, and brown it is.' out
}

@test "dicom names: a leak in another's report fails, in any order" {
    say in/1 'Brown^Alice' 'Clear.'
    say in/2 'Zimmer^Kurt' 'We spoke to Brown today.'
    say re/1 'Zimmer^Kurt' 'We spoke to Brown today.'
    say re/2 'Brown^Alice' 'Clear.'
    say rare/1 'Kowalczyk^Jan' 'Clear.'
    say rare/2 'Zimmer^Kurt' 'kowalczyk has called.'
    for d in in re rare; do
        exits 1 dsprep dicom -q --deid $DEID --key-file key --to-dicom dcm-$d --preview see-$d --found found -o sh-$d $d
        has "PatientName in column"
        [ -z "$(ls sh-$d)" ]
        [ ! -e dcm-$d ]
        [ ! -e see-$d ] # nothing of a run that failed
    done
    [ "$(tail -n 1 found)" = kowalczyk ]
    grep -q '^# PatientName in column [a-z]*: .*kowalczyk has called' found
    [ "$(stat -c %a found)" = 600 ]
    dsprep dicom -q --deid $DEID --key-file key --scrub found -o sh2 rare
    dsprep head sh2 | grep -q '\[PLACE\] has called'
    # or it is a word, to those who know
    dsprep dicom -q --deid $DEID --key-file key --words found -o sh3 rare
    dsprep head sh3 | grep -q 'kowalczyk has called'
}

@test "dicom names: --on-found hold leaves the objects out, whatever the order and the unit" {
    say in/1 'Zimmer^Kurt' 'We spoke to Brown today.'
    say in/2 'Brown^Alice' 'Clear.'
    say in/3 'Okafor^Ngozi' 'Seen with Zimmer Kurt before.'
    local unit
    for unit in image study; do
        exits 3 dsprep dicom --deid $DEID --key-file key --on-found hold --record $unit --hold held-$unit \
            --to-dicom dcm-$unit --report r.json --found found -o sh-$unit in
        has "3 input = 1 output + 2 held + 0 failed"
        [ "$(find held-$unit/identifier-found -type f | wc -l)" = 2 ]
        [ "$(find dcm-$unit -type f | wc -l)" = 1 ]
        [ -z "$(find dcm-$unit -name '.unfinished*')" ]
        ! grep -raq 'Zimmer\|Brown' sh-$unit dcm-$unit || return 1
        grep -q '"hits":\[\],"held":\[{' r.json
        grep -qx 'Zimmer Kurt' found
    done
    # in a pipe too, and with archives; the same whatever the number of processes
    tar cf in.tar in
    exits 3 bash -c "dsprep dicom -q -j 1 --deid $DEID --key-file key --on-found hold in.tar >a.dsr"
    exits 3 bash -c "dsprep dicom -q -j 3 --deid $DEID --key-file key --on-found hold in.tar >b.dsr"
    cmp a.dsr b.dsr
    dsprep check a.dsr
    # standard input comes once: what is known so far
    exits 3 bash -c "dsprep dicom -q --deid $DEID --key-file key --on-found hold - <in.tar >c.dsr"
    exits 2 dsprep dicom --deid none --on-found hold in
    has "--on-found"
}

@test "dicom names: people of objects that are held are people" {
    mkdir in
    cp "$DS_ROOT/tests/fuzz/corpus/dicom/us_held" in/1
    dsprep dicom -q --deid none --burned-in pass in/1 2>/dev/null | dsprep head | grep -o '"PatientName":"[^"]*"' >name
    local who
    who=$(sed 's/.*:"//; s/^^*//; s/[\^"].*//' name)
    [ -n "$who" ] || skip "no name in it"
    say in/2 'Zimmer^Kurt' "As $who said."
    exits 1 dsprep dicom -q --deid $DEID --key-file key -o sh in
}

@test "dicom: frames behind the last are said" {
    make surplus in
    dsprep dicom --deid basic --key-file key --report r.json in 2>said | dsprep head >out
    grep -q 'pixel data of 2 more frames than it says is left out' said
    grep -q '"surplus":2' out
    grep -q '"surplus_frames":2' r.json
}

@test "dicom: files of two objects under one instance UID: those of the record" {
    make one in
    f=$(ls in)
    python3 - "in/$f" <<'EOF'
import sys
d = bytearray(open(sys.argv[1], "rb").read())
d[-2] ^= 1
open(sys.argv[1] + "z", "wb").write(d)
EOF
    exits 3 bash -c 'dsprep dicom -q --key-file key --to-dicom two in >s.dsr'
    dsprep dicom -q --key-file key --to-dicom one "in/$f" >t.dsr
    diff -r one two
}
