#!/usr/bin/env bats
# dsprep dicom: limits, what becomes of objects that fail or come twice, the accounts.

load dicom_common

dicom() { # MORE... : words on standard output, records into s.dsr
    dsprep dicom --key-file key "$@" 2>&1 >s.dsr
}

broken() { # a CT object whose pixel data ends early
    "$MAKE" ct 1 8 b
    head -c -20 b/000000.dcm >"$1"
    rm -r b
}

@test "dicom limits: files, frames, and how many of them" {
    "$MAKE" frames 5 16 five.dcm
    exits 0 dicom --max-frames 5 --max-frame 512 --max-file 8k five.dcm
    has "1 input = 1 output"
    exits 3 dicom --max-frames 4 --json five.dcm
    has '"held":{"too-many-frames":1}'
    exits 3 dicom --max-frames 4 five.dcm
    has "1 input = 0 output + 1 held + 0 failed"
    exits 3 dicom --max-frame 511 --json five.dcm
    has '"held":{"frame-too-large":1}'
    exits 3 dicom --max-file 5k --json five.dcm
    has '"held":{"file-too-large":1}'
}

@test "dicom limits: one object of many frames in bounded memory" {
    # 96 MB of frames, or 2 GB: they pass through a file, and no process holds them
    local n=192
    [ -z "${DS_LONG:-}" ] || n=4096
    "$MAKE" frames $n 512 many.dcm
    # address space says nothing under a sanitizer, and what it adds is no part of the promise
    ! grep -aq __asan_init "$(command -v dsprep)" || skip "a sanitizer is in it"
    dsprep dicom -q -j 1 --values modality --dtype i16 --key-file key --memory 400m many.dcm |
        dsprep head >out
    grep -q "\"shape\":\[$n,512,512\]" out
}

@test "dicom: --on-error fail, skip, quarantine" {
    broken bad.dcm
    cp "$DICOM/ct" ct
    exits 3 dicom --on-error skip bad.dcm ct
    has "2 input = 1 output + 0 held + 1 failed"
    exits 1 dicom --on-error fail ct bad.dcm
    has "bad.dcm: damaged"
    exits 1 dsprep check s.dsr
    exits 2 dicom --on-error quarantine ct
    has "--quarantine"
    exits 2 dicom --quarantine q ct
    exits 3 dicom --on-error quarantine --quarantine q bad.dcm ct
    cmp bad.dcm q/damaged/*.dcm
    [ "$(stat -c %a q/damaged/*.dcm)" = 600 ]
    # the same name from another place does not take its place
    mkdir other
    cp "$DICOM/ct" other/bad.dcm
    head -c 500 bad.dcm >other/bad.dcm
    exits 3 dicom --on-error quarantine --quarantine q2 bad.dcm other/bad.dcm
    [ "$(find q2 -name '*.dcm' | wc -l)" = 2 ]
}

@test "dicom: an object twice, and another one under its name" {
    "$MAKE" ct 2 8 d
    cp d/000000.dcm d/again.dcm
    exits 0 dicom --hold held d
    has "3 input = 2 output + 1 held + 0 failed; 2 records"
    [ ! -e held ]
    printf '\7' | dd of=d/again.dcm bs=1 seek=$(($(stat -c %s d/again.dcm) - 1)) conv=notrunc status=none
    exits 3 dicom --hold held d
    cmp d/again.dcm held/duplicate-object/*.dcm
}

@test "dicom: the accounts as JSON" {
    broken bad.dcm
    cp "$DICOM/ct" ct
    printf 'no object' >junk
    exits 3 dicom -q --json ct junk bad.dcm ct
    line=$(tail -n 1 <<<"$output")
    [ "$line" = '{"type":"summary","command":"dsprep dicom","inputs":4,"output":1,"records":1,"held":{"duplicate":1,"not-dicom":1},"failed":{"damaged":1}}' ]
    exits 0 bash -c 'dsprep dicom --json --key-file key -o shards ct 2>/dev/null'
    [ "$output" = '{"type":"summary","command":"dsprep dicom","inputs":1,"output":1,"records":1,"held":{},"failed":{}}' ]
}
