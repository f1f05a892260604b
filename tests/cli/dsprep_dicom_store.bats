#!/usr/bin/env bats
# dsprep dicom --store: what a store has of files that did not change is referred to, not read.

load dicom_common

# said N FIELD: a number of the last line of run N.
said() {
    sed -n 's/.*"'"$2"'":\([0-9]*\).*/\1/p' "said$1"
}

# convert N OPTION...: run N over e by way of the store, committed as `d`; the version is what all of it, read, gives.
convert() {
    local n=$1 rc=0
    shift
    dsprep dicom -q --json --store s --key-file key "$@" e 2>"said$n" >"s$n.dsr" || rc=$?
    (cd s && dsver commit -q d) <"s$n.dsr"
    [ -n "$again" ] || dsprep dicom -q --key-file key "$@" e >w.dsr || [ $? -eq "$rc" ]
    (cd s && dsver commit d) <w.dsr | grep -q unchanged # records, steps and sources
}

exports() { # SCANS: many are several blocks
    for kind in pet report enhanced; do
        make "$kind" e/$kind
    done
    # a name that two megabytes of a cache, as good as random, do not have by chance
    find e -type f -exec sed -i 's/Doe^Jane/Zyxwvu^K/g' {} +
    grep -rqa Zyxwvu e
    python3 "$MAKE" scans "$1" 8 e/scans
    mkdir s
    (cd s && dsver init >/dev/null)
    until [ -z "$(find e -newermt '-2.2 seconds' -o -newerct '-2.2 seconds')" ]; do
        sleep 0.1
    done
}

@test "dicom --store: what did not change is not read, and the version is that of reading all" {
    exports 100
    for unit in image frame volume study; do
        convert 1 --record $unit
        cmp s1.dsr w.dsr
        [ "$(said 1 unchanged)" -eq 0 ]
        again=yes convert 2 --record $unit
        [ "$(said 2 unchanged)" -eq "$(said 2 records)" ]
    done
    # names of people and files are in no cache
    exits 1 bash -c "cat s/.dsver/files/dicom-* | grep -qaE 'Zyxwvu|Dr\\. Doe|5530917|1\\.3\\.6\\.1\\.55|pet/|scans'"
    # another key, another rule, another option: nothing is known
    printf '%064d\n' 8 >key2
    chmod 600 key2
    for o in "--key-file key2" "--deid basic,retain-uids --key-file key" "--resize 4x4 --key-file key"; do
        dsprep dicom -q --json --store s $o e 2>said4 >/dev/null
        [ "$(said 4 unchanged)" -eq 0 ]
    done
    # a damaged cache is an empty one, and so is one whose parts were put together by somebody
    for f in s/.dsver/files/dicom-*; do
        printf x | dd of="$f" bs=1 seek=200 conv=notrunc 2>/dev/null
    done
    convert 5 --record volume
    [ "$(said 5 unchanged)" -eq 0 ]
}

@test "dicom --store: a slice that is another one, is gone, or is new, is seen" {
    exports 320
    for unit in image study; do
        convert 1 --record $unit
    done
    # one value of one slice, with its size and time
    f=$(find e/pet -type f | sort | sed -n 2p)
    cp -p "$f" kept
    printf '\377' | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") - 1)) conv=notrunc 2>/dev/null
    touch -r kept "$f"
    for unit in image study; do
        convert 2 --record $unit
        [ "$(said 2 unchanged)" -lt "$(said 2 records)" ]
        [ $unit != image ] || [ "$(said 2 unchanged)" -gt 0 ]
    done
    rm "$f"
    make one e/new
    convert 3 --record study
    # what is held is copied, though it was not opened before
    convert 4 --deid basic,clean-visual-features
    dsprep dicom -q --json --store s --key-file key --deid basic,clean-visual-features --hold h1 e 2>said5 >/dev/null || true
    dsprep dicom -q --key-file key --deid basic,clean-visual-features --hold h2 e >/dev/null || true
    diff -r h1 h2
    [ -n "$(find h1 -type f)" ]
}

@test "dicom --store: what does not go with it is said" {
    make one e
    mkdir s
    (cd s && dsver init >/dev/null)
    for o in "-o x" "--to-dicom x" "--preview x"; do
        run dsprep dicom --store s --key-file key $o e
        [ "$status" -eq 2 ]
        [[ $output == *"--store is for a pipe into dsver commit"* ]]
    done
    run dsprep dicom --store nowhere --key-file key e
    [ "$status" -eq 10 ]
    # standard input is read each time, and so is a pipe
    dsprep dicom -q --store s --key-file key <(cat "$(find e -type f | head -n 1)") | dsprep check
    dsprep dicom -q --store s --key-file key - <"$(find e -type f | head -n 1)" | dsprep check
}
