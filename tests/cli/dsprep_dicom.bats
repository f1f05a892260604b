#!/usr/bin/env bats
# dsprep dicom: de-identified records, what is held, the proof, DICOM files.

load dicom_common

hasnt() {
    case $output in *"$1"*) echo "it says: $1" && return 1 ;; esac
}

# clean FILE...: none of what the inputs say of people.
clean() {
    ! grep -aiE 'jane|okonkwo|5530917|88121|1\.3\.6\.1\.55|DOES PACS|5 Jan' "$@"
}

@test "dicom: no key, no output; none has to be said" {
    exits 2 dsprep dicom "$DICOM/ct"
    has "--key-file is missing"
    chmod 644 key
    exits 2 dsprep dicom --key-file key "$DICOM/ct"
    has "chmod 600"
    dsprep dicom -q --deid none "$DICOM/ct" >s.dsr
    exits 0 dsprep head s.dsr
    has '"PatientName":"Doe^Jane"' '"1.3.6.1.55.9"'
    exits 2 dsprep dicom --deid basic,no-such --key-file key "$DICOM/ct"
    has "no-such" "retain-uids" "clean-visual-features"
    for resize in 224 x224 224x 224x224x 224x+224 -18446744073709551392x224; do
        exits 2 dsprep dicom --resize $resize --key-file key "$DICOM/ct"
    done
}

@test "dicom: an operand that is not there ends it, and leaves no stream to commit" {
    for more in "" --on-error=skip; do
        # shellcheck disable=SC2086
        exits 13 bash -c "dsprep dicom $more --key-file key '$DICOM/ct' nowhere 2>&1 >s.dsr"
        has "nowhere: No such file or directory"
        [ ! -s s.dsr ]
    done
    exits 2 dsprep dicom --json "$DICOM/ct"
    jq -es 'length == 1 and .[0].code == 2 and (.[0].error | contains("--key-file"))' <<<"$output"
}

@test "dicom: a record without the patient" {
    dsprep dicom -q --deid basic,retain-modified-dates,clean-descriptors --key-file key "$DICOM/ct" >s.dsr
    clean s.dsr
    exits 0 dsprep head s.dsr
    has '"dtype":"u16","shape":[4,4]' '"Modality":"CT"' '"PatientIdentityRemoved":"YES"' '"SeriesDescription":"Axial 1.25"'
    hasnt '"StudyDate":"20190102"'
    exits 0 dsprep check s.dsr
    has " 1 record"
}

@test "dicom: bytes that are no pixels hold nobody's name in a file that is written" {
    make profile in
    dsprep dicom -q --key-file key --to-dicom out in >s.dsr
    f=$(find out -name '*.dcm')
    [ -s "$f" ]
    exits 1 bash -c "tr -d '\\0' <'$f' | LC_ALL=C grep -aqiE 'jane|5530917'"
    # steps of a table are no number of a patient
    make ramp in2
    dsprep dicom -q --key-file key --to-dicom out2 in2 >s.dsr
    python3 -c 'import sys; sys.exit(bytes(range(256)) not in open(sys.argv[1], "rb").read())' "$(find out2 -name '*.dcm')"
}

@test "dicom: modality values are floats, frames are records" {
    dsprep dicom -q --values modality --record frame --key-file key "$DICOM/ct" | dsprep head >out
    grep -q '"dtype":"f32","shape":\[4,4\]' out
    grep -q '#1",' out
    # -1024 + 0.5 * (0, 1000, .., 15000 in 12 bits), as floats
    grep -q "$(python3 -c 'import struct,hashlib; print(hashlib.sha256(struct.pack("<16f", *[(v % 4096) * 0.5 - 1024 for v in range(0, 16000, 1000)])).hexdigest())' 2>/dev/null || echo dtype)" out
}

@test "dicom: the same bytes for any number of processes" {
    dsprep dicom -q -j 1 --key-file key --burned-in pass "$DICOM" >a.dsr 2>/dev/null || [ $? -eq 3 ]
    dsprep dicom -q -j 5 --key-file key --burned-in pass "$DICOM" >b.dsr 2>/dev/null || [ $? -eq 3 ]
    cmp a.dsr b.dsr
    dsprep check a.dsr
}

@test "dicom: input is output, held and failed; held objects are set aside" {
    printf 'no object' >junk
    cp "$DICOM/ct" ct
    cp "$DICOM/us_held" us
    exits 3 bash -c 'dsprep dicom --key-file key --hold held --report r.json ct us junk 2>&1 >s.dsr'
    has "3 input = 1 output + 2 held + 0 failed; 1 record"
    [ "$(ls held)" = "$(printf 'not-dicom\nultrasound-without-regions')" ]
    cmp us held/ultrasound-without-regions/*.dcm
    [ "$(stat -c %a held/ultrasound-without-regions/*.dcm)" = 600 ]
    grep -q '"ultrasound-without-regions":1' r.json
    grep -q '"keyword":"PatientName","dummy":1' r.json
    clean r.json
}

@test "dicom: what one object calls itself is found in another one" {
    exits 1 bash -c 'dsprep dicom --deid basic,clean-descriptors --key-file key -o sh "$@" 2>&1' _ "$DICOM/place_a" "$DICOM/place_b"
    has "InstitutionName in column meta"
    hasnt "Lakeshore"
    [ ! -e sh/shard-00000.dsr ]
    dsprep dicom -q --deid basic,clean-descriptors --key-file key "$DICOM/place_a" "$DICOM/place_b" >s.dsr 2>/dev/null && false
    exits 1 dsprep check s.dsr
    # the other order shows only when all is known
    exits 1 bash -c 'dsprep dicom --deid basic,clean-descriptors --key-file key -o sh "$@" 2>&1' _ "$DICOM/place_b" "$DICOM/place_a"
    [ ! -e sh/shard-00000.dsr ]
    iconv -t UTF-16LE <<<'Lakeshore General' >names
    exits 1 dsprep dicom -q --deid basic,clean-descriptors --scrub names --key-file key -o sh "$DICOM/place_a"
    has "names: line 1: holds a NUL: text in UTF-16?"
    printf '\xef\xbb\xbfLakeshore General\n' >names # a byte order mark is no part of it
    dsprep dicom -q --deid basic,clean-descriptors --scrub names --key-file key "$DICOM/place_b" "$DICOM/place_a" | dsprep head >out
    grep -q '"\[PLACE\] chest"' out
    # what was found is the list that takes it out
    exits 1 dsprep dicom -q --deid basic,clean-descriptors --found found --key-file key -o sh "$DICOM/place_a" "$DICOM/place_b"
    [ "$(stat -c %a found)" = 600 ]
    [ "$(grep -v "^#" found)" = "Lakeshore General" ]
    dsprep dicom -q --deid basic,clean-descriptors --scrub found --key-file key "$DICOM/place_b" "$DICOM/place_a" >t.dsr
    dsprep info t.dsr | grep -q '"scrub":'
    clean t.dsr
}

@test "dicom deid: clean-pixel-data is no leave to let pass" {
    exits 2 dsprep dicom --deid basic,clean-pixel-data --burned-in pass --key-file key "$DICOM/ct"
    has "clean-pixel-data"
}

@test "dicom: DICOM files, and those once more" {
    dsprep dicom -q --deid basic,retain-modified-dates --key-file key --to-dicom one --source-map map "$DICOM/ct" >s.dsr
    f=$(find one -name '*.dcm')
    clean "$f"
    [ "$(stat -c %a map)" = 600 ]
    grep -q '"name":"ct"' map
    dsprep dicom -q --deid basic,retain-modified-dates --key-file key --to-dicom two --report r.json "$f" >t.dsr
    cmp "$f" "two/${f#one/}"
    grep -q '"already_deidentified":1' r.json
}

@test "dicom: archives and standard input" {
    cp "$DICOM/ct" ct
    tar cf a.tar ct
    dsprep dicom -q --key-file key a.tar | dsprep head >a
    dsprep dicom -q --key-file key - <a.tar | dsprep head >b
    dsprep dicom -q --key-file key - <ct | dsprep head >c
    dsprep dicom -q --key-file key ct | dsprep head >d
    cmp a b
    cmp a c
    cmp a d
}

@test "dicom: members of a tar are read where they lie, and are what they are when unpacked" {
    d=in/$(printf 'long%.0s' {1..60}) # more than a header of a tar holds
    mkdir -p "$d" a b c
    cp "$DICOM/ct" "$d/ct.dcm"
    head -c 600 "$DICOM/ct" >in/cut.dcm # damaged
    head -c 70000 /dev/zero >in/none    # held
    tar --format=pax -cf a/x.tar in
    gzip -c a/x.tar >b/x.tar
    tar --format=gnu -cf c/x.tar in
    for i in a b c; do
        (cd $i && dsprep dicom -q -j 2 --key-file ../key --on-error quarantine --quarantine q --hold h x.tar >s.dsr) ||
            [ $? -eq 3 ]
    done
    cmp a/s.dsr b/s.dsr
    cmp a/s.dsr c/s.dsr
    diff -r a/q b/q
    diff -r a/h c/h
    cmp a/q/*/*.dcm in/cut.dcm
    cmp a/h/*/*.dcm in/none
}
